"""Tries to get a port that somebody else holds: `bind.py [--serve] PORT...`. With --serve it goes on to listen on the first of
them, takes whatever arrives there until its stdin ends, and tells how much that was."""

import errno
import selectors
import socket
import sys


def attempt(port, address, options, listen):
    """The socket that was got, or the name of the error."""
    with_options = socket.socket()
    for option in options:
        with_options.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        with_options.bind((address, port))
        if listen:
            with_options.listen()
    except OSError as error:
        with_options.close()
        return errno.errorcode[error.errno]
    return with_options


def serve(listener):
    """Takes all that comes until stdin ends; bytes and connections."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    count, taken = 0, 0
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                if not sys.stdin.read(1):
                    return count, taken
            elif key.fileobj is listener:
                connection, _ = listener.accept()
                count += 1
                selector.register(connection, selectors.EVENT_READ)
            else:
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                taken += len(data)
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


def main():
    serves = sys.argv[1] == "--serve"
    ports = [int(text) for text in sys.argv[1 + serves:]]
    ways = {
        "plain": [],
        "reuseport": [socket.SO_REUSEPORT],
        "both": [socket.SO_REUSEADDR, socket.SO_REUSEPORT],
        "reuseaddr": [socket.SO_REUSEADDR],
    }
    for port in ports:
        for way, options in ways.items():
            for address in ["127.0.0.1", "0.0.0.0"]:
                got = attempt(port, address, options, True)
                print(way, address, got if isinstance(got, str) else "GOT", flush=True)
                if serves and way == "reuseaddr":
                    print("serving", flush=True)
                    count, taken = serve(got)
                    print(f"{count} connections brought {taken} bytes", flush=True)
                    return
                if not isinstance(got, str):
                    got.close()


main()
