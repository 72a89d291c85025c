"""`%ipjob` in a notebook or an IPython: start, status, stop and restart."""

import atexit
import os
import re
import shlex
import threading
import time

from . import job as jobs
from . import program
from .client import release
from .program import Failure

USAGE = """\
%ipjob start [--keep] [OPTIONS]   start engines, and connect to them: `rc`, %%px; OPTIONS are those of `ipjob`, such as
                                  -n 4, --mpi none, --launcher local; with --keep they outlive this kernel
%ipjob status [PROFILE]           show this kernel's job; a kernel without one connects to a job that is running here
%ipjob restart [--all]            restart engines that have ended, or all of them
%ipjob stop                       end the job cleanly
"""

WORDS = ["start", "status", "restart", "stop"]


class Progress:
    """One line in the cell: the newest of the program's, and for how long all has taken."""

    def __init__(self):
        self._began = time.monotonic()
        self._failed = False
        self._line = "..."
        self._shown = ""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        # A failure has lines of its own.
        self._show("" if kind else self._line)
        print(end="\r" if kind else "\n")

    def __call__(self, line):
        # The exception tells it; a line that a terminal wraps is not taken back.
        self._failed = self._failed or (line or "").startswith("error: ")
        if self._failed:
            return
        self._line = line or self._line
        seconds = int(time.monotonic() - self._began)
        self._show(f"{self._line}  ({seconds} s)" if seconds else self._line)

    def end(self, text):
        """Leaves this text in its place."""
        self._line = text

    def _show(self, text):
        if text != self._shown:
            print("\r" + text.ljust(len(self._shown)), end="", flush=True)
            self._shown = text


class Session:
    """What this kernel has of ipjob: at most one job, with a client."""

    def __init__(self, shell):
        self.shell = shell
        self.job = None
        self.client = None
        self.arguments = None
        self.kept = False
        self._busy = threading.Lock()
        self._profile = None
        atexit.register(self._at_exit)

    def command(self, line):
        """`%ipjob LINE`"""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise Failure(f"%ipjob {line}: {error}") from None
        if not words or words[0] in ("-h", "--help", "help"):
            print(USAGE, end="")
            return
        if words[0] not in WORDS:
            raise Failure(f"%ipjob {words[0]}: there is no such command", [f"use one of {', '.join(WORDS)}"])
        self.run(words[0], words[1:])

    def run(self, command, arguments):
        """One command; the cells of a kernel may run side by side."""
        if not self._busy.acquire(blocking=False):
            raise Failure("another cell is running %ipjob", ["wait until it has ended, or interrupt it"])
        try:
            getattr(self, command)(arguments)
        except KeyboardInterrupt:
            began = "; what it had started was ended" if command == "start" else ""
            raise Failure(f"the {command} was interrupted{began}") from None
        finally:
            self._busy.release()

    def start(self, arguments):
        """Starts a job and connects to it. The same cell once more finds it running."""
        current = self._current()
        if current:
            if arguments != self.arguments:
                how = "was not started by this kernel" if self.arguments is None else f"was started by `%ipjob {shlex.join(['start', *self.arguments])}`"
                raise Failure(
                    f"{current.profile} is running with {_engines(current)}, and {how}",
                    ["`%ipjob stop` ends it, and then another can start; a kernel has at most one"],
                )
            print(f"{current.profile} is running: {_engines(current)}")
            return
        keep = "--keep" in arguments
        options = [word for word in arguments if word != "--keep"]
        with Progress() as progress:
            answer = jobs.start(options, None if keep else os.getpid(), progress)
            started = jobs.started(answer)
            if started is None:
                # --dry-run and --help start nothing.
                progress.end(answer.rstrip())
                return
            try:
                self._adopt(started, arguments, keep)
            except BaseException:
                # Nobody knows of it, who could end it.
                started.stop()
                raise
            progress.end(_ready(started))
        for warning in started.record()["warnings"]:
            print("warning:", warning)

    def status(self, arguments):
        """Shows the job; a kernel without one takes the job that runs here."""
        current = self._current()
        if current:
            if arguments not in ([], [current.profile]):
                raise Failure(f"this kernel has {current.profile}", ["`%ipjob stop` ends it; another kernel can have another job"])
            record = current.record()
            print(f"{current.profile}: {record['state']}, {_engines(current)} on {', '.join(record['job']['nodes'])}")
            if record["job"]["deadline"]:
                print(f"ends at the latest at {record['job']['deadline']}")
            return
        running = [job for job in jobs.live() if not arguments or job.profile == arguments[0]]
        if not running:
            name = f" {arguments[0]}" if arguments else ""
            print(f"no ipjob job{name} is running here; `%ipjob start -n 4` starts one")
        elif len(running) > 1:
            print("running here:", ", ".join(job.profile for job in running))
            print(f"connect to one: %ipjob status {running[0].profile}")
        else:
            self._adopt(running[0], None, True)
            print(_ready(running[0]))

    def stop(self, arguments):
        """Ends the job in order. Its client is closed first: what a cell waits for would not come any more."""
        _none(arguments)
        job = self._job()
        self._retire(job, job.told("it was stopped"))
        with Progress() as progress:
            job.stop(progress)

    def restart(self, arguments):
        """Starts engines again that have ended, or all."""
        if arguments not in ([], ["--all"]):
            raise Failure(f"%ipjob restart takes only --all, not {' '.join(arguments)}")
        job = self._job()
        with Progress() as progress:
            job.restart(bool(arguments), progress)

    def _current(self):
        """The job, while it can be used; one that is over is let go, if its watcher has not done so yet."""
        job = self.job
        reason = job and job.over()
        if reason:
            self._retire(job, job.told(reason))
        return None if reason else job

    def _job(self):
        job = self._current()
        if not job:
            raise Failure("this kernel has no ipjob job", ["`%ipjob start -n 4` starts one", "`%ipjob status` shows others"])
        return job

    def _adopt(self, job, arguments, kept):
        """Connects to it: `rc`, %%px, and `ipp.Client()` without an argument."""
        self.client = job.client()
        self.job, self.arguments, self.kept = job, arguments, kept
        view = self.client[:]
        view.block = True
        view.activate()
        self.shell.user_ns["rc"] = self.client
        application = _application()
        if application:
            self._profile, application.profile = application.profile, job.profile
        threading.Thread(target=self._watch, args=(job,), name="ipjob", daemon=True).start()

    def _at_exit(self):
        """The job follows the kernel and ends after it. But where Slurm ends the step when Jupyter has ended, and Jupyter waits
        for its kernels for 5 s, the job has to have ended before."""
        job = self.job
        if job and not self.kept:
            try:
                job.stop(limit=4)
            except Failure:
                pass

    def _watch(self, job):
        """Once it has ended, whoever ended it, no cell waits for it."""
        self._retire(job, job.told(job.wait_until(job.over)))

    def _retire(self, job, why):
        """Lets go of the job, once: a client that is left open would wait for ever."""
        with job.lock:
            if self.job is not job:
                return
            client = self.client
            self.job = self.client = self.arguments = None
        # Before a cell that waits continues, and the next one begins.
        self._no_px(client, why)
        if self.shell.user_ns.get("rc") is client:
            del self.shell.user_ns["rc"]
        application = _application()
        if application and application.profile == job.profile:
            application.profile = self._profile
        release(client, why)

    def _no_px(self, client, why):
        """%%px of a closed client says what has become of it. A new client makes its own, where there is no %px."""

        def px(line, cell=None):
            raise Failure(why, ["`%ipjob start -n 4` starts another"])

        magics = self.shell.magics_manager.magics
        for kind, names in (("cell", ["px"]), ("line", ["px", "autopx", "pxconfig", "pxresult"])):
            for name in names:
                magic = magics[kind].get(name)
                view = getattr(getattr(magic, "__self__", None), "view", None)
                if getattr(view, "client", None) is client:
                    del magics[kind][name]
        magics["cell"].setdefault("px", px)


def _application():
    """The running IPython, or the kernel, whose profile is a client's default; where its files are was settled before."""
    from IPython.core.application import BaseIPythonApplication

    return BaseIPythonApplication.instance() if BaseIPythonApplication.initialized() else None


def _engines(job):
    engines = job.record()["engines"]
    return f"{engines['registered']} of {engines['expected']} engines"


def _ready(job):
    return f"{job.profile} is ready: {_engines(job)}. rc is its client, and %%px runs a cell on them."


def _none(arguments):
    if arguments:
        raise Failure(f"this takes no argument, but {' '.join(arguments)} was given")


def _options():
    """The options of the program, from its manual."""
    return sorted(set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z-]+)", program.call(["--help"]), re.MULTILINE)))


def complete(shell, event):
    """What can follow on a line with %ipjob."""
    words = event.line.split()
    if len(words) < 2 or (len(words) == 2 and not event.line.endswith(" ")):
        return WORDS
    if words[1] == "start":
        return ["--keep", *_options()]
    return ["--all"] if words[1] == "restart" else []


_sessions = {}


def session(shell):
    """The one of this shell, however often an extension is loaded."""
    return _sessions.setdefault(id(shell), Session(shell))


def load(shell):
    """Makes %ipjob known to the shell."""
    here = session(shell)

    def ipjob(line):
        here.command(line)

    ipjob.__doc__ = USAGE
    shell.register_magic_function(ipjob, "line", "ipjob")
    shell.set_hook("complete_command", complete, str_key="%ipjob")
