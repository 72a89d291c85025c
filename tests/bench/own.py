"""What ipjob itself costs: its size, its memory, its CPU and wake-ups in idle, its share of the start and of the stop."""
import os
import re
import select
import shutil
import signal
import time

import process
from place import PATIENCE, Place, Unmeasurable, until

FAKES = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "fakes")

# A Python that notes when a program is started with it and then is the real one. bash needs a millisecond or two for
# that, where Python itself would need twenty; they count as ipjob's, to be on the safe side. What ipjob puts before a
# script (a program in its private directory, with an order) runs too, and is not the name.
STAMPING_PYTHON = """#!/bin/bash
given=("$@")
while [[ $1 == */ipjob-runtime*/*.py || $1 == \\{* ]]; do shift; done
for script; do [[ $script != -* ]] && break; done
[[ $script ]] && echo "${script##*/} $EPOCHREALTIME" >>"$HOME/starts"
exec /usr/bin/python3 "${given[@]}"
"""


def idle(path, binary, engines, seconds, windows):
    """A whole job with so many engines: memory once it is calm, then CPU and wake-ups in each of the windows."""
    with Place(path) as place:
        child = place.start([binary, "--mode", "notebook", "-n", str(engines)])
        wait_ready(place)
        starting = process.cpu_ns(child.pid) / 1e9
        # The start's last work (Jupyter's page, the hub's log) must not count.
        time.sleep(min(3, seconds))
        resident, own = process.resident_kb(child.pid)
        found = []
        for _ in range(windows):
            cpu, wakeups = process.cpu_ns(child.pid), process.wakeups(child.pid)
            begin = time.monotonic()
            time.sleep(seconds)
            length = time.monotonic() - begin
            found.append({"cpu": (process.cpu_ns(child.pid) - cpu) / 1e9 / length,
                          "wakeups": (process.wakeups(child.pid) - wakeups) / length})
        return {"starting": starting, "resident": resident / 1024, "pss": own / 1024, "windows": found}


def wait_ready(place):
    def ready():
        record = place.read(".ipython/profile_*/ipjob.json")
        return record and record["state"] == "ready"

    until(ready, "ipjob's state ready", place)


def shares(binary, engines):
    """ipjob's own share of a start and of a stop, in seconds.

    Of a start: the wall time from the start of ipjob to its line "ready:", less the time in which it waited for the
    program that was ready last. That is, with fake programs that are ready at once:

        start of ipjob       -> start of the program that is ready last
        that program's fact  -> the line "ready:"

    Programs stamp their own starts; facts are the times of the files that the programs write. The kernel stamps files
    by its clock tick (4 ms), always too early, so what is printed here is rather too much than too little.

    Of a stop: SIGTERM to the end of ipjob. The fakes end at once, so all of it is ipjob's.
    """
    with FakePlace([]) as place:
        begin = time.time()
        child = place.start([binary, "--mode", "notebook", "-n", str(engines), "--engine-start", "exec"], stderr=-1)
        ready = seen(child.stderr, rb"ready: \d+ engines", place)
        profile = place.find(".ipython/profile_*")[0]
        starts = last_starts(place)
        facts = {
            # Written by the controller's last child; its main process listens in the next moment.
            "ipcontroller": os.stat(os.path.join(profile, "fake-children")).st_mtime,
            "ipengine": os.stat(os.path.join(profile, "log", "enginesipjob0.json")).st_mtime,
            "jupyter-lab": max(os.stat(file).st_mtime for file in
                               place.find(".ipython/profile_*/ipjob-runtime/jupyter/jpserver-*.json")),
        }
        last = max(facts, key=facts.get)
        start = {"to the last program's start": starts[last] - begin, "from its fact to the line": ready - facts[last]}
        cpu = process.cpu_ns(child.pid) / 1e9
        begin = time.monotonic()
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE)
        return {"start": sum(start.values()), "parts": start, "cpu": cpu, "stop": time.monotonic() - begin}


class FakePlace(Place):
    """A place with the tests' fakes, laid out as pip would: ipjob reads the version from the files, as it does there."""

    def __enter__(self):
        super().__enter__()
        programs = os.path.join(self.home, "venv", "bin")
        os.makedirs(programs)
        os.makedirs(os.path.join(self.home, "venv/lib/python3.11/site-packages/ipyparallel-9.2.0.dist-info"))
        python = os.path.join(programs, "python3")
        write_program(python, STAMPING_PYTHON)
        shutil.copy(os.path.join(FAKES, "fakes.py"), programs)
        for name in ("ipcontroller", "ipengine", "jupyter-lab"):
            with open(os.path.join(FAKES, name)) as file:
                write_program(os.path.join(programs, name), f"#!{python}\n" + file.read())
        self.path = [programs]
        return self

    def environment(self, **more):
        return super().environment(FAKE_LOG=os.path.join(self.home, "fakes.log"), **more)


def write_program(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


def seen(stream, pattern, place):
    """When a line came: waited for in the kernel, so that nothing is added by looking."""
    text = b""
    while select.select([stream], [], [], PATIENCE)[0]:
        piece = os.read(stream.fileno(), 65536)
        now = time.time()
        text += piece
        if re.search(pattern, text):
            return now
        if not piece:
            break
    raise Unmeasurable(f"no line {pattern!r} in:\n{text.decode(errors='replace')}\n{place.tail()}")


def last_starts(place):
    """The last start of each program."""
    with open(os.path.join(place.home, "starts")) as file:
        return {name: float(stamp) for name, stamp in (line.split() for line in file)}
