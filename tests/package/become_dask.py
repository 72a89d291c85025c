"""`become_dask()` of a job's client: its engines are Dask's workers and stay engines, and the end is that of the job, with nothing of
Dask's left."""

import json
import os
from pathlib import Path

import ipyparallel as ipp

with ipp.Cluster(engines="ipjob", n=2) as rc:
    path = Path(rc.cluster.engine_set.record)
    engines = rc[:].apply_sync(os.getpid)
    dask = rc.become_dask()
    dask.wait_for_workers(2, timeout=90)
    assert dask.submit(sum, [1, 2]).result() == 3
    assert sorted(dask.run(os.getpid).values()) == sorted(engines), "no other process is a worker"
    assert rc[:].apply_sync(os.getpid) == engines
    dask.close()
record = json.loads(path.read_text())
assert (record["state"], record["exit"]) == ("ended", 0), record
