"""enter.py tcp:PORT | unix:PATH ...: at how many of these places somebody who speaks ZeroMQ without a key is let in, as any kind of socket."""

import sys

PATIENCE = 60
KINDS = (b"SUB", b"PUB", b"DEALER", b"ROUTER", b"PUSH", b"PULL", b"REQ", b"REP")


def enters(place, kind):
    family, _, name = place.partition(":")
    try:
        if family == "tcp":
            peer = socket.create_connection(("127.0.0.1", int(name)), PATIENCE)
        else:
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(name)
    except OSError:
        return False
    peer.settimeout(PATIENCE)
    with peer:
        return shake(peer, kind)


print(sum(any(enters(place, kind) for kind in KINDS) for place in sys.argv[1:]))
