"""hub_hears.py DIR: what the hub does with what ipjob tells it (DIR/controller/messages.py), where its database has lost tasks of the engine
that ended, where the engine's nanny was first, and where a nanny tells of the engine after it. One JSON object."""
import json
import logging
import os
import socket
import sys
import time
from unittest import mock

sys.path[:0] = [sys.argv[1], os.path.join(sys.argv[1], "controller")]
import handed
import messages
from ipyparallel import util
from ipyparallel.controller import hub
from ipyparallel.controller.dictdb import DictDB
from jupyter_client.session import Session

NANNY = [b"\0abcd"]


class Hub(hub.Hub):
    """A hub without its sockets."""

    # No traits, which take only what they know.
    db = engine_info = log = loop = monitor = notifier = query = session = None

    def __init__(self):
        self.log = logging.getLogger("hub")
        self.log.addHandler(logging.NullHandler())
        self.log.propagate = False
        self.db, self.session = DictDB(), Session()
        self.monitor, self.loop, self.query = mock.Mock(), mock.Mock(), mock.Mock()
        self.loop.time.return_value = 0
        self.session.send = mock.Mock()
        self.registration_timeout = 1
        self.engine_info = {}

    def _save_engine_state(self):
        pass

    def registers(self, engine, uuid):
        self.register_engine(b"x", {"content": {"uuid": uuid, "id": engine}})
        self.finish_registration(uuid.encode())

    def begins(self, engine, *tasks):
        for task in tasks:
            self.db.add_record(task, {"result_content": None, "submitted": util.utcnow()})
            self.pending.add(task)
            self.queues[engine].append(task)

    def hears(self, *lines):
        for line in lines:
            ipjob.send(f"{line}\n".encode())
        messages.hear(self)

    def failed(self, task):
        found = self.db.get_record(task)
        return [(found["result_content"] or {}).get("ename"), found.get("result_metadata", {}).get("status")]


def ended(**uuids):
    return json.dumps({"ended": {name[1:]: uuid for name, uuid in uuids.items()}})


def nanny(engine):
    return NANNY, {"content": {"id": engine}}


handed.teller, ipjob = socket.socketpair()
assert messages.hear_of_ends(hub) is None
found = {"says": ipjob.recv(100).decode()}

# The oldest record is culled though its task is not done.
it = Hub()
for engine in 0, 1, 2:
    it.registers(engine, f"u{engine}")
it.begins(0, "lost", "kept")
it.begins(1, "next")
it.db._cull_oldest()
it.hears("no JSON", ended(_0="u0", _1="u1"), ended(_2=None))
found["listed"] = sorted(it.engines)
found["failed"] = [it.failed("kept"), it.failed("next")]
# Dropped by its nanny, which ipjob was slower than: the successor registers nevertheless.
it = Hub()
it.registers(5, "u5")
it.begins(5, "lost")
it.db._cull_oldest()
it.unregister_engine(*nanny(5))
it.registers(5, "v5")
found["successor"] = it.engines[5].uuid
# Its tasks fail when ipjob tells it.
it = Hub()
it.registers(6, "u6")
it.begins(6, "task")
it.unregister_engine(*nanny(6))
before = it.failed("task")
it.hears(ended(_6="u6"))
found["nanny_first"] = [before, it.failed("task")]
# A nanny is not believed about the next engine, and is again some time later.
it.registers(6, "v6")
it.unregister_engine(*nanny(6))
late = 6 in it.engines
messages.time = mock.Mock(monotonic=lambda: time.monotonic() + messages.LATE)
it.unregister_engine(*nanny(6))
found["believed"] = [not late, 6 not in it.engines]
print(json.dumps(found))
