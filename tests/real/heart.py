"""What eager.py runs in the place of ipcontroller's script: prints what has become of the controller's sleep and of its
heart, one JSON object.

The heart is ipyparallel's own, with ZeroMQ's sockets in this process. By ARGS it beats once an hour.
"""
import asyncio
import json
import sys
import time

import zmq
from ipyparallel.controller import app, heartmonitor
from jupyter_client.session import Session
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

    hub = bound(zmq.SUB, "monitor")
    hub.subscribe(b"")
    monitor = heartmonitor.HeartMonitor(
        ping_stream=ZMQStream(bound(zmq.PUB, "ping")),
        pong_stream=ZMQStream(bound(zmq.ROUTER, "pong")),
        monitor_stream=ZMQStream(connected(zmq.XPUB, "monitor")),
        session=Session(key=b"key"),
        config=Config({"HeartMonitor": {"period": HOUR_MS, "max_heartmonitor_misses": 0}}),
    )
    missed = lambda: monitor._check_missed({b"one"}, {}, {b"one"})[0]
    monitor.start()
    before = missed()
    pings = connected(zmq.SUB, "ping", subscribe=True)
    pongs = ctx.socket(zmq.DEALER)
    pongs.identity = b"one"
    pongs.connect("inproc://pong")
    begin = time.monotonic()
    while not monitor.hearts and time.monotonic() - begin < PATIENCE_S:
        await asyncio.sleep(0.01)
        while pings.poll(0):
            pongs.send(pings.recv())
    told = []
    while hub.poll(1000):
        told.append(hub.recv_multipart())
    found = {
        "hearts": [one.decode() for one in monitor.hearts],
        "told": sum(b"new_heart" in part for message in told for part in message[:4]),
        "period": monitor.period,
        "between_beats": monitor.caller.callback_time,
        "missed_while_eager": len(before),
        "missed_later": len(missed()),
    }
    ctx.destroy(linger=0)
    return found


print(json.dumps({"slept": slept(), "args": sys.argv[1:], **asyncio.run(heart())}))
