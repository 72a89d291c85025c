"""ends.py PROFILE: kills engines that have something to do, and says what comes of it, one JSON object. Engine 1 is one that starts again."""
import json
import os
import signal
import sys
import time

import ipyparallel as ipp
import zmq
from ipyparallel import util

PATIENCE_S = 60
rc = ipp.Client(profile=sys.argv[1], timeout=PATIENCE_S)
rc.wait_for_engines(3, timeout=PATIENCE_S)


def endless():
    import threading

    threading.Event().wait()


def pid():
    import os

    return os.getpid()


def failed(result):
    """What a task fails with, and whether that takes it less than the silence after which a hub drops an engine by itself."""
    begin = time.monotonic()
    try:
        result.get(PATIENCE_S)
    except ipp.error.RemoteError as error:
        return [error.ename, time.monotonic() - begin < 20]


def nanny_tells(engine):
    """Tells the hub of an engine's end as its nanny does, and asks it on the same way which engines there are."""
    server = rc._config["curve_serverkey"]
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        util.connect(socket, rc._config["registration"], curve_serverkey=server and server.encode())
        rc.session.send(socket, "unregistration_request", content={"id": engine})
        rc.session.send(socket, "connection_request")
        assert socket.poll(1000 * PATIENCE_S), "no answer of the hub's"
        message = rc.session.deserialize(rc.session.feed_identities(socket.recv_multipart())[1])
    return sorted(map(int, message["content"]["engines"]))


pids = rc[:].apply_sync(pid)
task = rc[1].apply_async(endless)
os.kill(pids[1], signal.SIGKILL)
found = {"direct": failed(task)}
other = ipp.Client(profile=sys.argv[1], timeout=PATIENCE_S)
found["of_another_client"] = failed(other.get_result(task.msg_ids, owner=False))[0]
rc.wait_for_engines(3, timeout=PATIENCE_S)
found["back"] = rc[1].apply_sync(pid) != pids[1]
found["late"] = nanny_tells(1)
task = rc.load_balanced_view(targets=[0]).apply_async(endless)
os.kill(pids[0], signal.SIGKILL)
found["balanced"] = failed(task)
rc.wait_for_engines(3, timeout=PATIENCE_S)
found["believed"] = nanny_tells(2)
print(json.dumps(found))
