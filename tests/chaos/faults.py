"""Faults: what is done to a running job, and by which facts it is seen to have recovered."""
import json
import os
import signal
import socket
import time
import urllib.request

import process
import slow


class Job:
    """A job as it is seen from outside."""

    def __init__(self, place):
        self.place = place

    def record(self):
        return self.place.read(".ipython/profile_*/ipjob.json") or {}

    def leader(self):
        """The ipjob that supervises."""
        return self.record()["incarnation"]["pid"]

    def launchers(self):
        """ipjob itself: of several ranks all, and the one that leads last."""
        leader = self.leader()
        return [pid for pid in process.named("ipjob", self.place.mark) if pid != leader] + [leader]

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
    send(job.leader(), signal.SIGSTOP)
    time.sleep(chance.uniform(1, 4))
    send(job.leader(), signal.SIGCONT)


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


def everything(job):
    """All processes of the job, ipjob last: who is watched before who watches."""
    ours = process.carrying(job.place.mark, "IPJOB_INCARNATION=" + job.record()["incarnation"]["id"])
    return [pid for pid in ours if pid not in job.launchers()] + job.launchers()


def suspend(job, chance):
    """Stops the whole job for a while, as a batch system does that has a more urgent one."""
    pids = everything(job)
    for pid in pids:
        send(pid, signal.SIGSTOP)
    time.sleep(chance.uniform(4, 8))
    for pid in reversed(pids):
        send(pid, signal.SIGCONT)


def slow_down(job, chance):
    """Leaves the whole job a fiftieth of a CPU for a while."""
    with slow.limited(everything(job), 2):
        time.sleep(chance.uniform(8, 15))


def controller_killed_slowly(job, chance):
    """The controller dies where its successor gets little of a CPU."""
    with slow.limited(everything(job), 10):
        send(main_of_controller(job), signal.SIGKILL)
        time.sleep(chance.uniform(8, 15))


def controller_killed_while_it_hangs(job, chance):
    """The controller is killed while its hub, which notes the end of an engine, is in uninterruptible sleep."""
    main = main_of_controller(job)
    with job.place.frozen():
        send(engine(job, chance), signal.SIGKILL)
        end = time.monotonic() + 10
        while not any(process.state(pid) == "D" for pid in job.of_service("controller")) and time.monotonic() < end:
            time.sleep(0.05)
        send(main, signal.SIGKILL)
        time.sleep(chance.uniform(4, 8))


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
    Fault("job suspended for 4 to 8 s", suspend),
    Fault("garbage on every port", shout),
]

# Where control groups of version 1 can be made.
SLOW_FAULTS = [
    Fault("2 % of a CPU for 8 to 15 s", slow_down),
    Fault("controller killed, 10 % of a CPU", controller_killed_slowly, "controller"),
]

# Where the home is on a file system of its own.
HOME_FAULTS = [
    Fault("disk full for 2 to 6 s", home_full),
    Fault("home frozen for 2 to 6 s", home_frozen),
    Fault("controller killed on a full disk", controller_killed_with("full"), "controller"),
    Fault("controller killed, home frozen", controller_killed_with("frozen"), "controller"),
]

# Where both is so: the hub writes when an engine ends, which is then started again.
HANGING_FAULTS = [
    Fault("controller killed in state D", controller_killed_while_it_hangs, "controller"),
]

# With `--respawn` alone. One that is stopped is missed by the hub after 30 s.
ENGINE_FAULTS = [
    Fault("an engine killed", lambda job, chance: send(engine(job, chance), signal.SIGKILL), "engines"),
    Fault("an engine stopped", lambda job, chance: send(engine(job, chance), signal.SIGSTOP), "engines"),
]
