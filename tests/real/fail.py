"""fail.py PROFILE ENGINE WAY: has a task fail on an engine, in each way that clients have, and then ends the engine."""

import os
import select
import signal
import sys

import ipyparallel as ipp

PATIENCE = 60


def fail():
    raise ValueError("bad input in step 3")


profile, engine, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rc = ipp.Client(profile=profile)
view = rc[engine]
for task in (lambda: view.apply(fail), lambda: view.execute("1/0", block=False)):
    try:
        task().get(PATIENCE)
    except ipp.error.RemoteError:
        pass
pid = view.apply(os.getpid).get(PATIENCE)
# Ready to read when it has ended: what asks for that is under way until then.
ended = os.pidfd_open(pid)
if way == "shutdown":
    rc.shutdown(targets=[engine])
elif way == "exit":
    view.apply(os._exit, 1)
else:
    os.kill(pid, getattr(signal, way))
assert select.select([ended], [], [], PATIENCE)[0], f"{pid} does not end"
