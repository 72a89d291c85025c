"""traffic.py FILE: how fast a client and its engines are together, into FILE as JSON. Times are in seconds."""
import json
import os
import statistics
import sys
import time

import ipyparallel as ipp

rc = ipp.Client(profile=os.environ["IPJOB_CLIENT_PROFILE"], timeout=60)
everybody, one = rc[:], rc[0]


def empty():
    return None


def timed(call, times):
    call()
    found = []
    for _ in range(times):
        begin = time.monotonic()
        call()
        found.append(time.monotonic() - begin)
    return statistics.median(found)


data = os.urandom(100_000_000)
result = {
    "all": timed(lambda: everybody.apply_sync(empty), 100),
    "one": timed(lambda: one.apply_sync(empty), 200),
    "push": timed(lambda: one.push({"data": data}, block=True), 3),
    "pull": timed(lambda: one.pull("data", block=True), 3),
}
with open(sys.argv[1] + ".new", "w") as file:
    json.dump(result, file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
