"""What ipjob and the hub tell each other, on the stream that has brought the listening sockets (handed.py).

A client's wish is told to ipjob a moment before it comes true: `shutdown engine 3`, `shutdown hub`. The hub hears of the first on its
monitor, where all that passes the control scheduler comes along.

Where it is known how this ipyparallel drops engines, ipjob is told so once, `hears ends`.
The end of an engine is told to the hub as soon as ipjob knows of it, {"ended": {"3": "its uuid"}}: by itself the hub learns of it from a
nanny, where there is one that outlives its engine, or by half a minute of silence. It is dropped as it would be then, and its tasks fail.
Where ipjob never saw the engine in the hub's list it tells no uuid; what has that id is meant then, because ipjob tells an end before it
starts another engine under the id, and the hub hears all that was told before it takes in who registers. A nanny tells the id alone, perhaps
late: once ipjob has told an end of that id, nannies are not believed about it until the next engine under the id has been there for a while.

Results that a dead engine had sent may still be on their way when it is dropped, and its tasks wait for them: those of load-balanced views
for half a second here, and not for five.

A signal that a client sends to an engine without a nanny is told to ipjob, `signal engine 3 2 17`: number and request. ipjob sends it and
answers {"signalled": {"17": null}}, or why not in the place of null. The client is answered on the engines' side of the control scheduler: the
engine itself does not know this request, and says so in its log. Which engines have none is known at the start, or is told when one starts
that was to be a fork with a nanny and is none, {"without nanny": [3]}.
"""
import contextlib
import inspect
import itertools
import json
import logging
import signal
import time

import handed

# Seconds.
ON_THE_WAY = 0.5
# Seconds by which the report of a nanny may be late, counted from the registration of the next engine: as long as the hub bears an engine's
# silence.
LATE = 30

# What is done with what ipjob tells, by its kind.
heard = {}
# What is done with a request to an engine that passes the control scheduler, by its kind.
on_control = {}


def unknown(module, name, methods):
    """What is not as it is known here of a class and its methods, each by the names of what it takes."""
    known = getattr(module, name, None)
    for method, words in methods.items():
        found = getattr(known, method, None)
        if found is None or list(inspect.signature(found).parameters) != ["self", *words]:
            return f"ipyparallel's {name}.{method} is not what it was"
    return None


def hear(self):
    """Lets the hub do what ipjob has told it. What goes wrong with one line hinders neither the next one nor who registers meanwhile."""
    for line in handed.hear():
        try:
            for kind, what in json.loads(line).items():
                if kind in heard:
                    heard[kind](self, what)
        except Exception:
            self.log.error("ipjob: not done: %r", line, exc_info=True)


def listen(hub):
    """Lets the hub hear ipjob, and look at the requests to engines, once each: a message that is read again counts as forged."""
    begin = hub.Hub.__init__

    def begin_and_listen(self, **kwargs):
        begin(self, **kwargs)
        passes = self.monitor_handlers[b"incontrol"]

        def control(idents, frames):
            try:
                engine = self.by_ident.get(idents[0])
                # Signed by who has the cluster's key, or it raises.
                message = self.session.deserialize(frames)
                see_to = on_control.get(message["header"]["msg_type"])
                if engine is not None and see_to:
                    see_to(self, engine, idents[1], message)
            finally:
                passes(idents, frames)

        self.monitor_handlers[b"incontrol"] = control
        handed.listen(self.loop, lambda: hear(self))

    hub.Hub.__init__ = begin_and_listen


def tell_of_shutdowns(hub):
    """Tells ipjob what a client asks to end; tells what hinders that."""
    why = unknown(hub, "Hub", {"shutdown_request": ["client_id", "msg"]})
    if why:
        return why
    shutdown = hub.Hub.shutdown_request

    def shutdown_request(self, client_id, msg):
        handed.tell("shutdown hub")
        shutdown(self, client_id, msg)

    hub.Hub.shutdown_request = shutdown_request
    on_control["shutdown_request"] = lambda hub, engine, client, message: handed.tell(f"shutdown engine {engine}")
    return None


def hear_of_ends(hub):
    """Lets the hub drop the engines of which ipjob tells that they have ended; tells what hinders that."""
    why = unknown(
        hub,
        "Hub",
        {
            "register_engine": ["reg", "msg"],
            "finish_registration": ["heart"],
            "unregister_engine": ["ident", "msg"],
            "_handle_stranded_msgs": ["eid", "uuid"],
        },
    )
    if why:
        return why
    Hub = hub.Hub
    register, finish, unregister, strand = (
        getattr(Hub, name) for name in ("register_engine", "finish_registration", "unregister_engine", "_handle_stranded_msgs")
    )
    # By id: until when nannies are not believed, because ipjob has told an end; and the uuids of engines that were dropped with tasks that may
    # not have failed.
    told, dropped = {}, {}

    def ended(self, engines):
        for eid, uuid in engines.items():
            try:
                end(self, int(eid), uuid)
            except Exception:
                self.log.error("ipjob: engine %s is not dropped", eid, exc_info=True)

    def end(self, eid, uuid):
        told[eid] = float("inf")
        if eid in dropped and uuid in (None, dropped[eid]):
            # Its nanny was faster.
            self.monitor.flush()
            fail(self, eid)
        pending = (engine for engine in self.incoming_registrations.values() if engine.id == eid)
        engine = self.engines.get(eid) or next(pending, None)
        if engine is None or uuid not in (None, engine.uuid):
            return
        # Its results that are here already; later ones the hub takes from no engine that it does not know.
        self.monitor.flush()
        with quietly():
            drop(self, engine.ident, {"content": {"id": eid, "queue": engine.uuid}})
        fail(self, eid)

    def fail(self, eid):
        """Fails what an engine that was dropped had to do. Another one under its id begins with nothing."""
        uuid = dropped.pop(eid, None)
        if uuid is None:
            return
        tasks = self.queues.get(eid, [])
        try:
            strand(self, eid, uuid)
        except Exception:
            self.log.error("ipjob: tasks of engine %s do not fail", eid, exc_info=True)
        self.queues[eid] = []
        for task in tasks:
            try:
                # Without it no client but the task's own can read the failure.
                self.db.update_record(task, {"result_metadata": {"engine": uuid, "status": "error"}})
            except Exception:
                # The database keeps only so many records, whoever still waits for them.
                self.log.error("ipjob: the failure of task %s is not written", task, exc_info=True)

    def drop(self, ident, msg):
        eid = msg["content"].get("id")
        if eid in self.engines:
            dropped[eid] = self.engines[eid].uuid
        unregister(self, ident, msg)

    def unregister_engine(self, ident, msg):
        # A nanny has no name: ZeroMQ makes one up that begins with a zero.
        of_a_nanny = isinstance(ident, list) and ident[0][:1] == b"\0"
        if not (of_a_nanny and time.monotonic() < told.get(msg["content"].get("id"), 0)):
            drop(self, ident, msg)

    def stranded(self, eid, uuid):
        if dropped.get(eid) == uuid:
            fail(self, eid)

    def register_engine(self, reg, msg):
        hear(self)
        return register(self, reg, msg)

    def finish_registration(self, heart):
        engine = self.incoming_registrations.get(heart)
        if engine is not None:
            fail(self, engine.id)
            if engine.id in told:
                told[engine.id] = time.monotonic() + LATE
        finish(self, heart)

    heard["ended"] = ended
    Hub.register_engine = register_engine
    Hub.finish_registration = finish_registration
    Hub.unregister_engine = unregister_engine
    Hub._handle_stranded_msgs = stranded
    handed.tell("hears ends")
    return None


@contextlib.contextmanager
def quietly():
    """Without lines of log that only inform. While the disk hangs another process of the controller may be in the middle of one, and no signal
    ends a process that waits for its turn."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def fail_tasks_soon(task_scheduler):
    """Lets tasks of load-balanced views fail, or go to another engine, soon after theirs was dropped; tells what hinders that."""
    why = unknown(task_scheduler, "TaskScheduler", {"_unregister_engine": ["uid"], "handle_stranded_tasks": ["engine"]})
    if why:
        return why
    Scheduler = task_scheduler.TaskScheduler
    unregister, strand = Scheduler._unregister_engine, Scheduler.handle_stranded_tasks

    def handle_stranded_tasks(self, engine):
        # Its own turn comes later.
        if engine in self.completed:
            strand(self, engine)

    def unregister_engine(self, uid):
        unregister(self, uid)
        self.loop.call_later(ON_THE_WAY, self.handle_stranded_tasks, uid)

    Scheduler._unregister_engine = unregister_engine
    Scheduler.handle_stranded_tasks = handle_stranded_tasks
    return None


def pass_signals_on(app, hub, engines):
    """Has ipjob send the signals that clients send to the first so many engines, and to those that ipjob tells later; tells what hinders that."""
    why = unknown(app, "IPController", {"connect": ["socket", "url"], "engine_url": ["channel", "index"]})
    if why:
        return why
    zmq, util, error = hub.zmq, hub.util, hub.error
    # Clients that wait for an answer with what they have asked, by the numbers of the requests; what answers them.
    asked, replies, numbers = {}, [], itertools.count(1)
    without_nanny = set(range(engines))

    def signal_request(self, engine, client, message):
        if engine not in without_nanny:
            # It has a nanny, as guests have theirs.
            return
        sig = message["content"].get("sig")
        try:
            sig = int(getattr(signal, sig) if isinstance(sig, str) else sig)
        except (AttributeError, TypeError, ValueError):
            return reply(self, client, message, error.wrap_exception())
        number = next(numbers)
        asked[number] = client, message
        handed.tell(f"signal engine {engine} {sig} {number}")

    def signalled(self, answers):
        for number, why in answers.items():
            client, message = asked.pop(int(number), (None, None))
            if client is None:
                # Another controller was asked.
                continue
            content = {"status": "ok"}
            if why:
                try:
                    raise ProcessLookupError(why)
                except ProcessLookupError:
                    content = error.wrap_exception()
            reply(self, client, message, content)

    def reply(self, client, message, content):
        if not replies:
            socket = self.query.socket.context.socket(zmq.DEALER)
            self.parent.connect(socket, util.disambiguate_url(self.parent.engine_url("control")))
            replies.append(socket)
        self.session.send(replies[0], "signal_reply", ident=[client], content=content, parent=message)

    on_control["signal_request"] = signal_request
    heard["signalled"] = signalled
    heard["without nanny"] = lambda _, ids: without_nanny.update(ids)
    return None
