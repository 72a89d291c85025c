"""What eager.py runs in the place of ipcontroller's script: prints what has become of the controller's sleep, of its heart
and of the hub's list of engines, one JSON object.

The heart is ipyparallel's own, with ZeroMQ's sockets in this process. By ARGS it beats once an hour.
"""
import asyncio
import json
import os
import sys
import tempfile
import time
from types import SimpleNamespace

import zmq
from ipyparallel.controller import app, heartmonitor, hub
from jupyter_client.session import Session
from tornado.ioloop import IOLoop
from traitlets.config import Config
from zmq.eventloop.zmqstream import ZMQStream

HOUR_MS = 3_600_000
PATIENCE_S = 60


def slept():
    """Which sleeps of the controller's module reach the real one."""
    calls = []
    real, time.sleep = time.sleep, calls.append
    pause = app.time.sleep
    try:
        pause(0.25)
        pause(2)
    finally:
        time.sleep = real
    return calls


async def heart():
    ctx = zmq.Context()

    def bound(kind, name):
        socket = ctx.socket(kind)
        socket.bind(f"inproc://{name}")
        return socket

    def connected(kind, name, subscribe=False):
        socket = ctx.socket(kind)
        if subscribe:
            socket.subscribe(b"")
        socket.connect(f"inproc://{name}")
        return socket

    told_to_hub = bound(zmq.SUB, "monitor")
    told_to_hub.subscribe(b"")
    monitor = heartmonitor.HeartMonitor(
        ping_stream=ZMQStream(bound(zmq.PUB, "ping")),
        pong_stream=ZMQStream(bound(zmq.ROUTER, "pong")),
        monitor_stream=ZMQStream(connected(zmq.XPUB, "monitor")),
        session=Session(key=b"key"),
        config=Config({"HeartMonitor": {"period": HOUR_MS, "max_heartmonitor_misses": 0}}),
    )
    missed = lambda: monitor._check_missed({b"one"}, {}, {b"one"})[0]
    # Within one process a socket takes in who connects, and tells it its subscriptions, when it is looked at.
    told_to_hub.poll(0)
    monitor.start()
    before = missed()
    pings = connected(zmq.SUB, "ping", subscribe=True)
    pongs = ctx.socket(zmq.DEALER)
    pongs.identity = b"one"
    pongs.connect("inproc://pong")
    told = []
    begin = time.monotonic()
    while not told and time.monotonic() - begin < PATIENCE_S:
        await asyncio.sleep(0.01)
        while pings.poll(0):
            pongs.send(pings.recv())
        while told_to_hub.poll(0):
            told.append(told_to_hub.recv_multipart())
    found = {
        "hearts": [one.decode() for one in monitor.hearts],
        "told": [b"".join(message).count(b'"new_heart"') for message in told],
        "period": monitor.period,
        "between_beats": monitor.caller.callback_time,
        "missed_while_eager": len(before),
        "missed_later": len(missed()),
    }
    for stream in (monitor.ping_stream, monitor.pong_stream, monitor.monitor_stream):
        stream.close()
    ctx.destroy(linger=0)
    return found


async def engine_list():
    """How often a hundred registrations that come together write the list, and how many the last writing has."""
    with tempfile.TemporaryDirectory() as directory:
        path, writings = os.path.join(directory, "engines.json"), []
        hub_of_ours = SimpleNamespace(engine_state_file=path, engines={}, _idcounter=0, loop=IOLoop.current(),
                                      log=SimpleNamespace(debug=writings.append))
        for number in range(100):
            hub_of_ours.engines[number] = SimpleNamespace(uuid=f"engine {number}")
            hub.Hub._save_engine_state(hub_of_ours)
        begin = time.monotonic()
        while len(writings) < 2 and time.monotonic() - begin < PATIENCE_S:
            await asyncio.sleep(0.01)
        with open(path) as file:
            return {"writings": len(writings), "listed": len(json.load(file)["engines"])}


print(json.dumps({"slept": slept(), "args": sys.argv[1:], **asyncio.run(heart()), **asyncio.run(engine_list())}))
