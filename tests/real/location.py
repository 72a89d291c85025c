"""location.py PROFILE: what a client says when it is on the controller's host, and what on another one, as ipyparallel's own
test_warning_on_hostname_match has it. Prints one JSON object."""

import json
import os
import socket
import sys
import time
import warnings
from unittest import mock

import ipyparallel as ipp

profile = sys.argv[1]
path = os.path.join(os.environ["HOME"], ".ipython", f"profile_{profile}", "security", "ipcontroller-client.json")
with open(path) as file:
    location = json.load(file)["location"]


def connects():
    """What a client warns of, and how long it takes."""
    begin = time.monotonic()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        ipp.Client(profile=profile).close()
    told = [" ".join(str(warning.message).split()) for warning in caught if warning.category is RuntimeWarning]
    return {"told": told, "took": time.monotonic() - begin}


here = connects()
with mock.patch("ipyparallel.client.client.is_local_ip", lambda _: False):
    with mock.patch("socket.gethostname", lambda: "elsewhere"):
        elsewhere = connects()
print(json.dumps({"location": location, "host": socket.gethostname(), "here": here, "elsewhere": elsewhere}))
