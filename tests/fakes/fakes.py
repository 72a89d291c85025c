"""What the fake programs share: a log of what happens to them, and well-behaved servers."""
import json
import os
import signal
import socket
import sys
import time


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


def listen():
    """A socket in LISTEN on a free loopback port."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def log_signals(code):
    """Logs TERM, INT and HUP and ends with this code at TERM."""

    def caught(number, _frame):
        log(signal.Signals(number).name)
        if number == signal.SIGTERM:
            os._exit(code)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, caught)


def for_ever():
    while True:
        signal.pause()


def write_json(path, value):
    """Whole and at once, unlike the real controller, unless a test asks for less."""
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.rename(path + ".new", path)


def until(fact):
    while not fact():
        time.sleep(0.005)
