"""A job of ipjob, as its record shows it."""

import json
import os
import socket
import threading
import time
import weakref
from datetime import datetime, timezone

from . import program
from .client import release
from .program import Failure, NotInstalled


def start_arguments(arguments, follow):
    """What the program is called with to start a job that outlives the call; `follow` is the process it ends with."""
    followed = ["--follow", str(follow)] if follow else []
    return ["--mode", "cluster-only", "--detach", "--json", *followed, *arguments]


def started(answer):
    """The job that the program has started, by its answer; None where it was asked for something else."""
    try:
        answer = json.loads(answer)
        return Job(answer["record"], answer["incarnation"])
    except (ValueError, KeyError, TypeError):
        return None


def start(arguments, follow=None, say=None):
    """Starts a job and returns the program's answer when it is ready. An interrupt meanwhile ends it, and leaves nothing."""
    supported()
    call = program.Call(start_arguments(arguments, follow))
    try:
        return call.wait(say)
    except BaseException:
        abandon(call)
        raise


def abandon(call):
    """Ends a call that nobody waits for any more, and the job of one that became ready at this moment."""
    call.end()
    job = started(call.answer()) if call.process.returncode == 0 else None
    if job:
        job.stop()


def supported():
    """Says what is missing where ipyparallel is. Without this look the job would start, and the client would not."""
    hints = ["pip install 'ipyparallel>=8', then restart the kernel"]
    try:
        import ipyparallel
    except ImportError as error:
        raise NotInstalled("this Python has no ipyparallel", hints, cause=str(error)) from None
    if ipyparallel.version_info[0] < 8:
        raise NotInstalled(f"this Python's ipyparallel is {ipyparallel.__version__}; 8 or later is needed", hints)


def live():
    """The jobs of this user that can be used from here: those of this allocation, or of this machine."""
    here = os.environ.get("SLURM_JOB_ID")
    jobs = json.loads(program.call(["status", "--json"]))
    found = []
    for told in jobs:
        if told["record"] and told["state"] in ("ready", "degraded"):
            job = Job(told["record"])
            # Of an array's element the record has Slurm's own number, as the variable has it.
            given = job.record().get("job", {}).get("id")
            if given == here if here else told["host"] == socket.gethostname():
                found.append(job)
    return found


class Job:
    """One life of a job; another that later has the same profile is none of it."""

    # Whether this process has asked it to end.
    asked_to_end = False

    def __init__(self, path, incarnation=None):
        self.path = path
        # Both halves of an `ipp.Cluster` hold it, and each hears of its end on a thread of its own.
        self.lock = threading.RLock()
        # Those that are let go when it ends.
        self.clients = weakref.WeakSet()
        self._old = None
        self._last = self._read() or {}
        self.incarnation = incarnation or self._last.get("incarnation", {}).get("id")
        self.profile = self._last.get("profile", {}).get("name")

    def _read(self):
        try:
            with open(self.path) as file:
                return json.load(file)
        except (OSError, ValueError):
            return None

    def record(self):
        """The newest record of this life."""
        record = self._read()
        if record and record["incarnation"]["id"] == self.incarnation:
            self._last = record
        return self._last

    def over(self):
        """Why it cannot be used any more; None while it can."""
        return self._look(("stopping", "ended"))

    def _look(self, states):
        """Why it cannot be used any more, be it that its state is one of these; None while it can."""
        read = self._read()
        if read is None:
            # A file server that does not answer for a moment is no end.
            return None if os.path.exists(os.path.dirname(self.path)) else "its profile directory is gone"
        if read["incarnation"]["id"] != self.incarnation:
            return "another job has its profile"
        self._last = read
        if read["state"] in states:
            return read["reason"]
        alive = _alive(read["incarnation"])
        if alive is False:
            return f"its ipjob, process {read['incarnation']['pid']}, is gone"
        return None if alive else self._silence(read)

    def _silence(self, read):
        """Why a process that cannot be seen from here counts as gone: its record is old, and a minute later no newer. One look
        after a laptop's sleep or a file server's outage proves nothing."""
        written = datetime.strptime(read["updated"], "%Y-%m-%dT%H:%M:%S%z")
        age = (datetime.now(timezone.utc) - written).total_seconds()
        if age <= 3 * read["refresh_s"]:
            self._old = None
        elif self._old is None or self._old[0] != read["updated"]:
            self._old = (read["updated"], time.monotonic())
        elif time.monotonic() - self._old[1] > 60:
            return f"its record was last written {age:.0f} s ago"
        return None

    def ended(self):
        """Why nothing of it runs any more; None while something does."""
        return self._look(("ended",))

    def wait_until(self, look, limit=float("inf")):
        """Waits until `over` or `ended` gives a reason, and returns it; None after so many seconds."""
        until = time.monotonic() + limit
        reason = look()
        while not reason and time.monotonic() < until:
            time.sleep(0.5)
            reason = look()
        return reason

    def connection(self):
        """The paths of the connection files of clients and of engines."""
        reason = self.over()
        if reason:
            raise Failure(self.told(reason))
        client = self.record()["controller"]["client_file"]
        directory, name = os.path.split(client)
        return {"client": client, "engine": os.path.join(directory, name.replace("-client.json", "-engine.json"))}

    def client(self, **options):
        """A client of ipyparallel's that is connected to it."""
        import ipyparallel

        return ipyparallel.Client(self.connection()["client"], **options)

    def release(self, reason):
        """Ends what waits for its engines, once it is over for this reason, and closes the clients."""
        with self.lock:
            clients, self.clients = list(self.clients), weakref.WeakSet()
        failures = []
        for client in clients:
            try:
                release(client, self.told(reason))
            except Exception as failure:
                # Of this client alone: the others wait too.
                failures.append(failure)
        if failures:
            raise failures[0]

    def told(self, reason):
        """What a user reads of its end."""
        return f"{self.profile} has ended: {reason}"

    def stops(self):
        """Whether it is on its way out, or has ended: a second request would end it by force."""
        return self.record().get("state") in ("stopping", "ended")

    def stop_arguments(self, limit):
        """What the program is called with to end it."""
        return ["stop", "--timeout", f"{limit}s", self.profile]

    def stop(self, say=None, limit=600):
        """Ends it in order, and returns when it has ended, or after so many seconds."""
        if self.stops():
            self.wait_until(self.ended, limit)
        else:
            program.call(self.stop_arguments(limit), say)

    def restart(self, all_engines=False, say=None):
        """Starts engines again that have ended, or all of them."""
        program.call(["restart", *(["--all"] if all_engines else []), self.profile], say)


def _alive(incarnation):
    """Whether its process lives; None where that cannot be seen, as on other hosts."""
    if incarnation["host"] != socket.gethostname():
        return None
    try:
        with open(f"/proc/{incarnation['pid']}/stat") as stat:
            state, *fields = stat.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    except OSError:
        return None
    return state != "Z" and int(fields[18]) == incarnation["pid_start"]
