"""The listening sockets that ipjob hands to a program on its standard input, by SCM_RIGHTS, and how it takes them.

ipjob listens for as long as the job lives, so that nobody else ever gets one of its ports, and who connects while the program
is started again waits in the backlog. `take()` puts a descriptor of ours wherever this process, or one that it forks, binds one of these
addresses with its port: Python's sockets and, once `take_zmq()` was called, ZeroMQ's. Each bind is told on the same stream as a line
`PORT PID DESCRIPTOR`; `tell()` tells more, and `hear()` hears what ipjob tells. The descriptors pass no exec: kernels and other programs inherit none.
"""
import array
import os
import socket

MOST = 64
# By (address, port).
handed = {}
teller = None
# The beginning of a line of ipjob's.
heard = b""


def receive():
    """Takes the sockets from standard input, which is /dev/null afterwards."""
    global teller
    try:
        teller = socket.socket(fileno=os.dup(0))
        room = socket.CMSG_SPACE(MOST * array.array("i").itemsize)
        _, messages, _, _ = teller.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
    except OSError:
        # Standard input is something else.
        return
    for level, kind, data in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            for descriptor in memoryview(data).cast("i"):
                listener = socket.socket(fileno=descriptor)
                handed[listener.getsockname()] = listener
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)


def tell(line):
    try:
        teller.send(f"{line}\n".encode(), socket.MSG_DONTWAIT)
    except (AttributeError, OSError):
        # Nobody listens to it.
        pass


def hear():
    """The lines that ipjob has told since."""
    global heard
    try:
        while data := teller.recv(1 << 16, socket.MSG_DONTWAIT):
            heard += data
    except (AttributeError, OSError):
        # That was all.
        pass
    *lines, heard = heard.split(b"\n")
    return lines


def listen(loop, told):
    """Has tornado's loop call `told()` whenever ipjob tells something, until ipjob is gone."""
    if teller is None:
        return

    def readable(*_):
        told()
        try:
            gone = teller.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
        except BlockingIOError:
            gone = False
        except OSError:
            gone = True
        if gone:
            loop.remove_handler(teller.fileno())

    loop.add_handler(teller.fileno(), readable, loop.READ)


def take():
    """Lets Python's sockets take them; tells whether there are any."""
    receive()
    bind = socket.socket.bind

    def taking(self, address):
        streams = self.family == socket.AF_INET and self.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        listener = streams and isinstance(address, tuple) and handed.get(address)
        if not listener:
            return bind(self, address)
        os.dup2(listener.fileno(), self.fileno(), inheritable=False)
        tell(f"{address[1]} {os.getpid()} {self.fileno()}")

    if handed:
        socket.socket.bind = taking
    return bool(handed)


def take_zmq(zmq, guard):
    """Has each bind of ZeroMQ's to a TCP port come after `guard(zmq, socket)`, and lets those to handed ports take them."""
    bind = zmq.Socket.bind
    urls = {f"tcp://{address}:{port}": listener for (address, port), listener in handed.items()}

    def taking(self, address):
        if not address.startswith("tcp:"):
            return bind(self, address)
        guard(zmq, self)
        listener = urls.get(address)
        if not listener:
            return bind(self, address)
        descriptor = os.dup(listener.fileno())
        self.setsockopt(zmq.USE_FD, descriptor)
        try:
            bound = bind(self, address)
        finally:
            self.setsockopt(zmq.USE_FD, -1)
        tell(f"{listener.getsockname()[1]} {os.getpid()} {descriptor}")
        return bound

    zmq.Socket.bind = taking
