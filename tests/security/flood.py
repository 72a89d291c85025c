"""What somebody without a key can have a server take: `frames PORT...`, `bodies PORT`, `requests PORT` and `idle PORT...`. The first two print how
many MB were taken of the 800 that two connections send, the third how many of its requests were answered; the last prints a line once it has opened all its connections and holds them until its stdin ends."""

import resource
import socket
import struct
import sys

BLOCK = bytes(1_000_000)
# Below what Jupyter takes of anybody by default.
BLOCKS = 400
IDLE = 1100
# No key is needed for the greeting.
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\0" + bytes(31)
FRAME = b"\x06" + struct.pack(">Q", BLOCKS * len(BLOCK))
# Each of these was a traceback, or a line for each cookie, in the log of who reads all of it.
COOKIES = b"; ".join(b"%s%d=a|b|c" % (name, number) for number in range(1200) for name in (b"c", b"username-"))
REQUESTS = (
    b"GET //[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nReferer: http://[\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\n\r\n" % COOKIES,
    b"POST /api/contents HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n",
)
# No answer is owed to these.
NO_HTTP = (
    b"POST /api/contents HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400000000\r\n\r\n",
    b"no request\r\n\r\n",
)
TIMES = 20
# Of each of them 64 KB were kept for a minute.
SHORT = 4000
POST = b"POST /api/contents HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % (BLOCKS * len(BLOCK))


def connect(port):
    # A server without descriptors leaves connections in its backlog, and beyond that unanswered.
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    # Who does not read any more does not take anything.
    connection.settimeout(5)
    return connection


def flood(port, opening, begin):
    connections = [connect(port) for _ in range(2)]
    taken = 0
    for connection in list(connections):
        try:
            connection.sendall(opening)
            if begin:
                connection.recv(64)
                connection.sendall(begin)
        except OSError:
            connections.remove(connection)
    for _ in range(BLOCKS):
        for connection in list(connections):
            try:
                connection.sendall(BLOCK)
                taken += 1
            except OSError:
                connections.remove(connection)
    return taken


def refuse(port):
    """One connection after the other whose body is begun."""
    for _ in range(SHORT):
        connection = connect(port)
        try:
            connection.sendall(POST + BLOCK[: 1 << 17])
            connection.recv(64)
        except OSError:
            pass
        connection.close()


def answered(port):
    """How many requests were."""
    count = 0
    for request in REQUESTS * TIMES:
        connection = connect(port)
        connection.sendall(request)
        count += connection.recv(64).startswith(b"HTTP/1.1 404 ")
        connection.close()
    for request in NO_HTTP * TIMES:
        connection = connect(port)
        connection.sendall(request)
        connection.recv(64)
        connection.close()
    return count


def main(how, *ports):
    ports = [int(port) for port in ports]
    if how == "idle":
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        held = []
        for port in ports:
            for _ in range(IDLE):
                try:
                    held.append(connect(port))
                except OSError:
                    break
        print(len(held), flush=True)
        sys.stdin.read()
    elif how == "requests":
        print(answered(*ports))
    else:
        for port in ports:
            print(flood(port, GREETING, FRAME) if how == "frames" else flood(port, POST, b""))
            if how == "bodies":
                refuse(port)


main(*sys.argv[1:])
