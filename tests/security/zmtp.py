"""The words of ZeroMQ's protocol (ZMTP 3.0) without encryption, for who has no library at hand. What follows in the same program
uses them."""

import json
import socket
import struct

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def ready(kind):
    """The command that ends a handshake without a mechanism."""
    body = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return b"\x04" + bytes([len(body)]) + body


def message(*frames):
    """A message of these frames."""
    out = b""
    for index, frame in enumerate(frames):
        out += bytes([2 | (index + 1 < len(frames))]) + struct.pack(">Q", len(frame)) + frame
    return out


def unsigned(kind, content, signature=b"", msg_id="1"):
    """The frames of what a client or an engine says, but for the signature."""
    header = {"msg_id": msg_id, "msg_type": kind, "username": "u", "session": "s",
              "date": "2026-01-01T00:00:00Z", "version": "5.3"}
    return [b"<IDS|MSG>", signature, json.dumps(header).encode(), b"{}", b"{}", json.dumps(content).encode()]


def shake(peer, kind):
    """Whether the peer shakes hands with a socket of this kind: before, no message may be sent."""
    came = b""
    try:
        peer.sendall(GREETING + ready(kind))
        while b"\x05READY" not in came:
            data = peer.recv(4096)
            if not data:
                return False
            came += data
    except OSError:
        return False
    return True


