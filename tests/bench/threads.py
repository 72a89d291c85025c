"""What threads cost: products of matrices on more engines than CPUs, with `--threads auto` and with `--threads off`."""
import os
import subprocess

import cluster_job
from place import Place, until

DRIVER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "products.py")
ENGINES, CPUS = 4, 2
SIZE, PRODUCTS = 1000, 10


def check(path):
    """There is numpy, which the tests' environments may lack."""
    python = os.path.join(path[0], "python")
    if subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode:
        raise cluster_job.Lacking(f"{python} has no numpy")
    if len(os.sched_getaffinity(0)) < CPUS:
        raise cluster_job.Lacking(f"this machine has not {CPUS} CPUs")


def measure(path, binary, threads):
    """The seconds and CPU seconds of PRODUCTS products on each of the engines at once, and the threads of all of them together."""
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[:CPUS]))
    with Place(path) as place:
        place.start(["taskset", "--cpu-list", cpus, binary, "--mode", "cluster-only", "-n", str(ENGINES), "--threads", threads,
                     "--", os.path.join(path[0], "python"), DRIVER, "products.json", str(SIZE), str(PRODUCTS)])
        return until(lambda: place.read("products.json"), "the products", place)
