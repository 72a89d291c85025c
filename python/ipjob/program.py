"""The program `ipjob`: where it is, how it is called, and how it says what failed."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time

from . import __version__


class Failure(Exception):
    """What went wrong, in the words of ipjob."""

    def __init__(self, message, hints=(), cause=None, exit_code=None, log=None):
        super().__init__(message)
        self.message = message
        self.hints = list(hints)
        self.cause = cause
        self.exit_code = exit_code
        self.log = log

    def lines(self):
        """As the program itself shows a failure."""
        lines = [self.message]
        lines += [f"  cause: {self.cause}"] if self.cause else []
        lines += [f"  log: {self.log}"] if self.log else []
        return lines + [f"  hint: {hint}" for hint in self.hints]

    def __str__(self):
        return "\n".join(self.lines())

    def _render_traceback_(self):
        # IPython shows these lines in place of a traceback, which says nothing about a cluster.
        return ["ipjob: error: " + str(self)]


class NotInstalled(Failure, ImportError):
    """What this Python lacks."""


def _directories():
    """Where programs of this Python's packages are: of its environment, of the user, and beside `pip install --target`."""
    directories = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    if f"{os.name}_user" in sysconfig.get_scheme_names():
        directories.append(sysconfig.get_path("scripts", f"{os.name}_user"))
    directories.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), "bin"))
    return list(dict.fromkeys(directories))


def _is_program(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)


_checked = {}


def find():
    """The path of the program, which is of the same version as this package."""
    if "IPJOB" in os.environ:
        candidates = [os.environ["IPJOB"]]
    else:
        candidates = [os.path.join(directory, "ipjob") for directory in _directories()]
        candidates.append(shutil.which("ipjob") or "")
    path = next((path for path in candidates if _is_program(path)), None)
    if path is None:
        named = "the variable IPJOB does not name one" if "IPJOB" in os.environ else f"neither in {_directories()[0]} nor on PATH"
        raise Failure(
            f"no program ipjob: {named}",
            ["install the wheel that contains it, or set the variable IPJOB to its path"],
            cause=os.environ.get("IPJOB"),
        )
    # Asked once: a kernel outlives an update of the program, and then the two are different.
    stamp = (path, os.stat(path).st_mtime_ns)
    if stamp not in _checked:
        _checked[stamp] = _version(path)
    if _checked[stamp] != __version__:
        raise Failure(
            f"{path} is ipjob {_checked[stamp]}, but the Python package in {os.path.dirname(__file__)} is {__version__}",
            ["install both from one wheel, then restart the kernel"],
        )
    return path


def _version(path):
    try:
        shown = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise Failure(f"cannot run {path}", cause=str(error)) from None
    words = shown.stdout.split()
    if shown.returncode != 0 or words[:1] != ["ipjob"]:
        raise Failure(f"{path} is not ipjob: `--version` ended with code {shown.returncode}", cause=shown.stderr.strip() or None)
    return words[-1]


# Where a cell's Jupyter is one of ipjob's, its environment has what was said for that job alone.
OF_ONE_JOB = (
    "DETACH",
    "DRY_RUN",
    "FOLLOW",
    "JOBID",
    "JSON",
    "JUPYTER_PORT",
    "JUPYTER_TOKEN_FILE",
    "ON_READY",
    "PROFILE",
    "RECORD",
)


def environment():
    """The environment for the program: ipcontroller and ipengine are those of this Python, whatever PATH a kernel has."""
    directories = [path for path in _directories() if _is_program(os.path.join(path, "ipcontroller"))]
    # A kernel has programs write in colour for its cells; what the program says here is read first.
    dropped = {"CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", *(f"IPJOB_{name}" for name in OF_ONE_JOB)}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "PATH": os.pathsep.join([*directories, os.environ.get("PATH", os.defpath)])}


def _failure(answer, said, code):
    """The failure that the program gave in JSON, or else in its own words."""
    try:
        error = json.loads(answer)["error"]
        log = json.loads(answer).get("log")
        return Failure(error["message"], error["hints"], error["cause"], error["exit_code"], log)
    except (ValueError, KeyError, TypeError):
        return Failure(f"ipjob ended with exit code {code}", cause=said.strip() or None, exit_code=code)


class Call:
    """One call of the program, in a session of its own: an interrupt of a notebook goes to whoever waits, who ends the
    call. What it says goes to files, so that a caller can look again and again and waits in a way of its own."""

    def __init__(self, arguments):
        command = [find(), *arguments]
        self._said = tempfile.TemporaryFile("w+", errors="replace")
        self._answer = tempfile.TemporaryFile("w+", errors="replace")
        self._rest = ""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._answer,
            stderr=self._said,
            env=environment(),
            start_new_session=True,
        )

    def lines(self):
        """The whole lines that it has said since the last look."""
        # The offset belongs to the open file, which the program shares: read by position.
        text = self._rest + self._read_on()
        *lines, self._rest = text.split("\n")
        return lines

    _read = 0

    def _read_on(self):
        data = os.pread(self._said.fileno(), 1 << 20, self._read)
        self._read += len(data)
        return data.decode(errors="replace")

    def done(self):
        """Whether it has ended."""
        return self.process.poll() is not None

    def answer(self):
        """What it printed, once it has ended well."""
        code = self.process.wait()
        size = os.fstat(self._answer.fileno()).st_size
        answer = os.pread(self._answer.fileno(), size, 0).decode(errors="replace")
        if code != 0:
            raise _failure(answer, os.pread(self._said.fileno(), 1 << 20, 0).decode(errors="replace"), code)
        return answer

    def wait(self, say=None):
        """Waits for its answer; `say` gets each line that it says, and None while there is none."""
        while True:
            done = self.done()
            for line in self.lines():
                if say:
                    say(line)
            if done:
                return self.answer()
            if say:
                say(None)
            time.sleep(0.05)

    def end(self):
        """Ends it in order, and with it what it has begun."""
        if not self.done():
            self.process.terminate()
            self.process.wait()


def call(arguments, say=None):
    """Calls the program and waits for what it prints."""
    running = Call(arguments)
    try:
        return running.wait(say)
    except BaseException:
        running.end()
        raise
