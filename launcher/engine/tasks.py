"""Forks the engine of every task of a step on this node: `python -c ... TITLE CLOSED IPENGINE ARGS...`.

CLOSED are the descriptors (`5,7`) that the first task was given for itself, and descriptor 0 a socket
that listens. Every task connects to it, sends its stdout and stderr with one line of JSON, {"id": 3, "args": [...], "environment": {...},
"cpus": [...], "descriptors": ["PMI_FD"]}, the last of which names variables that tell the numbers of further descriptors that it sends, and is
told of its own engine:

    engine 117              it was forked, and is this process
    ended 9                 it has ended, with this status as the kernel tells it
    exec 2 threads run ...  it is not forked; only the first task is told why

This program is the parent of the engines, and stays until the last task has gone. ARGS are what all engines have in common.
"""
import array
import select

# What is sent to all processes of a step is for its tasks, which hand it on.
FOR_TASKS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


# How many descriptors are a task's streams, and how many it sends at most.
STREAMS, MOST = 2, 8

# Seconds in which a task tells what it wants, which it does at once.
SILENCE = 10


class Tasks:
    """The tasks of this node, each with its engine."""

    def __init__(self, listener, why):
        self.listener, self.why = listener, why
        # The variables before any module was imported.
        with open("/proc/self/environ", "rb") as file:
            entries = [entry.partition(b"=") for entry in file.read().split(b"\0") if entry]
        self.environment = {name: text for name, _, text in entries}
        # By the process ids of their engines.
        self.connections = {}
        # In a fork, what it is to become.
        self.engine = None
        self.ends, self.end = os.pipe()
        os.set_blocking(self.ends, False)
        os.set_blocking(self.end, False)
        self.poll = select.poll()
        self.poll.register(listener, select.POLLIN)
        self.poll.register(self.ends, select.POLLIN)
        self.actions = {number: signal.signal(number, signal.SIG_IGN) for number in FOR_TASKS}
        self.actions[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.end)

    def wait(self):
        """Waits until something happens and sees to it; false when nothing more can happen."""
        for descriptor, _ in self.poll.poll():
            if descriptor == self.listener.fileno():
                connection, _ = self.listener.accept()
                if self.fork(connection):
                    return True
            elif descriptor == self.ends:
                os.read(self.ends, 1 << 16)
                self.reap()
            else:
                self.kill(descriptor)
        return bool(self.connections or self.poll.poll(0))

    def fork(self, connection):
        """Forks the engine of a task; true in the fork."""
        # What listens has a name that all users of the node see: from another one nothing is even waited for.
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if int.from_bytes(peer[4:8], sys.byteorder) != os.geteuid():
            connection.close()
            return False
        # The tasks of this node wait for each other here: one that says nothing is not waited for.
        connection.settimeout(SILENCE)
        descriptors = array.array("i")
        try:
            order = receive(connection, descriptors)
        except (OSError, ValueError):
            order = None
        if not order:
            pid = None
        elif self.why is not None:
            tell(connection, f"exec {self.why}".rstrip())
            self.why, pid = "", None
        else:
            pid = self.try_fork(connection, order, descriptors)
        if pid == 0:
            self.engine = order["id"], order["args"], descriptors[:STREAMS]
            return True
        for descriptor in descriptors:
            os.close(descriptor)
        if pid:
            self.connections[pid] = connection
            self.poll.register(connection, 0)
        else:
            connection.close()
        return False

    def try_fork(self, connection, order, descriptors):
        # What comes for the engine before it can hear it waits.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_TASKS)
        try:
            pid = os.fork()
        except OSError as error:
            tell(connection, f"exec it cannot be forked: {error.strerror}")
            pid = None
        if pid == 0:
            self.leave()
            try:
                bind(order["cpus"])
            except OSError as error:
                tell(connection, f"exec it cannot be bound to the CPUs of its task: {error.strerror}")
                os._exit(0)
            # As received, they reach programs that the engine starts, as the task's own would.
            numbers = map(str, descriptors[STREAMS:])
            self.take(order["environment"] | dict(zip(order["descriptors"], numbers)))
            tell(connection, f"engine {os.getpid()}")
            connection.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid

    def take(self, environment):
        """In a fork: its task's variables are its own, with what the imports have made of them."""
        environment = {name.encode("latin-1"): text.encode("latin-1") for name, text in environment.items()}
        imported = dict(os.environb)
        os.environb.clear()
        os.environb.update(environment)
        for name in self.environment.keys() | imported.keys():
            if name not in imported:
                os.environb.pop(name, None)
            elif imported[name] != self.environment.get(name):
                os.environb[name] = imported[name]

    def leave(self):
        """In a fork: nothing of the other tasks is left in it."""
        signal.set_wakeup_fd(-1)
        for number, action in self.actions.items():
            signal.signal(number, signal.SIG_DFL if action is None else action)
        for connection in self.connections.values():
            connection.close()
        self.listener.close()
        os.close(self.ends)
        os.close(self.end)

    def reap(self):
        """Tells tasks how their engines ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            connection = self.connections.pop(pid, None)
            if connection:
                self.poll.unregister(connection)
                tell(connection, f"ended {status}")
                connection.close()

    def kill(self, descriptor):
        """Ends the engine of a task that has gone: nobody else asks it to."""
        for pid, connection in list(self.connections.items()):
            if connection.fileno() == descriptor:
                os.kill(pid, signal.SIGKILL)
                self.poll.unregister(connection)
                del self.connections[pid]
                connection.close()


def receive(connection, descriptors):
    """What a task sends: its order, its stdout and stderr, and what its order names."""
    data, messages, _, _ = connection.recvmsg(1 << 16, socket.CMSG_SPACE(MOST * descriptors.itemsize))
    for _, _, some in messages:
        descriptors.frombytes(some)
    while not data.endswith(b"\n"):
        more = connection.recv(1 << 16)
        if not more:
            return None
        data += more
    return json.loads(data)


def tell(connection, line):
    """A task that has gone need not hear it."""
    try:
        connection.sendall(line.encode() + b"\n")
    except OSError:
        pass


def main(_, closed, ipengine, *args):
    for descriptor in filter(None, closed.split(",")):
        os.close(int(descriptor))
    # What `-c` means.
    find_modules_of(ipengine, "")
    listener = socket.socket(fileno=os.dup(0))
    put(os.open(os.devnull, os.O_RDONLY))
    sys.argv = [ipengine, *args]
    why = prepare(lambda line: os.write(1, line), listener)
    share("--mpi" in args)
    # They are the first task's.
    put(*(os.open(os.devnull, os.O_RDWR) for _ in range(3)))
    nannies = None if why else fork_nannies(args, listener)
    show([sys.executable, ipengine, "(forks the engines of this node)"], "ipengine-forks")
    tasks = Tasks(listener, why)
    while tasks.wait():
        if tasks.engine:
            number, args, streams = tasks.engine
            return become(ipengine, number, args, nannies, *streams)
    # What modules want done at the end of a program is the engines' to do.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
