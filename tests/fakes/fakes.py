"""What the fake programs share: a log of what happens to them, and well-behaved servers."""
import json
import os
import signal
import socket
import sys


def log(text):
    """One line in the log of the test, whole: O_APPEND keeps lines of several processes apart."""
    name = os.path.basename(sys.argv[0])
    line = f"{name} {text}\n".encode()
    fd = os.open(os.environ["FAKE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line)
    os.close(fd)


def behaviour(name):
    """How the test wants this program to behave: FAKE_CONTROLLER, FAKE_ENGINE, FAKE_JUPYTER."""
    return os.environ.get(f"FAKE_{name}", "")


def option(name):
    """The value of `--NAME=VALUE` in argv."""
    for word in sys.argv[1:]:
        if word.startswith(f"--{name}="):
            return word.split("=", 1)[1]
    return None


def answer_version(version):
    if "--version" in sys.argv[1:]:
        print(version)
        sys.exit(0)


def listen(port=0, address="127.0.0.1"):
    """A socket in LISTEN on a port of this address: a free one, or this one, which ipjob holds."""
    server = socket.socket()
    # As ZeroMQ does it.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen()
    return server


def log_signals(code):
    """Logs TERM, INT and HUP and ends with this code at TERM; at USR1 it breaks, with last words."""

    def caught(number, _frame):
        log(signal.Signals(number).name)
        if number == signal.SIGTERM:
            os._exit(code)
        if number == signal.SIGUSR1:
            os.write(2, b"the last words of a fake\nTraceback (most recent call last):\n  File x\nRuntimeError: a test broke it\n")
            os._exit(1)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, caught)


def ignore_term():
    """Logs TERM and goes on."""
    signal.signal(signal.SIGTERM, lambda *_: log("SIGTERM ignored"))


def leave_strays():
    """Starts what outlives its parent, in sessions of its own, and logs each with its process id: a kernel, a nanny that
    ignores TERM, one without our environment, and a daemon of a parent that is gone."""

    def stray(kind, environment):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
                signal.signal(number, signal.SIG_IGN if kind == "deaf" else signal.SIG_DFL)
            if kind.endswith("daemon") and os.fork():
                os._exit(0)
            log(f"left {kind} {os.getpid()}")
            os.execve("/bin/sleep", ["sleep", "infinity"], environment)
        if kind.endswith("daemon"):
            os.waitpid(pid, 0)

    for kind in ("kernel", "deaf", "daemon"):
        stray(kind, dict(os.environ))
    for kind in ("clean", "clean-daemon"):
        stray(kind, {})


def for_ever():
    while True:
        signal.pause()


def write_json(path, value):
    """Whole and at once, unlike the real controller, unless a test asks for less; 0600, as the real programs leave it."""
    with open(path + ".new", "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(value, file)
    os.rename(path + ".new", path)
