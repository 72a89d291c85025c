"""Multiplies matrices on all engines at once, and writes how long it took: `python products.py FILE SIZE PRODUCTS`."""
import json
import os
import sys
import time

import ipyparallel as ipp

ROUNDS = 3


def multiply(size, products):
    """The CPU seconds that it took, of all threads."""
    import time

    import numpy

    begin = time.process_time()
    matrix = numpy.random.default_rng(1).random((size, size))
    for _ in range(products):
        matrix @ matrix
    return time.process_time() - begin


def main(path, size, products):
    view = ipp.Client(profile=os.environ["IPJOB_CLIENT_PROFILE"], timeout=60)[:]
    # numpy's import is not what is measured.
    view.apply_sync(multiply, 10, 1)
    rounds, cpu = [], []
    for _ in range(ROUNDS):
        begin = time.monotonic()
        cpu.append(sum(view.apply_sync(multiply, int(size), int(products))))
        rounds.append(time.monotonic() - begin)
    threads = view.apply_sync(lambda: len(__import__("os").listdir("/proc/self/task")))
    with open(path, "w") as file:
        json.dump({"seconds": sorted(rounds)[ROUNDS // 2], "cpu": sorted(cpu)[ROUNDS // 2], "threads": sum(threads)}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
