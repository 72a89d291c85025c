"""A home of its own for one start: nothing is found there but what the measured programs make, nothing stays behind."""
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import process

# The longest that a fact is waited for: far beyond what a busy machine needs.
PATIENCE = 120
# Between two looks: short against what is measured.
PAUSE = 0.005


class Unmeasurable(Exception):
    """A start or an end that did not come, with what the programs said."""


def until(fact, what, place, limit=PATIENCE):
    """Waits for a fact and returns it, or fails with the last lines that the programs wrote: when the time is up, or when
    one that was started here has ended, since all of them run until they are stopped."""
    end = time.monotonic() + limit
    while True:
        found = fact()
        if found:
            return found
        ended = any(child.poll() is not None for child in place.children)
        if ended or time.monotonic() > end:
            why = "before the program ended" if ended else f"within {limit} s"
            raise Unmeasurable(f"{what} did not come {why}; last lines:\n{place.tail()}")
        time.sleep(PAUSE)


class Home:
    """A home directory in which the measured programs leave their files."""

    def __init__(self, home):
        self.home = home

    def find(self, pattern):
        """Files of this home by a pattern; hidden directories are found where the pattern names them."""
        return glob.glob(os.path.join(self.home, pattern))

    def read(self, pattern):
        """The first of these files that is whole JSON."""
        for path in self.find(pattern):
            try:
                with open(path) as file:
                    return json.load(file)
            except (OSError, ValueError):
                pass
        return None


class Place(Home):
    """`with Place(venv) as place:` is a directory that serves as HOME; at its end, also on Ctrl-C, every process that
    was started in it is killed by its pid and the directory is removed."""

    def __init__(self, path):
        super().__init__(None)
        self.path = path

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="ipjob-bench-")
        self.mark = f"IPJOB_BENCH={uuid.uuid4().hex}"
        self.output = os.path.join(self.home, "output")
        self.children = []
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave half of it behind.
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            process.end(self.mark)
            for child in self.children:
                child.wait()
            shutil.rmtree(self.home, ignore_errors=True)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def environment(self, **more):
        """PATH, HOME, the mark, and nothing that the caller's own session has set."""
        name, _, value = self.mark.partition("=")
        path = os.pathsep.join([*self.path, "/usr/local/bin", "/usr/bin", "/bin"])
        return {"HOME": self.home, "PATH": path, "LANG": "C.UTF-8", name: value, **more}

    def start(self, command, **streams):
        """Starts a program in a session of its own; its output goes into a file unless said otherwise."""
        with open(self.output, "ab") as output:
            streams = {"stdout": output, "stderr": output, **streams}
            child = subprocess.Popen(command, cwd=self.home, env=self.environment(), stdin=subprocess.DEVNULL,
                                     start_new_session=True, **streams)
        self.children.append(child)
        return child

    def tail(self):
        try:
            with open(self.output, errors="replace") as file:
                return "".join(file.readlines()[-15:])
        except OSError:
            return ""

    def processes(self):
        return process.carrying(self.mark)
