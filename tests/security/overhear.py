"""Somebody who speaks ZeroMQ without encryption and without a key, and takes what he is given at every place named.

overhear.py SUB|ROUTER WORD tcp:PORT | unix:PATH ...: as a socket of that kind (a SUB subscribes to everything), tells how many places shake hands, and when stdin has ended whether WORD came by.
"""

import select
import sys

PATIENCE = 60


def reach(place):
    kind, _, name = place.partition(":")
    try:
        if kind == "tcp":
            return socket.create_connection(("127.0.0.1", int(name)), PATIENCE)
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(name)
        return peer
    except OSError as error:
        print(f"{kind}: {error.strerror}", file=sys.stderr)
        return None


kind, word, *places = sys.argv[1:]
peers = []
for peer in map(reach, places):
    if peer is None:
        continue
    peer.settimeout(PATIENCE)
    if shake(peer, kind.encode()):
        if kind == "SUB":
            peer.sendall(message(b"\x01"))
        peers.append(peer)
print(f"{len(peers)} of {len(places)} shake hands", flush=True)
heard = {peer: b"" for peer in peers}
sources = [sys.stdin, *peers]
while sys.stdin in sources:
    for source in select.select(sources, [], [])[0]:
        if source is sys.stdin:
            sources.remove(source)
            continue
        data = source.recv(65536)
        heard[source] += data
        if not data:
            sources.remove(source)
print("heard" if any(word.encode() in text for text in heard.values()) else "not heard", flush=True)
