"""execute.py PROFILE: executes on every engine, as %px does; prints one JSON object. No apply: ipyparallel 7.1 has none on
a Python as new as 3.11."""

import json
import sys

import ipyparallel as ipp

PATIENCE = 60

rc = ipp.Client(profile=sys.argv[1])
for _ in range(PATIENCE):
    result = rc[:].execute("import os; print(os.getpid())", silent=False, block=False)
    result.get(PATIENCE)
    # Output comes on a channel of its own, and may come later; what came before the client's subscription is lost.
    result.wait_for_output(1)
    if all(result.stdout):
        break
print(json.dumps({"ids": rc.ids, "pids": [int(text) for text in result.stdout]}))
