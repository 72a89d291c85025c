"""Runs ipcontroller with the listening sockets that ipjob hands to it (handed.py, beside this file), guarded against strangers
(handshakes.py), and without the pauses of its start: `python eager.py ORDER IPCONTROLLER ARGS...`.

ipcontroller sleeps for a quarter of a second before it makes the hub, an engine counts only one to two heartbeats after its
heart has started, and the hub writes the list of all engines at every registration. Here

  - that sleep is left out: no process, thread or peer that it could wait for has been started by then;
  - an engine's first answer to a ping counts at once, and not at the next beat;
  - until as many engines have answered as are expected, or none has come for half a minute, the heart beats faster and counts no
    misses: engines that start on a busy machine are slow to answer. Then it beats as ARGS say, for as long as the job lives;
  - the list is written again only once 20 times as long has passed as its last writing took, half a second at most: thousands of
    engines make it large, a network's file system makes it slow. The last change is always written. A hub that restores the list
    writes it once, when it has all of it. ipjob, which reads it, is told of each writing.

ORDER is JSON: {"beat_ms": 100, "engines": 4, "signals": 4, "patience_s": 60, "else": ["--HeartMonitor.period=250", ...]}; after `patience_s`
the fast beats end in any case, and `beat_ms` 0 leaves the heartbeat alone. Where ipyparallel is not what is known here (8.8 and
9.2 are), or the heart does not start as a fork of this program, its own way is left to it, with the arguments `else` in the
place of those of the same names, and the log says so.

ipjob and the hub tell each other of ends and signals (messages.py); `signals` of ORDER is how many engines have no nanny to send them
those of clients.

The script IPCONTROLLER is run as it stands.
"""
import importlib
import inspect
import json
import multiprocessing
import os
import runpy
import sys
import time

# Also where Python is told to look for nothing beside a script (PYTHONSAFEPATH).
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import handed
import handshakes
import messages

del sys.path[0]

SLEEP = 0.25
# Times as long as the list took to write, it rests; in seconds, the longest rest: who reads the list waits for it.
REST = 20
LONGEST_REST = 0.5
# Seconds in which no engine has come.
QUIET = 30


class Time:
    """The module `time` without that one sleep."""

    def __getattr__(self, name):
        return getattr(time, name)

    def sleep(self, seconds):
        if seconds != SLEEP:
            time.sleep(seconds)


def leave_out_the_sleep(app):
    """Replaces the module `time` in the controller's module; tells what hinders that."""
    if getattr(app, "time", None) is not time:
        return "ipyparallel.controller.app has no module `time`"
    app.time = Time()
    return None


def beat_eagerly(order, heartmonitor):
    """Lets the heart beat faster until all engines have answered; tells what hinders that."""
    monitor = getattr(heartmonitor, "HeartMonitor", None)
    known = {
        "start": ["self"],
        "handle_pong": ["self", "msg"],
        "handle_new_hearts": ["self", "hearts"],
        "_check_missed": ["self", "missed_beats", "on_probation", "hearts"],
    }
    for name, words in known.items():
        method = getattr(monitor, name, None)
        if method is None or list(inspect.signature(method).parameters) != words:
            return f"ipyparallel's HeartMonitor.{name} is not what it was"
    if multiprocessing.get_start_method() != "fork":
        return f"processes start by {multiprocessing.get_start_method()}"

    class Eager(monitor):
        eager = True

        def start(self):
            # It is read when the first beat and each one after it is set.
            period, self.period = self.period, order["beat_ms"]
            super().start()
            self.period = period
            self.came = time.monotonic()
            self.loop.call_later(order["patience_s"], self.settle)

        def settle(self):
            if self.eager:
                self.eager = False
                self.caller.callback_time = self.period

        def handle_pong(self, msg):
            if msg[0] not in self.hearts:
                self.handle_new_hearts({msg[0]})
            if self.eager:
                # However late it is: the engine lives.
                self.responses.add(msg[0])
            else:
                super().handle_pong(msg)

        def handle_new_hearts(self, hearts):
            super().handle_new_hearts(hearts)
            self.came = time.monotonic()
            if len(self.hearts) >= order["engines"]:
                self.settle()

        def _check_missed(self, missed_beats, on_probation, hearts):
            if self.eager:
                if time.monotonic() - self.came > QUIET:
                    self.settle()
                return [], {}
            return super()._check_missed(missed_beats, on_probation, hearts)

    heartmonitor.HeartMonitor = Eager
    return None


def write_the_list_seldom(hub):
    """Lets registrations that come together share a writing of the list; tells what hinders that."""
    save, load = (getattr(getattr(hub, "Hub", None), name, None) for name in ("_save_engine_state", "_load_engine_state"))
    for method in (save, load):
        if method is None or list(inspect.signature(method).parameters) != ["self"]:
            return "ipyparallel's Hub does not save and load its engines as it did"
    rests_until, due, loads = 0, False, False

    def write(self):
        nonlocal rests_until, due
        due = False
        begin = time.monotonic()
        try:
            save(self)
            handed.tell("engines listed")
        finally:
            end = time.monotonic()
            rests_until = end + min(REST * (end - begin), LONGEST_REST)

    def seldom(self):
        nonlocal due
        pause = rests_until - time.monotonic()
        if due or loads:
            return
        if pause <= 0:
            return write(self)
        due = True
        self.loop.call_later(pause, write, self)

    def load_whole(self):
        nonlocal loads
        loads = True
        try:
            load(self)
        finally:
            loads = False
        write(self)

    hub.Hub._save_engine_state = seldom
    hub.Hub._load_engine_state = load_whole
    return None


def replaced(args, others):
    """ARGS with these in the place of those of the same names."""
    names = [arg.split("=")[0] for arg in others]
    return [arg for arg in args if arg.split("=")[0] not in names] + others


def say(what, why):
    if why:
        print(f"ipjob: {what}: {why}", file=sys.stderr, flush=True)


def main(order, ipcontroller, *args):
    order, args = json.loads(order), list(args)
    # Modules are found where they are for the script itself.
    if sys.path and sys.path[0] == os.path.dirname(os.path.realpath(__file__)):
        sys.path[0] = os.path.dirname(os.path.realpath(ipcontroller))
    if handed.take():
        # Schedulers and heartbeat bind in processes of their own, which have the sockets only as forks of this one; Python 3.14 starts them
        # by forkserver, and a sitecustomize may choose that or spawn.
        multiprocessing.set_start_method("fork", force=True)
    try:
        app, hub, heartmonitor, task_scheduler = (
            importlib.import_module(f"ipyparallel.controller.{name}") for name in ("app", "hub", "heartmonitor", "task_scheduler")
        )
    except ImportError:
        # The script itself says what is missing.
        pass
    else:
        handed.take_zmq(importlib.import_module("zmq"), handshakes.guard)
        say("the controller sleeps at its start", leave_out_the_sleep(app))
        say("the list of engines is written at every registration", write_the_list_seldom(hub))
        messages.listen(hub)
        say("what a client ends counts as dead", messages.tell_of_shutdowns(hub))
        say("the hub hears of an engine's end from its nanny, or by its silence", messages.hear_of_ends(hub))
        say("tasks of a dead engine fail late", messages.fail_tasks_soon(task_scheduler))
        if order["signals"] is not None:
            say("engines get no signals from clients", messages.pass_signals_on(app, hub, order["signals"]))
        if order["beat_ms"]:
            hindrance = beat_eagerly(order, heartmonitor)
            if hindrance:
                say("engines are heard at the second heartbeat", hindrance)
                args = replaced(args, order["else"])
    sys.argv = [ipcontroller, *args]
    runpy.run_path(ipcontroller, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
