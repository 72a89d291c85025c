"""Faults: what is done to a running job, and by which facts it is seen to have recovered."""
import json
import os
import signal
import socket
import time
import urllib.request

import process


class Job:
    """A job as it is seen from outside."""

    def __init__(self, place, pid):
        self.place = place
        self.pid = pid

    def record(self):
        return self.place.read(".ipython/profile_*/ipjob.json") or {}

    def restarts(self, service):
        return self.record().get("restarts", {}).get(service, 0)

    def of_service(self, service):
        """The running processes of a service, {pid: start}."""
        return process.carrying(f"IPJOB_SERVICE={service}", self.place.mark)

    def answers(self):
        """Whether Jupyter answers to its token."""
        record = self.record()
        if not record.get("url"):
            return False
        place, _, token = record["url"].partition("lab?token=")
        try:
            with urllib.request.urlopen(f"{place}api/status?token={token}", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


class Fault:
    """One thing that is done. Its `service` is what will be started again; None where nothing needs to be."""

    def __init__(self, name, do, service=None):
        self.name, self.do, self.service = name, do, service

    def inject(self, job, chance):
        """Does it, and returns the fact of the recovery: a function that is true once nothing of the fault is left. When clients
        can work again is asked of the client."""
        before = job.restarts(self.service) if self.service else 0
        undo = self.do(job, chance)
        if not self.service:
            return lambda: undo is None or undo()
        return lambda: job.restarts(self.service) > before and job.record().get("state") == "ready"


def main_of_controller(job):
    return job.record()["controller"]["pid"]


def child_of_controller(job, chance):
    main = main_of_controller(job)
    return chance.choice(sorted(pid for pid in job.of_service("controller") if pid != main))


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def hold_ipjob(job, chance):
    """Stops ipjob for a while: all else goes on without it."""
    os.kill(job.pid, signal.SIGSTOP)
    time.sleep(chance.uniform(1, 4))
    os.kill(job.pid, signal.SIGCONT)


def shout(job, chance):
    """Garbage to every port of the controller."""
    for path in job.place.find(".ipython/profile_*/security/ipcontroller-*.json"):
        with open(path) as file:
            ports = [value for value in json.load(file).values() if isinstance(value, int)]
        for port in ports:
            try:
                with socket.create_connection(("127.0.0.1", port), 2) as peer:
                    peer.sendall(chance.randbytes(chance.randrange(1, 5000)))
            except OSError:
                pass


def home_full(job, chance):
    """Leaves no room for a while."""
    with job.place.full():
        time.sleep(chance.uniform(2, 6))


def home_frozen(job, chance):
    """Lets nobody write for a while."""
    with job.place.frozen():
        time.sleep(chance.uniform(2, 6))


def controller_killed_with(state):
    """The same while the controller dies, which can be replaced only afterwards."""

    def do(job, chance):
        with getattr(job.place, state)():
            send(main_of_controller(job), signal.SIGKILL)
            time.sleep(chance.uniform(2, 6))

    return do


def engine(job, chance):
    return chance.choice(job.record()["engines"]["list"])["pid"]


FAULTS = [
    Fault("controller killed", lambda job, _: send(main_of_controller(job), signal.SIGKILL), "controller"),
    Fault("controller asked to end", lambda job, _: send(main_of_controller(job), signal.SIGTERM), "controller"),
    Fault("controller stopped", lambda job, _: send(main_of_controller(job), signal.SIGSTOP), "controller"),
    Fault("a scheduler killed", lambda job, chance: send(child_of_controller(job, chance), signal.SIGKILL), "controller"),
    Fault("a scheduler stopped", lambda job, chance: send(child_of_controller(job, chance), signal.SIGSTOP), "controller"),
    Fault("Jupyter killed", lambda job, _: [send(pid, signal.SIGKILL) for pid in job.of_service("jupyter")] and None, "jupyter"),
    Fault("ipjob held for 1 to 4 s", hold_ipjob),
    Fault("garbage on every port", shout),
]

# Where the home is on a file system of its own.
HOME_FAULTS = [
    Fault("disk full for 2 to 6 s", home_full),
    Fault("home frozen for 2 to 6 s", home_frozen),
    Fault("controller killed on a full disk", controller_killed_with("full"), "controller"),
    Fault("controller killed, home frozen", controller_killed_with("frozen"), "controller"),
]

# With `--respawn engine` alone. One that is stopped is missed by the hub after 30 s.
ENGINE_FAULTS = [
    Fault("an engine killed", lambda job, chance: send(engine(job, chance), signal.SIGKILL), "engines"),
    Fault("an engine stopped", lambda job, chance: send(engine(job, chance), signal.SIGSTOP), "engines"),
]
