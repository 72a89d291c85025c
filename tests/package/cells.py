"""Cells with `%ipjob` in a real kernel, one after another, with what each must show and what must be left."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from jupyter_client.manager import start_new_kernel

PATIENCE = 90
IPYTHON = Path(os.environ["IPYTHONDIR"])


def wait_for(what, look):
    until = time.monotonic() + PATIENCE
    while not (seen := look()):
        assert time.monotonic() < until, f"no {what} in {PATIENCE} s"
        threading.Event().wait(0.05)
    return seen


def record(profile="job_local"):
    return json.loads((IPYTHON / f"profile_{profile}/ipjob.json").read_text())


def follows(pid):
    """The jobs that follow a process: what of them runs."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--follow" in words and words[words.index(b"--follow") + 1] == str(pid).encode():
            found.append(directory.name)
    return found


class Notebook:
    def __init__(self):
        self.manager, self.client = start_new_kernel(extra_arguments=["--Completer.use_jedi=False"])
        self.run("%load_ext ipjob")

    def execute(self, code):
        self.said = ""
        return self.client.execute(code, stop_on_error=False)

    def send(self, code):
        """Begins a cell, which says so: an interrupt before is one of the kernel, which loses the reply."""
        message = self.execute(f"print('begun')\n{code}")
        got = {"content": {}}
        while "begun" not in got["content"].get("text", ""):
            got = self.client.get_iopub_msg(timeout=PATIENCE)
        return message

    def result(self, message):
        """Whether a cell has succeeded; what it said is kept."""
        state = None
        while state != "idle":
            got = self.client.get_iopub_msg(timeout=PATIENCE)
            if got["parent_header"].get("msg_id") == message:
                content = got["content"]
                state = content.get("execution_state")
                data = content.get("data", {}).get("text/plain", "")
                self.said += content.get("text", "") + data + "\n".join(content.get("traceback", []))
        reply = {"parent_header": {}}
        while reply["parent_header"].get("msg_id") != message:
            reply = self.client.get_shell_msg(timeout=PATIENCE)
        return reply["content"]["status"] == "ok"

    def run(self, code, *words):
        assert self.result(self.execute(code)), f"{code}: {self.said}"
        self.shows(code, words)

    def fails(self, code, *words):
        assert not self.result(self.execute(code)), f"{code}: {self.said}"
        self.shows(code, words)

    def shows(self, code, words):
        for word in words:
            assert word in self.said, f"{code}: no {word!r} in:\n{self.said}"

    def value(self, expression):
        self.run(f"print({expression})")
        return self.said.strip()

    def restart(self):
        # As the menu does it: the kernel is asked, then killed.
        self.manager.restart_kernel()
        self.client.stop_channels()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.run("%load_ext ipjob")


notebook = Notebook()
notebook.fails("%ipjob begin", "one of start, status, restart, stop")
notebook.run("%ipjob status", "no ipjob job is running here")
for line, words in (("%ipjob sta", ["start", "status"]), ("%ipjob start --mp", ["--mpi"])):
    reply = notebook.client.complete(line, len(line), reply=True, timeout=PATIENCE)
    assert reply["content"]["matches"] == words, reply["content"]
notebook.fails("%ipjob start -n 0", "error: ", "0 is not in 1..")
assert notebook.said.count("0 is not in 1..") == 1, notebook.said

notebook.run("%ipjob start -n 2", "controller ready on ", "job_local is ready: 2 of 2 engines")
first = record()
assert notebook.value("rc.ids") == "[0, 1]"
notebook.run("%%px\nprint(6 * 7)", "42")
assert notebook.value("__import__('ipyparallel').Client().ids") == "[0, 1]"
notebook.run("%ipjob start -n 2", "job_local is running: 2 of 2 engines")
notebook.fails("%ipjob start -n 3", "job_local is running with 2 of 2 engines, and was started by `%ipjob start -n 2`", "`%ipjob stop` ends it")
notebook.run("%ipjob status", "job_local: ready, 2 of 2 engines on ")
notebook.run("%ipjob status job_local", "job_local: ready, 2 of 2 engines on ")
notebook.fails("%ipjob status other", "this kernel has job_local")
notebook.fails("%ipjob 'start", "No closing quotation")
notebook.run("%ipjob restart --all", "2 of 2 engines are running")
assert record()["incarnation"] == first["incarnation"]
notebook.run("rc.wait_for_engines(2, timeout=60)\nprint(rc[:].apply_sync(lambda: 1))", "[1, 1]")

# An interrupt of a cell that computes reaches neither the engines' ipjob nor the next cell.
waiting = notebook.send("import signal; signal.pause()")
notebook.manager.interrupt_kernel()
assert not notebook.result(waiting)
notebook.run("%ipjob status", "job_local: ready, 2 of 2 engines on ")

# A cell waits, also for what no engine has begun, and the job ends by itself.
waiting = notebook.send("rc.load_balanced_view().map_sync(__import__('time').sleep, [600] * 4)")
os.kill(record()["incarnation"]["pid"], signal.SIGTERM)
assert not notebook.result(waiting)
notebook.shows("the cell that waits", ["job_local has ended: SIGTERM"])
notebook.fails("%%px\n1", "job_local has ended: SIGTERM", "`%ipjob start -n 4` starts another")
notebook.fails("rc", "NameError")
wait_for("end", lambda: record()["state"] == "ended")

# Interrupted while it starts: nothing is left.
waiting = notebook.send("%ipjob start -n 2")
kernel = notebook.manager.provisioner.pid
wait_for("job", lambda: follows(kernel))
notebook.manager.interrupt_kernel()
assert not notebook.result(waiting)
notebook.shows("the start", ["the start was interrupted; what it had started was ended"])
# A front that is ended before it listens to signals leaves that to the job behind it.
wait_for("end of all", lambda: not follows(kernel))

# Two cells at once: one has it, the other is told so.
notebook.run("import threading\nstart = threading.Thread(target=get_ipython().run_line_magic, args=('ipjob', 'start -n 1'))\nstart.start()")
wait_for("job", lambda: follows(kernel))
notebook.fails("%ipjob start -n 1", "another cell is running %ipjob", "or interrupt it")
notebook.fails("%ipjob stop", "another cell is running %ipjob")
notebook.run("start.join()\n%ipjob status", "job_local: ready, 1 of 1 engines")
notebook.run("%ipjob stop")

# It ends with its kernel.
notebook.run("%ipjob start -n 1")
before = record()
notebook.restart()
after = record()
assert (after["state"], after["incarnation"]) == ("ended", before["incarnation"]), "it ends before the next kernel begins"

# Also with a kernel that is killed.
notebook.run("%ipjob start -n 1")
os.kill(notebook.manager.provisioner.pid, signal.SIGKILL)
wait_for("end", lambda: record()["state"] == "ended")
notebook = Notebook()

# Unless it is kept: then the next kernel finds it.
notebook.run("%ipjob start --keep -n 1")
notebook.restart()
notebook.fails("%ipjob stop", "this kernel has no ipjob job")
notebook.run("%ipjob status", "job_local is ready: 1 of 1 engines")
notebook.run("%%px\nprint('kept')", "kept")
notebook.run("%ipjob stop", "has ended: SIGTERM (exit code 0)")
notebook.fails("%%px\n1", "job_local has ended: it was stopped")
assert record()["state"] == "ended"

# The words that centres teach.
notebook.run("%load_ext ipjob.ipcluster")
notebook.fails("%ipcluster start", "-n/--num_engines")
notebook.run("%ipcluster start -n 1 --launcher local", "job_local is ready: 1 of 1 engines")
notebook.run("import ipyparallel as ipp\nprint(ipp.Client().ids)", "[0]")
notebook.run("%ipcluster stop")
notebook.run("%ipcluster start -n 1 --launcher local --dask", "client is a dask.distributed.Client of tcp://", "takes work from anyone who can reach it")
notebook.run("print(client.submit(sum, [1, 2]).result())", "3")
notebook.run("%ipcluster stop", "has ended: SIGTERM (exit code 0)")

notebook.client.stop_channels()
notebook.manager.shutdown_kernel(now=True)
sys.exit(0)
