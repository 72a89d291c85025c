"""What encryption costs: the same cluster with `--curve on` and `--curve off`, as a client sees it."""
import os
import time

from own import wait_ready
from place import Place, until

DRIVER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "traffic.py")
ENGINES = 16


def measure(path, binary, curve):
    """Seconds until ready and for the stop, and what tests/bench/traffic.py measures in between."""
    with Place(path) as place:
        begin = time.monotonic()
        place.start([binary, "--mode", "cluster-only", "-n", str(ENGINES), "--curve", curve,
                     "--", os.path.join(path[0], "python"), DRIVER, "traffic.json"])
        wait_ready(place)
        ready = time.monotonic() - begin
        found = until(lambda: place.read("traffic.json"), "the client's numbers", place)
        begin = time.monotonic()
        until(lambda: place.read(".ipython/profile_*/ipjob.json")["state"] == "ended", "the end", place)
        return {"ready": ready, "stop": time.monotonic() - begin, **found}
