"""dask_cluster.py N: N workers of a Dask LocalCluster, each a process with one thread; the moments of `use.py`, and that of ready, into
use.json. Ends itself in order at SIGTERM."""
import json
import os
import signal
import sys
import time

from dask.distributed import Client, LocalCluster

from use import look


def main(workers):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
        client.wait_for_workers(workers)
        ready = time.time()
        moments = []
        for _ in range(3):
            begin = time.time()
            client.run(look)
            moments.append((begin, time.time()))
        with open("use.json.new", "w") as file:
            json.dump({"ready": ready, "calls": moments}, file)
        os.replace("use.json.new", "use.json")
        while True:
            signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]))
