"""From the start of a cluster to the moment at which all its engines have done something with numpy, and what that costs."""
import os
import subprocess
import sys
import time

import process
from contender import Contender, cluster, registered, stop
from place import Place, until

HERE = os.path.dirname(os.path.realpath(__file__))
SIZES = (1, 4, 16, 64)
# The targets: the first use comes within so many times ready, and of the most engines so many times sooner than `ipp.Cluster()`.
NEAR = 1.2
SOONER = 5


class Way(Contender):
    """A contender without Jupyter. Dask's own program is client and cluster in one, and tells itself when it was ready."""

    def __init__(self, name, command, tells=False):
        super().__init__(name, command, False)
        self.tells = tells

    def measure(self, path, engines):
        """One start and one stop: seconds to ready, to the end of the first call of all engines, of the second call; CPU seconds until the first
        call's end, and memory in MB after it (PSS), both without the client's; seconds to gone (None: not gone), processes left."""
        with Place(path) as place:
            client = None if self.tells else self.client(place, engines)
            begin = time.time()
            child = place.start(self.command)
            ready = None
            if client:
                until(lambda: registered(place) >= engines, f"{self.name}: the last engine", place)
                ready = time.time()
            used = until(lambda: place.read("use.json"), f"{self.name}: the first call of all engines", place)
            running = place.processes()
            if client:
                running.pop(client.pid, None)
            cpu, memory = process.spent_s(running), sum(process.resident_kb(pid)[1] for pid in running) / 1024
            if client:
                client.wait()
                place.children.remove(client)
            gone, left = stop(place, child)
            return {"ready": (ready or used["ready"]) - begin, "usable": used["calls"][0][1] - begin,
                    "second": used["calls"][-1][1] - used["calls"][-1][0], "cpu": cpu, "memory": memory, "gone": gone, "processes": left}

    def client(self, place, engines):
        """The client, which has imported all that it needs. Its end is no end of a program that was to stay."""
        client = place.start(["python", os.path.join(HERE, "use.py"), place.home, str(engines)])
        until(lambda: place.find("use.started"), "the client", place)
        return client


def ways(binary, path, engines):
    """The ways to so many engines; Dask's where it is installed."""
    start = [binary, "--mode", "cluster-only", "-n", str(engines)]
    found = [Way("ipjob", start)] + [Way(f"ipjob --engine-start {way}", [*start, "--engine-start", way]) for way in ("exec", "fork")]
    found += [Way(one.name, one.command) for one in [Contender("ipcluster start", ["ipcluster", "start", "-n", str(engines)], False), cluster(engines)]]
    python = os.path.join(path[0], "python")
    if subprocess.run([python, "-c", "import distributed"], stderr=subprocess.DEVNULL).returncode == 0:
        found.append(Way("Dask LocalCluster", ["python", os.path.join(HERE, "dask_cluster.py"), str(engines)], True))
    else:
        print("Dask is not installed: its rows are left out", file=sys.stderr)
    return found
