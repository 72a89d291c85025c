"""Which sockets get what is handed over (`taken.py LAUNCHER`): prints, for each bind of the port, whether it got that."""

import array
import os
import socket
import sys

import zmq

sys.path.insert(0, sys.argv[1])
import handed

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
ours, theirs = socket.socketpair()
ours.sendmsg([b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener.fileno()]))])
os.dup2(theirs.fileno(), 0)
handed.take()
handed.take_zmq(zmq, lambda zmq, server: None)
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    for address in ("127.0.0.1", "127.0.0.2"):
        with socket.socket(socket.AF_INET, kind) as server:
            server.bind((address, port))
            print(kind.name, address, os.path.samestat(os.fstat(server.fileno()), os.fstat(listener.fileno())))
for address in ("127.0.0.1", "127.0.0.2"):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as server:
        server.bind(f"tcp://{address}:{port}")
# A line for each that was taken.
print(*(line.split()[0] == str(port) for line in ours.recv(4096).decode().splitlines()[1:]))
