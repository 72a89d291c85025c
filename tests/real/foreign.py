"""foreign.py PROFILE [clean]: another cluster in the profile of a job that computes, by ipyparallel's own Cluster, as a click in
JupyterLab's list of clusters starts one: it starts, it stops, and the job's own results stay right. With `clean` all files of clusters
are removed as `ipcluster clean --force` does it. Prints one JSON object: sums, and what the profile's client sees at the end."""

import json
import os
import sys
import threading
import time

import ipyparallel as ipp
from ipyparallel.cluster.cluster import clean_cluster_files

PATIENCE = 60
ROUNDS = 60

profile = sys.argv[1]
pause = threading.Event()
directory = os.path.join(os.environ["HOME"], ".ipython", f"profile_{profile}")
rc = ipp.Client(profile=profile)
view = rc[:2]
view.execute("base = 40", block=False).get(PATIENCE)
task = view.apply_async(lambda rounds: sum(__import__("threading").Event().wait(0.1) or base for _ in range(rounds)), ROUNDS)  # noqa: F821


def client_file():
    try:
        with open(os.path.join(directory, "security", "ipcontroller-client.json")) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def until(what, look):
    begin = time.monotonic()
    while not look():
        if time.monotonic() - begin > PATIENCE:
            raise SystemExit(f"{what} did not come: {client_file()}")
        pause.wait(0.05)


before = client_file()
cluster = ipp.Cluster(profile_dir=directory, cluster_id="", n=1, shutdown_atexit=False)
cluster.start_cluster_sync()
until("a foreign connection file, or ours again", lambda: client_file() is not None)
pid = cluster.controller.pid
# Its controller writes the files a while after it was started.
until("its files", lambda: b"heartbeat::" in open(cluster.controller.output_file, "rb").read())
until("the job's own files", lambda: client_file() == before)
cluster.stop_cluster_sync()
until("the job's own files again", lambda: client_file() == before)
if sys.argv[2:] == ["clean"]:
    clean_cluster_files([directory], force=True)
    until("the job's own files after all were removed", lambda: client_file() == before)
sums = task.get(PATIENCE + ROUNDS)
again = ipp.Client(profile=profile)
print(json.dumps({"sums": sums, "ids": again.ids, "base": again[:2].pull("base", block=True), "controller": pid}))
