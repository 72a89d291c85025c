"""Says everything but the right thing to ports of somebody else's: `garbage.py PORT...`."""

import json
import os
import socket
import struct
import sys

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def ready(kind, identity=b""):
    """The command that ends a handshake of ZeroMQ without a mechanism."""
    def pair(name, value):
        return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
    body = b"\x05READY" + pair(b"Socket-Type", kind) + pair(b"Identity", identity)
    return b"\x04" + bytes([len(body)]) + body


def message(*frames):
    """A message of these frames, as ZeroMQ writes it."""
    out = b""
    for index, frame in enumerate(frames):
        more = index + 1 < len(frames)
        out += bytes([2 | more]) + struct.pack(">Q", len(frame)) + frame
    return out


def unsigned(kind, signature, content):
    """What a client or an engine says, but for the signature."""
    header = {"msg_id": os.urandom(8).hex(), "msg_type": kind, "username": "u", "session": "s",
              "date": "2026-01-01T00:00:00Z", "version": "5.3"}
    return message(b"<IDS|MSG>", signature, json.dumps(header).encode(), b"{}", b"{}", json.dumps(content).encode())


def words():
    """Everything that is tried."""
    yield b""
    yield os.urandom(4096)
    yield b"GET /api/kernels HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"POST /api/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    yield b"\0" * 100_000
    yield GREETING[:30]
    yield GREETING + b"\x06" + struct.pack(">Q", 2**63 - 1) + b"x" * 100
    for kind in [b"DEALER", b"ROUTER", b"SUB", b"PUB", b"REQ", b"XSUB"]:
        start = GREETING + ready(kind)
        # A frame as long as no memory is.
        yield start + b"\x02" + struct.pack(">Q", 2**62) + b"x" * 100
        yield start + message(b"")
        yield start + message(*[os.urandom(50) for _ in range(20)])
        # A subscription to everything.
        yield start + message(b"\x01")
        for signature in [b"", b"0" * 64, b"x"]:
            yield start + unsigned("connection_request", signature, {})
            yield start + unsigned("shutdown_request", signature, {"restart": False})
            yield start + unsigned("unregistration_request", signature, {"id": 0})
            yield start + unsigned("registration_request", signature, {"uuid": "bob", "id": 7})
            yield start + unsigned("execute_request", signature, {"code": "import os; os._exit(7)", "silent": False})
            yield start + unsigned("signal_request", signature, {"sig": 9})


def main():
    sent = 0
    for port in [int(text) for text in sys.argv[1:]]:
        kept = []
        for word in words():
            connection = socket.create_connection(("127.0.0.1", port), 30)
            connection.settimeout(30)
            try:
                connection.sendall(word)
                sent += 1
            except OSError:
                pass
            kept.append(connection)
        # All of them at once stay open until here.
        for connection in kept:
            connection.close()
    print(sent, "sent", flush=True)


main()
