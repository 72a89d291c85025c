"""Somebody who speaks ZeroMQ without encryption and without a key, as a controller whose port it was.

listen.py PORT FILE: tells the first engine to write FILE, unsigned.
"""

import sys

PATIENCE = 60

port, path = int(sys.argv[1]), sys.argv[2]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen()
listener.settimeout(PATIENCE)
peer, _ = listener.accept()
peer.settimeout(PATIENCE)
if not shake(peer, b"ROUTER"):
    print("met nobody who speaks to him", flush=True)
    sys.exit()
order = unsigned("execute_request", {"code": f"open({path!r}, 'w').close()", "silent": True})
peer.sendall(message(b"x", *order))
# It closes the connection once it has read all of it.
peer.shutdown(socket.SHUT_WR)
while peer.recv(65536):
    pass
print("met an engine", flush=True)
