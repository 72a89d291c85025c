"""occupy.py PROFILE FILE: lets engine 0 loop for ever; FILE is there once it does. Stays until the test ends it."""

import sys

import ipyparallel as ipp

PATIENCE = 90


def loop(path):
    open(path, "w").close()
    while True:
        pass


rc = ipp.Client(profile=sys.argv[1])
rc[0].apply_async(loop, sys.argv[2]).wait(PATIENCE)
