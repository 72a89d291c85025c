"""Ends connections of ZeroMQ's that send much before they have shown that they know the server's key.

libzmq takes a frame of any size into memory before it looks at what it is, also while the peer is still a stranger, and
`ZMQ_MAXMSGSIZE` would hold for arrays of friends as well. What the server has sent tells them apart: a stranger gets a greeting (64 bytes) and,
for a HELLO that only who knows the key can make, a WELCOME (170); READY follows proof. Both counts are the kernel's (`TCP_INFO`). Nor
may strangers take the descriptors that friends need: where there are too many, the one goes that has been there longest.

docs/design/strangers.md explains the design.
"""
import collections
import resource
import socket
import struct
import threading
import time
import weakref

# What is sent to a peer that has proven nothing.
UNPROVEN = 240
# What a handshake takes is below 2 KB.
MOST = 64 * 1024
PAUSE = 0.005
# Times as long as a look at all of them takes, the pause after it is at the least.
REST = 20

guarded = weakref.WeakSet()


def is_stranger(peer):
    """Whether a connection, by its descriptor, has proven nothing yet; one that has sent too much is ended."""
    connection = None
    try:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=peer)
        # struct tcp_info: tcpi_bytes_acked and tcpi_bytes_received (Linux 4.1).
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
        sent, received = struct.unpack_from("=QQ", info, 120)
        if sent > UNPROVEN:
            return False
        if received > MOST:
            connection.shutdown(socket.SHUT_RDWR)
            return False
        return True
    except (OSError, struct.error):
        # It is closed, or the kernel does not tell.
        return False
    finally:
        if connection is not None:
            connection.detach()


def end(peer):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=peer)
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.detach()


def watch(zmq, monitor):
    """Watches the connections that one socket accepts until its context ends."""
    strangers = collections.OrderedDict()
    # A process has up to four such sockets.
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8, 1024)
    due = 0
    try:
        while True:
            wait = max(0, due - time.monotonic()) if strangers else None
            if monitor.poll(None if wait is None else int(wait * 1000) + 1):
                peer = struct.unpack_from("=i", monitor.recv_multipart()[0], 2)[0]
                strangers.pop(peer, None)
                strangers[peer] = None
            begin = time.monotonic()
            if begin < due and len(strangers) <= most:
                continue
            for peer in list(strangers):
                if not is_stranger(peer):
                    del strangers[peer]
            while len(strangers) > most:
                end(strangers.popitem(last=False)[0])
            now = time.monotonic()
            due = now + max(PAUSE, REST * (now - begin))
    except zmq.ZMQError:
        pass
    finally:
        monitor.close(0)


def guard(zmq, server):
    """Guards a socket that is about to be bound, where it asks for a proof of its key."""
    try:
        encrypted = server.getsockopt(zmq.CURVE_SERVER)
    except zmq.ZMQError:
        # A libzmq without encryption.
        return
    if encrypted and server not in guarded:
        guarded.add(server)
        monitor = server.get_monitor_socket(zmq.EVENT_ACCEPTED)
        threading.Thread(target=watch, args=(zmq, monitor), name="handshakes", daemon=True).start()
