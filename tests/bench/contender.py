"""The ways to a running cluster: each is started, found ready by the same facts, asked to end, and looked after."""
import os
import signal
import time
import urllib.error
import urllib.request

import process
from place import Place, until

HERE = os.path.dirname(os.path.realpath(__file__))
# What has not ended by itself so long after SIGTERM is left behind.
STOP_PATIENCE = 12


class Contender:
    """A command; with `jupyter` it starts a Jupyter server as well."""

    def __init__(self, name, command, jupyter):
        self.name = name
        self.command = command
        self.jupyter = jupyter

    def measure(self, path, engines):
        """One start and one stop: seconds to ready and CPU seconds until then, seconds to gone (None: not gone), processes
        and files left."""
        with Place(path) as place:
            begin = time.monotonic()
            child = place.start(self.command)
            until(lambda: registered(place) >= engines, f"{self.name}: the last engine", place)
            if self.jupyter:
                until(lambda: jupyter_answers(place), f"{self.name}: Jupyter's answer", place)
            ready = time.monotonic() - begin
            cpu = process.spent_s(place.processes())
            gone, left = stop(place, child)
            return {"ready": ready, "cpu": cpu, "gone": gone, "processes": left, "files": len(connection_files(place))}


def contenders(binary, engines):
    """Those with Jupyter, then those without."""
    count = str(engines)
    return [
        Contender("ipjob --mode notebook", [binary, "--mode", "notebook", "-n", count], True),
        Contender("classic script", ["bash", os.path.join(HERE, "classic.sh"), count], True),
        Contender("ipjob --mode cluster-only", [binary, "--mode", "cluster-only", "-n", count], False),
        Contender("ipcluster start", ["ipcluster", "start", "-n", count], False),
        cluster(engines),
        cluster(engines, "mpi"),
    ]


def cluster(engines, launcher="local"):
    """ipyparallel's own way in Python."""
    named = "" if launcher == "local" else f"engines={launcher!r}"
    return Contender(f"ipp.Cluster({named})", ["python", os.path.join(HERE, "cluster.py"), str(engines), launcher], False)


def registered(place):
    """Engines in the hub's own list, which it rewrites at every registration: the same fact for all, and no load."""
    listed = place.read(".ipython/profile_*/log/engines*.json")
    return len(listed["engines"]) if listed else 0


def jupyter_answers(place):
    """Whether the server's own file tells where it is and GET /api/status answers there to the token."""
    server = place.read(".local/share/jupyter/runtime/jpserver-*.json") or place.read(
        ".ipython/profile_*/ipjob-runtime/jupyter/jpserver-*.json")
    if not server:
        return False
    # In a job it listens on the node's own address.
    host = "127.0.0.1" if server["hostname"] == "localhost" else server["hostname"]
    request = urllib.request.Request(f"http://{host}:{server['port']}{server['base_url']}api/status",
                                     headers={"Authorization": f"token {server['token']}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def connection_files(place):
    """What would lead a next client to a cluster that is gone."""
    return place.find(".ipython/profile_*/security/*.json")


def stop(place, child, patience=STOP_PATIENCE):
    """Sends SIGTERM to the program that was started, and waits for the last process of it."""
    running = place.processes()
    begin = time.monotonic()
    child.send_signal(signal.SIGTERM)
    while True:
        # Our own child would stay a zombie.
        child.poll()
        running = process.living(running)
        seconds = time.monotonic() - begin
        # What was started since the first look counts as well.
        if not running and not (running := place.processes()):
            return seconds, 0
        if seconds > patience:
            return None, len(place.processes())
        time.sleep(0.005)
