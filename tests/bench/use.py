"""use.py HOME N: a client that is there before its cluster is: calls all N engines for something of numpy's as soon as they are all known to it, and
again; writes the moments into HOME/use.json.

It has imported all that it needs itself beforehand: what is measured is the engines' part.
"""
import glob
import json
import os
import sys
import time

import ipyparallel as ipp
import numpy


def look():
    """The first use of numpy: something of its own, and of its BLAS."""
    import numpy

    ones = numpy.ones((50, 50))
    return float((ones @ ones).sum())


def connect(home):
    """A client of the cluster, as soon as its files are there and it answers."""
    while True:
        for path in glob.glob(os.path.join(home, ".ipython/profile_*/security/ipcontroller*-client.json")):
            try:
                return ipp.Client(path, timeout=5)
            except (OSError, ValueError, ipp.error.TimeoutError):
                pass
        time.sleep(0.005)


def main(home, engines):
    # What a first call does in any client, ours as well.
    ipp.serialize.serialize_object(ipp.serialize.can(look))
    numpy.ones((2, 2)) @ numpy.ones((2, 2))
    with open(os.path.join(home, "use.started"), "w"):
        pass
    client = connect(home)
    while len(client.ids) < engines:
        time.sleep(0.002)
    view = client[:]
    moments = []
    for _ in range(3):
        begin = time.time()
        view.apply_sync(look)
        moments.append((begin, time.time()))
    path = os.path.join(home, "use.json")
    with open(path + ".new", "w") as file:
        json.dump({"calls": moments}, file)
    os.replace(path + ".new", path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
