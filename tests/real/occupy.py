"""occupy.py PROFILE FILE: lets engine 0 loop for ever; FILE is there once it does."""

import sys
import time

import ipyparallel as ipp


def loop(path):
    open(path, "w").close()
    while True:
        pass


rc = ipp.Client(profile=sys.argv[1])
result = rc[0].apply_async(loop, sys.argv[2])
# Whether the message has left is told by the engine's file alone, so the client stays until the test ends it.
while not result.ready():
    time.sleep(1)
