"""Engines on two nodes of a Slurm cluster (tests/lab), forked and each a Python of its own, with MPI and without: when they are ready, what CPU
and which calls that name a file a node pays for them, and the same on a file system whose opens are slow."""
import json
import os
import shutil
import signal
import subprocess
import time
import uuid

import process
from cluster_job import NODES, USER, Lab, Lacking
from place import PATIENCE, PAUSE, Unmeasurable

HERE = os.path.dirname(os.path.realpath(__file__))
# Engines of a node, and its CPUs: the lab's need not be there.
SIZES, CPUS = (3, 8), 8
WAYS = tuple((mpi, way) for mpi in ("none", "pmi2") for way in ("exec", "fork"))
# Microseconds for an open: a file server that has much to do.
SLOW_US = 5000


class Nodes(Lab):
    """A lab with CPUs for all engines. With `slow`, its nodes have the virtual environment on a file system of slow opens."""

    def __init__(self, binary, path, slow=False):
        super().__init__(binary, path, options=["--cpus", str(CPUS)])
        self.slow = slow

    def __enter__(self):
        super().__enter__()
        if self.slow:
            try:
                self.mount()
            except BaseException:
                self.__exit__()
                raise
        return self

    def mount(self):
        """Each node mounts its own, with a cache of its own, at the place of the environment, which is behind it."""
        program = os.path.join(self.share, "slow_opens")
        if not compiled(program):
            raise Lacking("no file system in user space can be made (a C compiler, pkg-config, libfuse3-dev, /dev/fuse)")
        venv, behind = os.path.dirname(self.path[0]), "/mnt"
        for number in range(1, NODES + 1):
            script = (f"mount --bind {venv} {behind} && SOURCE={behind} DELAY_US={SLOW_US} {program} {venv} -o allow_other,ro")
            done = self.lab("in", f"node{number}", "sh", "-c", script)
            if done.returncode != 0:
                raise Lacking(f"no file system in user space on node{number}: {done.stderr.strip()}")

    def measure_start(self, mpi, way, engines):
        """One job: seconds to ready, and CPU seconds of all that belongs to engines until then, on both nodes."""
        mark = f"IPJOB_BENCH={uuid.uuid4().hex}"
        script = (f"#!/bin/bash\ndate +%s.%N >begin.{mark[-8:]}\nexport {mark}\n"
                  f"exec ipjob --mode cluster-only --mpi {mpi} --engine-start {way}\n")
        self.on("login", "sh", "-c", f"cat >job.{mark[-8:]} <<'END'\n{script}END")
        job = self.on("login", "sbatch", "--parsable", f"--nodes={NODES}", f"--ntasks-per-node={engines}", "--mem=0",
                      f"--output=output.{mark[-8:]}", f"job.{mark[-8:]}").strip()
        home = os.path.join(self.state, "home", USER)
        ready = wait_ready(os.path.join(home, f".ipython/profile_job_{job}/ipjob.json"), os.path.join(home, f"output.{mark[-8:]}"))
        cpu = process.spent_s(process.carrying(mark, "IPJOB_SERVICE=engines"))
        with open(os.path.join(home, f"begin.{mark[-8:]}")) as file:
            begin = float(file.read())
        self.on("login", "sh", "-c", f"scancel {job}; while [ -n \"$(squeue -h -j {job} 2>/dev/null)\" ]; do sleep 0.1; done")
        process.end(mark)
        return {"ready": ready - begin, "cpu": cpu / NODES}

    def slurmd(self, node):
        """The process of Slurm on a node, as the host sees it."""
        with open(os.path.join(self.state, "machines", f"{node}.init")) as file:
            inside = names(file.read().split()[0])
        for name in filter(str.isdigit, os.listdir("/proc")):
            if process.is_named(name, "slurmd") and names(name) == inside:
                return int(name)
        raise Unmeasurable(f"no slurmd on {node}")

    def calls(self, mpi, way, engines):
        """Calls that name a file on the second node, where nothing but engines runs: all, those that name one which the nodes share, and the
        opens among these. None without strace."""
        if not shutil.which("strace"):
            return None
        table = os.path.join(self.share, "calls")
        command = ["strace", "-f", "-qq", "-e", "trace=%file", "-o", table, "-p", str(self.slurmd("node2"))]
        tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            self.measure_start(mpi, way, engines)
        finally:
            # It lets go of what it traces, and tells.
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        places = tuple(f'"{place}' for place in (os.path.dirname(self.path[0]), f"/home/{USER}"))
        with open(table, errors="replace") as file:
            calls = [line for line in file if '"' in line]
        os.remove(table)
        shared = [line for line in calls if any(place in line for place in places)]
        return len(calls), len(shared), sum(" open" in line for line in shared)


def names(pid):
    """The process ids that a process sees."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def compiled(program):
    """Whether the file system could be made."""
    try:
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True, check=True).stdout.split()
        subprocess.run(["cc", "-O2", "-o", program, os.path.join(HERE, "slow_opens.c"), *flags], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return os.path.exists("/dev/fuse")


def wait_ready(record, output):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with open(record) as file:
                state = json.load(file)["state"]
        except (OSError, ValueError):
            state = None
        if state == "ready":
            return time.time()
        if state == "ended":
            break
        time.sleep(PAUSE)
    with open(output, errors="replace") as file:
        raise Unmeasurable(f"a job is not ready, but {state}:\n{''.join(file.readlines()[-30:])}")
