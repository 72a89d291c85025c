"""Somebody who speaks ZeroMQ without encryption and without a key.

listen.py connect PORT WORD: as a client that subscribes to everything; tells whether WORD came by until stdin ended.
listen.py serve PORT FILE: as a controller whose port it was; tells the first engine to write FILE, unsigned.
"""

import select
import sys

PATIENCE = 60


def connect(port, word):
    peer = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sources = [sys.stdin]
    if shake(peer, b"SUB"):
        peer.sendall(message(b"\x01"))
        sources.append(peer)
    print("connected", flush=True)
    heard = b""
    while sys.stdin in sources:
        for source in select.select(sources, [], [])[0]:
            if source is sys.stdin:
                sources.remove(source)
                continue
            data = source.recv(65536)
            heard += data
            if not data:
                sources.remove(source)
    print("heard" if word.encode() in heard else "not heard", flush=True)


def serve(port, path):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    listener.settimeout(PATIENCE)
    peer, _ = listener.accept()
    peer.settimeout(PATIENCE)
    if not shake(peer, b"ROUTER"):
        print("met nobody who speaks to him", flush=True)
        return
    order = unsigned("execute_request", {"code": f"open({path!r}, 'w').close()", "silent": True})
    peer.sendall(message(b"x", *order))
    # It closes the connection once it has read all of it.
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(65536):
        pass
    print("met an engine", flush=True)


{"connect": connect, "serve": serve}[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
