"""Says everything but the right thing to ports of somebody else's: `garbage.py PORT...`; tells how many words that were, and to how
many ports that speak ZeroMQ."""

import os
import sys


def words():
    """Bytes that are no handshake."""
    yield b""
    yield os.urandom(4096)
    yield b"GET /api/kernels HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"POST /api/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    yield b"\0" * 100_000
    yield GREETING[:30]
    yield GREETING + b"\x06" + struct.pack(">Q", 2**63 - 1) + b"x" * 100


def messages():
    """What is said after a handshake."""
    # A frame as long as no memory is.
    yield b"\x02" + struct.pack(">Q", 2**62) + b"x" * 100
    yield message(b"")
    yield message(*[os.urandom(50) for _ in range(20)])
    # A subscription to everything.
    yield message(b"\x01")
    for signature in [b"", b"0" * 64]:
        for kind, content in [
            ("connection_request", {}),
            ("shutdown_request", {"restart": False}),
            ("unregistration_request", {"id": 0}),
            ("registration_request", {"uuid": "bob", "id": 7}),
            ("execute_request", {"code": "import os; os._exit(7)", "silent": False}),
            ("signal_request", {"sig": 9}),
        ]:
            frames = unsigned(kind, content, signature, os.urandom(8).hex())
            yield message(*frames)
            # With whom it is for, as schedulers want it.
            yield message(b"0", *frames)


def main():
    sent, speaking = 0, 0
    for port in [int(text) for text in sys.argv[1:]]:
        # All of them at once stay open until the next port.
        kept = []

        def say(word, kind=None):
            peer = socket.create_connection(("127.0.0.1", port), 30)
            peer.settimeout(30 if kind is None else 5)
            kept.append(peer)
            if kind is not None and not shake(peer, kind):
                return False
            try:
                peer.sendall(word)
            except OSError:
                pass
            return True

        for word in words():
            sent += say(word)
        kinds = [kind for kind in [b"DEALER", b"SUB", b"PUB", b"ROUTER"] if say(message(b""), kind)]
        for kind in kinds:
            for word in messages():
                sent += say(word, kind)
        speaking += bool(kinds)
        for peer in kept:
            peer.close()
    print(sent, "sent,", speaking, "ports shook hands", flush=True)


main()
