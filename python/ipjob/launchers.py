"""`ipp.Cluster(engines="ipjob")`: ipyparallel's own cluster object starts, finds and ends jobs of ipjob.

ipyparallel starts a controller, waits a second, and then starts sets of engines. A job of ipjob is both at once: the
controller's launcher keeps its place, and the set of engines, of which there is one, starts it.
"""

import asyncio
import functools
import glob
import json
import os
import socket
import threading

from . import job as jobs
from . import program
from .program import Failure

# All below comes with it.
jobs.supported()

import psutil  # noqa: E402
from ipyparallel import Cluster  # noqa: E402
from ipyparallel.cluster.launcher import (  # noqa: E402
    BaseLauncher,
    ControllerLauncher,
    EngineLauncher,
    LocalEngineSetLauncher,
    NotRunning,
)
from traitlets import Bool, List, Unicode  # noqa: E402


async def _call(arguments, log):
    """Calls the program while the loop keeps running. A wait that is given up, by whatever exception, ends the call."""
    call = program.Call(arguments)
    try:
        while True:
            done = call.done()
            for line in call.lines():
                log.info(line)
            if done:
                return call.answer()
            await asyncio.sleep(0.05)
    except BaseException:
        jobs.abandon(call)
        raise


class _Launcher(BaseLauncher):
    """Either half of a job, found again by its record."""

    # So files of clusters name it, and ipyparallel finds it by its entry point.
    entrypoint_name = "ipjob"

    # A stop takes what --stop-timeout gives it; ipyparallel's own limit would be a minute.
    stop_timeout = 600

    record = Unicode().tag(to_dict=True)
    incarnation = Unicode().tag(to_dict=True)
    job = None

    @classmethod
    def from_dict(cls, d, **kwargs):
        launcher = super().from_dict(d, **kwargs)
        if launcher.record:
            # The controller is made first, and both halves of a job share it: it is asked for its end once.
            other = getattr(launcher.parent.controller, "job", None)
            same = other and other.incarnation == launcher.incarnation
            launcher.take(other if same else jobs.Job(launcher.record, launcher.incarnation))
            reason = launcher.job.over()
            if reason:
                raise NotRunning(reason)
        return launcher

    def take(self, job):
        """Holds the job, and notifies those who have asked when it has ended, whoever ended it."""
        self.job, self.record, self.incarnation = job, job.path, job.incarnation
        threading.Thread(target=self._watch, args=(job,), name="ipjob", daemon=True).start()

    def _watch(self, job):
        try:
            job.release(job.wait_until(job.over))
        finally:
            # Whatever came of that: ipyparallel hears of the end from nobody else.
            self._ended(job.wait_until(job.ended))

    def _ended(self, reason):
        if not self.job:
            return self.notify_stop({"exit_code": 0, "reason": reason, "identifier": self.identifier})
        exit_code = self.job.record().get("exit")
        # Both halves write the cluster's file when they are told.
        with self.job.lock:
            return self.notify_stop({"exit_code": exit_code, "reason": reason, "identifier": self.identifier})

    def find_args(self):
        return [self.entrypoint_name]

    def poll(self):
        return self.job.over() if self.job else None

    @property
    def process(self):
        """ipjob's own process, if it runs on this machine."""
        incarnation = self.job.record()["incarnation"] if self.job else {"host": None}
        return psutil.Process(incarnation["pid"]) if incarnation["host"] == socket.gethostname() else None

    async def join(self, timeout=None):
        deadline = asyncio.get_running_loop().time() + (timeout or float("inf"))
        while self.job and not self.job.ended():
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{self.job.profile} has not ended in {timeout} seconds")
            await asyncio.sleep(0.05)

    async def stop(self):
        """Ends the job, with both halves: its engines have no other controller, and it is over without engines. A second
        request would end it by force, so only one of the halves asks."""
        if self.job and not self.job.stops() and not self.job.asked_to_end:
            self.job.asked_to_end = True
            try:
                await _call(self.job.stop_arguments(self.stop_timeout), self.log)
            except BaseException:
                self.job.asked_to_end = False
                raise
        await self.join(self.stop_timeout)
        self._ended(self.job.ended() if self.job else None)

    def get_output(self, remove=False):
        """What the job's processes of this half have said. The logs are the job's, so they stay."""
        if not self.job:
            return ""
        output = []
        for path in sorted(glob.glob(os.path.join(self.job.record()["profile"]["log_dir"], self.logs))):
            with open(path, errors="replace") as file:
                output.append(file.read())
        return "".join(output)


class IpjobControllerLauncher(_Launcher, ControllerLauncher):
    """The controller of a job."""

    logs = "ipjob-controller.log"

    def start(self):
        cluster = self.parent
        if cluster.engine_launcher_class is LocalEngineSetLauncher:
            cluster.engine_launcher_class = IpjobEngineSetLauncher
        if not issubclass(cluster.engine_launcher_class, IpjobEngineSetLauncher):
            raise Failure(
                f"controller='ipjob' brings its own engines, but {cluster.engine_launcher_class.__name__} would start others",
                ["set engines='ipjob' as well, or leave it out"],
            )
        # Both are for a controller that is started by itself.
        cluster.delay = 0
        cluster.send_engines_connection_env = False
        return self.notify_start(None)

    async def launch(self, n, options):
        """Starts the job."""
        if self.job and not self.job.over():
            raise Failure(
                f"{self.job.profile} already has its engines, and no second set can join them",
                ["another ipp.Cluster(engines='ipjob') is a job of its own"],
            )
        count = ["-n", str(n)] if n else []
        arguments = [f"--controller-arg={argument}" for argument in self.controller_args]
        # A cluster that is not to be shut down at exit outlives this process.
        follow = os.getpid() if self.parent.shutdown_atexit else None
        answer = await _call(jobs.start_arguments([*count, *arguments, *options], follow), self.log)
        job = jobs.started(answer)
        if job is None:
            raise Failure("ipjob has started no job", ["of its options, --dry-run and --help start none"], cause=answer[:200].strip())
        self.state = "running"
        self.take(job)
        return job

    async def get_connection_info(self, timeout=None):
        """The job is ready when it has started, so nothing is waited for."""
        if not self.job:
            raise Failure("there is no job yet", ["start the engines: they start the controller with them"])
        info = {}
        for kind, path in self.job.connection().items():
            with open(path) as file:
                info[kind] = json.load(file)
        return info


class IpjobEngineSetLauncher(_Launcher, EngineLauncher):
    """The engines of a job."""

    logs = "ipjob-engine*.log"

    options = List(
        Unicode(),
        config=True,
        help="""More options for ipjob, such as ["--mpi", "none", "--idle-timeout", "30m"]; `ipjob --help` lists them all.""",
    )

    counted = Bool(help="Nobody has said how many, and ipyparallel has put the number of this machine's CPUs")

    async def start(self, n):
        arguments = [f"--engine-arg={argument}" for argument in self.engine_args]
        try:
            # The allocation's number is ipjob's to know.
            job = await self.parent.controller.launch(None if self.counted else n, [*arguments, *self.options])
        except BaseException:
            self.parent.engines.pop(self.engine_set_id, None)
            raise
        self.n = job.record()["engines"]["expected"]
        self.take(job)
        return self.notify_start(self.n)

    def signal(self, sig):
        """Engines may be on other nodes, so the signal goes through the controller."""
        with self.job.client() as client:
            client.send_signal(int(sig), block=True)

    async def restart(self):
        """Engines keep their ids, and clients their connection."""
        await _call(["restart", "--all", self.job.profile], self.log)


def _teach(cluster):
    """Methods of ipyparallel's Cluster that ask the engines' launcher nothing: one starts a controller of its own before, one
    counts CPUs, one stops the engines and starts them again, and the job would be over in between, and one makes clients, which
    would wait for ever for what no engine has begun when the job ends."""
    start_controller, start_engines = cluster.start_controller, cluster.start_engines
    restart_engines, connect_client = cluster.restart_engines, cluster.connect_client

    @functools.wraps(start_controller)
    async def start_controller_of_same_kind(self, **kwargs):
        if issubclass(self.engine_launcher_class, IpjobEngineSetLauncher):
            self.controller_launcher_class = IpjobControllerLauncher
        return await start_controller(self, **kwargs)

    @functools.wraps(start_engines)
    async def start_engines_of_the_allocation(self, n=None, engine_set_id=None, **kwargs):
        if issubclass(self.engine_launcher_class, IpjobEngineSetLauncher):
            kwargs["counted"] = n is None and self.n is None
        return await start_engines(self, n, engine_set_id, **kwargs)

    @functools.wraps(restart_engines)
    async def restart_engines_in_place(self, engine_set_id=None):
        engines = self.engines.get(engine_set_id)
        if isinstance(engines, IpjobEngineSetLauncher):
            return await engines.restart()
        return await restart_engines(self, engine_set_id)

    @functools.wraps(connect_client)
    async def connect_client_that_hears_of_the_end(self, **kwargs):
        client = await connect_client(self, **kwargs)
        if isinstance(self.controller, IpjobControllerLauncher):
            self.controller.job.clients.add(client)
        return client

    cluster.start_controller = start_controller_of_same_kind
    cluster.start_engines = start_engines_of_the_allocation
    cluster.restart_engines = restart_engines_in_place
    cluster.connect_client = connect_client_that_hears_of_the_end


_teach(Cluster)
