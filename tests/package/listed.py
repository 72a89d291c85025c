"""ipyparallel's own tools know the job that runs here: its list, its file, a stop that takes its time; and nothing after it."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import ipyparallel as ipp
from ipyparallel.cluster.cluster import ClusterManager

security = Path(os.environ["IPYTHONDIR"]) / "profile_job_local/security"
file = security / "cluster-.json"
before = file.read_text()

listed = subprocess.run([sys.executable, "-m", "ipyparallel.cluster", "list"], capture_output=True, text=True)
rows = [line.split() for line in listed.stdout.splitlines() if line.startswith("job_local")]
assert len(rows) == 1 and "True" in rows[0] and "2" in rows[0], listed

# As JupyterLab's list does it.
manager = ClusterManager()
cluster = manager.load_clusters(init_default_clusters=True)["job_local:"]
assert cluster._is_running() and cluster.engine_set.n == 2, cluster
assert file.read_text() == before, "who looks changes nothing"

cluster = ipp.Cluster.from_file(profile="job_local")
rc = cluster.connect_client_sync()
assert rc.cluster is cluster and rc.ids == [0, 1]
rc.close()

# START cannot be pressed: it runs.
try:
    cluster.start_controller_sync()
    sys.exit("another controller was started")
except RuntimeError:
    pass

asyncio.run(cluster.stop_cluster())
record = json.loads((security.parent / "ipjob.json").read_text())
assert (record["state"], record["exit"]) == ("ended", 0), record
assert not list(security.iterdir())
