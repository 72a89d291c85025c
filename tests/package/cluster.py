"""`ipp.Cluster(engines="ipjob")` by all its ways: sync, `with`, asyncio, from its file; signals, restart, failures."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ipyparallel as ipp
from traitlets.config import Config

PATIENCE = 90


def state(cluster_or_path):
    path = cluster_or_path if isinstance(cluster_or_path, Path) else Path(cluster_or_path.engine_set.record)
    return json.loads(path.read_text())["state"]


def interruptible():
    import signal

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGUSR1, interrupt)


# Options that ipjob gives as well, by their short names.
cluster = ipp.Cluster(engines="ipjob", n=2, controller_args=["--ping=250"])
rc = cluster.start_and_connect_sync()
assert rc.ids == [0, 1] and rc.cluster is cluster and cluster.engine_set.n == 2
before = rc[:].apply_sync(os.getpid)
cluster.restart_engines_sync()
rc.wait_for_engines(2, timeout=PATIENCE)
assert not set(before) & set(rc[:].apply_sync(os.getpid)), "the engines are others, under the same ids and the same client"
try:
    cluster.start_engines_sync(1)
    sys.exit("a second set joined")
except Exception as error:
    assert "no second set can join them" in str(error), error
assert list(cluster.engines.values()) == [cluster.engine_set] and cluster.engine_set.job, "what was refused has left nothing"

# A profile that is in use is no other's.
taken = Config()
taken.IpjobEngineSetLauncher.options = ["--profile", "job_local"]
try:
    ipp.Cluster(engines="ipjob", n=1, config=taken).start_cluster_sync()
    sys.exit("it started")
except Exception as error:
    assert "another ipjob runs in " in str(error) and "choose another profile" in error.hints[0], error

# Another process finds it by its file, and ends it.
other = ipp.Cluster.from_file(cluster.cluster_file)
assert other.controller.process.pid == cluster.controller.process.pid and other.engine_set.n == 2
rc[:].apply_sync(interruptible)
running = rc[:].apply_async(time.sleep, 60)
while not all(status["queue"] + status["tasks"] for status in rc.queue_status().values() if isinstance(status, dict)):
    pass
other.signal_engines_sync(signal.SIGUSR1)
try:
    running.get(PATIENCE)
    sys.exit("no signal came")
except ipp.error.CompositeError as error:
    assert "KeyboardInterrupt" in str(error), error
path = Path(cluster.engine_set.record)
rc.close()
other.stop_cluster_sync()
assert state(path) == "ended" and not os.path.exists(cluster.cluster_file)
assert "Completed registration with id 1" in cluster.engine_set.get_output()
cluster.stop_cluster_sync()
assert cluster.controller is None and not cluster.engines

# A number that happens to be that of the CPUs is a number.
with ipp.Cluster(controller="ipjob", n=os.cpu_count()) as rc:
    assert rc.ids == list(range(os.cpu_count()))
    path = Path(rc.cluster.engine_set.record)
assert state(path) == "ended"


async def asynchronous():
    async with ipp.Cluster(engines="ipjob", n=1) as rc:
        assert await asyncio.wrap_future(rc[:].apply_async(os.getpid)) != [os.getpid()]
        return Path(rc.cluster.engine_set.record)


assert state(asyncio.run(asynchronous())) == "ended"

# Whoever ends it, what waits ends with the reason, also what no engine has begun.
with ipp.Cluster(engines="ipjob", n=1) as rc:
    waits = rc.load_balanced_view().map_async(time.sleep, [600] * 3)
    os.kill(rc.cluster.controller.process.pid, signal.SIGTERM)
    try:
        waits.get(PATIENCE)
        sys.exit("it waited for nothing")
    except Exception as error:
        assert "job_local has ended: SIGTERM" in str(error), error

# A failure is an exception, with ipjob's words.
failing = ipp.Cluster(engines="ipjob", n=1, controller_args=["--ip=*"])
try:
    failing.start_cluster_sync()
    sys.exit("it started")
except Exception as error:
    assert type(error).__name__ == "Failure" and error.hints and error.exit_code == 2, repr(error)
try:
    ipp.Cluster(controller="ipjob", engines="mpi", n=1).start_cluster_sync()
    sys.exit("it started")
except Exception as error:
    assert "brings its own engines" in str(error), error

# Who forgets it has it ended at exit, and so does who is killed.
code = """import ipyparallel as ipp, os, signal
cluster = ipp.Cluster(engines="ipjob", n=1, log_level=40).start_cluster_sync()
print(cluster.engine_set.record, flush=True)
"""
for end in ("", "os.kill(os.getpid(), signal.SIGKILL)"):
    done = subprocess.run([sys.executable, "-c", code + end], stdout=subprocess.PIPE, text=True)
    path = Path(done.stdout.split()[-1])
    until = time.monotonic() + PATIENCE
    while state(path) != "ended":
        assert time.monotonic() < until, "it has not ended"
