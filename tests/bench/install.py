"""From nothing but Python to a cluster of four workers in Slurm (tests/lab), by what pip installs: ipjob beside HyperQueue and dask-jobqueue."""
import os
import shutil
import subprocess
import time

from cluster_job import HERE, Lab
from place import Unmeasurable

TOP = os.path.dirname(os.path.dirname(HERE))
WORKERS = 4

# Each program notes when four workers have answered, or as many tasks of the one worker that has them, and ends.
ANSWERED = """open("answered", "w").write(str(__import__("time").time()))"""
IPJOB = f"""ipjob --mode cluster-only --mpi none -n {WORKERS} -- python -c '
import os
import ipyparallel as ipp
ipp.Client(profile=os.environ["IPJOB_CLIENT_PROFILE"])[:].apply_sync(int)
{ANSWERED}
'"""
HYPERQUEUE = f"""python -c '
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
with LocalCluster(worker_config=WorkerConfig(cores={WORKERS})) as cluster:
    client, job = cluster.client(), Job()
    for _ in range({WORKERS}):
        job.program(["true"])
    client.wait_for_jobs([client.submit(job)])
    {ANSWERED}
'"""
DASK = f"""python -c '
from dask.distributed import Client
from dask_jobqueue import SLURMCluster
with SLURMCluster(cores={WORKERS}, processes={WORKERS}, memory="1GB", interface="eth0") as cluster, Client(cluster) as client:
    cluster.scale({WORKERS})
    client.wait_for_workers({WORKERS})
    client.run(int)
    {ANSWERED}
'"""


class Way:
    """A product: what pip is asked for, what is typed on the login node, and how many commands that is, with pip's own."""

    def __init__(self, name, packages, command, in_job):
        self.name = name
        self.packages = packages
        self.command = command
        self.in_job = in_job


def ways(wheel):
    """All that are compared."""
    return [Way("ipjob", [wheel, "ipyparallel"], IPJOB, True),
            Way("HyperQueue (its pip package: one node)", ["hyperqueue"], HYPERQUEUE, True),
            Way("dask-jobqueue", ["dask-jobqueue"], DASK, False)]


def wheel(binary, directory):
    """The wheel with this program in it."""
    venv = subprocess.run([os.path.join(TOP, "tests/python/venv.sh"), "wheel"], stdout=subprocess.PIPE, text=True, check=True)
    target = f"{os.uname().machine}-unknown-linux-musl"
    environment = {**os.environ, "IPJOB_WHEEL_PROGRAM": binary, "IPJOB_WHEEL_TARGET": target}
    subprocess.run([os.path.join(venv.stdout.strip(), "bin/hatchling"), "build", "-t", "wheel", "-d", directory],
                   cwd=os.path.join(TOP, "python"), env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next(os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".whl"))


class Install:
    """A lab, and a fresh environment in it for each run."""

    def __init__(self, lab):
        self.lab = lab

    def measure(self, way):
        """Seconds of pip, and from the command to the answers; and the environment's megabytes beyond those of an empty one."""
        venv = os.path.join(self.lab.share, "venv")
        shutil.rmtree(venv, ignore_errors=True)
        python = os.path.realpath(os.path.join(self.lab.path[0], "python"))
        subprocess.run([python, "-m", "venv", venv], check=True)
        empty = size(venv)
        begin = time.monotonic()
        pip = subprocess.run([os.path.join(venv, "bin/pip"), "install", "-q", *way.packages], capture_output=True, text=True)
        installed = time.monotonic()
        if pip.returncode != 0:
            raise Unmeasurable(f"pip install {way.packages}: {pip.stderr}")
        path = f"export PATH={venv}/bin:/usr/bin:/bin\n"
        script = way.command
        if way.in_job:
            self.lab.on("login", "sh", "-c", f"cat >install.sbatch <<'END'\n#!/bin/bash\n{path}{way.command}\nEND")
            script = f"sbatch --wait -N1 -n{WORKERS} --output=install.out install.sbatch || {{ cat install.out >&2; exit 1; }}"
        started = time.time()
        self.lab.on("login", "bash", "-c", path + script)
        answered = float(self.lab.on("login", "cat", "answered"))
        return {"pip": installed - begin, "ready": answered - started, "megabytes": (size(venv) - empty) / 1e6}


def size(directory):
    """Bytes of its files."""
    return sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(directory) for name in names)


def lab(binary, path):
    """With CPUs for all workers."""
    return Lab(binary, path, options=["--cpus", str(WORKERS)])
