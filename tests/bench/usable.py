"""From the start of a cluster to the moment at which all its engines have done something with numpy, and what that costs."""
import os
import subprocess
import sys
import time

import process
import sizes
import table
from contender import STOP_PATIENCE, Contender, cluster, registered, stop
from place import Place, until

HERE = os.path.dirname(os.path.realpath(__file__))
SIZES = (1, 4, 16, 64)
# The targets: the first use comes within so many times ready, and of many engines so many times sooner than by these.
NEAR = 1.2
SOONER = {"ipp.Cluster()": 5, "Dask LocalCluster": 3}


class Way(Contender):
    """A contender without Jupyter. Dask's own program is client and cluster in one, and tells itself when it was ready."""

    def __init__(self, name, command, tells=False):
        super().__init__(name, command, False)
        self.tells = tells

    def measure(self, path, engines, patience=STOP_PATIENCE):
        """One start and one stop: seconds to ready, to the end of the first call of all engines, of the second call; CPU seconds until the first
        call's end, and memory in MB after it (PSS), both without the client's, and that memory of the program alone that was started; seconds to gone
        (None: not gone), processes left."""
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
            own = process.resident_kb(child.pid)[1] / 1024
            if client:
                client.wait()
                place.children.remove(client)
            gone, left = stop(place, child, patience)
            return {"ready": (ready or used["ready"]) - begin, "usable": used["calls"][0][1] - begin,
                    "second": used["calls"][-1][1] - used["calls"][-1][0], "cpu": cpu, "memory": memory, "own": own, "gone": gone, "processes": left}

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


def lines(things, measured, patience=STOP_PATIENCE):
    """The table of the runs of each (engines, way), of which some may have none."""
    medians = {(engines, way.name): table.median([run["usable"] for run in runs]) for (engines, way), runs in zip(things, measured) if runs}
    found = table.Table("", "engines", "started by", "ready", "usable", "usable / ready", "a later call", "CPU until usable", "memory (PSS)", "stop",
                        "target", "")
    for (engines, way), runs in zip(things, measured):
        if not runs:
            continue
        stops = [run["gone"] for run in runs if run["gone"] is not None]
        ratios = [run["usable"] / run["ready"] for run in runs]
        targets, verdicts = [], []
        if way.name.startswith("ipjob"):
            targets, verdicts = [f"usable <= {NEAR} x ready"], [table.verdict(ratios, NEAR)]
        for rival, sooner in SOONER.items() if targets and engines >= sizes.MANY else ():
            if (engines, rival) in medians:
                times = medians[engines, rival] / medians[engines, way.name]
                targets.append(f"{sooner} x sooner than {rival}")
                verdicts.append(f"{'ok' if times >= sooner else 'miss'} ({times:.1f} x)")
        found.add(str(engines), way.name, table.spread([run["ready"] for run in runs], "s", 2), table.spread([run["usable"] for run in runs], "s", 2),
                  table.spread(ratios, "", 2), table.spread([run["second"] for run in runs], "s", 3), table.spread([run["cpu"] for run in runs], "s", 1),
                  table.spread([run["memory"] for run in runs], "MB", 0),
                  table.spread(stops, "s", 1) if len(stops) == len(runs) else f"not in {patience} s", ", ".join(targets), ", ".join(verdicts))
    return found.lines()
