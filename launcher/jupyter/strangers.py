"""Bounds what strangers can take of a Jupyter: who has shown neither its token nor a cookie that it has signed.

Tornado reads the body of a request, 512 MB by Jupyter's default, before any handler looks at who sends it, keeps a connection on which nothing
is said for an hour, and tries to accept again and again, with a traceback each time, when no descriptor is left.

docs/design/strangers.md explains the design.
"""
import collections
import errno
import hmac
import importlib
import logging
import os
import resource
import socket
import sys
import time
import urllib.parse

# Bytes of a body; a password is one.
MOST = 64 * 1024
# Seconds for all that a stranger does on one connection, and between two looks at that.
PATIENCE = 60
LOOK = 1
# Seconds that pass before it is tried again to accept without a free descriptor.
PAUSE = 0.1


def wait_for_descriptors():
    """Lets connections wait in the backlog while no descriptor is free."""
    accept = socket.socket.accept
    told = False

    def waiting(self):
        nonlocal told
        try:
            return accept(self)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            if not told:
                told = True
                print(f"ipjob: new connections wait: {error}", file=sys.stderr, flush=True)
            time.sleep(PAUSE)
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None

    socket.socket.accept = waiting


def bound(token):
    """Bounds what Tornado's servers read from strangers; TOKEN is Jupyter's."""
    try:
        httpserver, httputil, web = (importlib.import_module(f"tornado.{name}") for name in ("httpserver", "httputil", "web"))
    except ImportError:
        return
    # What is no HTTP is a line each, and anybody can send it.
    logging.getLogger("tornado.general").addFilter(lambda record: not str(record.msg).startswith("Malformed HTTP message"))
    server = httpserver.HTTPServer
    handle_stream, start_request = server.handle_stream, server.start_request
    # Connections in the order in which they came, and when that was. Nothing else may keep one that is closed: it has up to 64 KB of what came.
    strangers = collections.OrderedDict()
    looks = False
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4, 512)

    def is_token(text):
        return bool(token) and hmac.compare_digest(text.encode(), token.encode())

    def is_known(self, start_line, headers):
        scheme, _, word = headers.get("Authorization", "").partition(" ")
        if scheme.lower() in ("token", "bearer") and is_token(word.strip()):
            return True
        # As Tornado takes it apart: there are paths that urlsplit refuses.
        query = urllib.parse.parse_qs(start_line.path.partition("?")[2])
        if any(is_token(word) for word in query.get("token", [])):
            return True
        settings = getattr(self.request_callback, "settings", {})
        secret = settings.get("cookie_secret")
        cookies = httputil.parse_cookie(headers.get("Cookie", "")) if secret else {}
        own = (settings.get("cookie_name"), getattr(settings.get("identity_provider"), "cookie_name", None))
        # Tornado writes version 2, and a line into the log for each of version 1 that it has not signed.
        return any(
            web.decode_signed_value(secret, name, text, min_version=2)
            for name, text in cookies.items()
            if name.startswith("username-") or name in own
        )

    class Bounded(httputil.HTTPMessageDelegate):
        def __init__(self, server, connection, delegate):
            self.server, self.connection, self.delegate = server, connection, delegate

        def headers_received(self, start_line, headers):
            known = is_known(self.server, start_line, headers)
            waiting = self.delegate.headers_received(start_line, headers)
            if known:
                strangers.pop(self.connection.stream, None)
            else:
                self.connection.set_max_body_size(MOST)
            return waiting

        def data_received(self, chunk):
            return self.delegate.data_received(chunk)

        def finish(self):
            self.delegate.finish()

        def on_connection_close(self):
            self.delegate.on_connection_close()

    def end(stream):
        if strangers.pop(stream, None) is not None:
            stream.close()

    def look(loop):
        nonlocal looks
        due = time.monotonic() - PATIENCE
        for stream, came in list(strangers.items()):
            if stream.closed():
                del strangers[stream]
            elif came < due:
                end(stream)
        looks = bool(strangers)
        if looks:
            loop.call_later(LOOK, look, loop)

    def handle(self, stream, address):
        nonlocal looks
        strangers[stream] = time.monotonic()
        if not looks:
            looks = True
            stream.io_loop.call_later(LOOK, look, stream.io_loop)
        while len(strangers) > most:
            end(next(iter(strangers)))
        return handle_stream(self, stream, address)

    def start(self, server_conn, request_conn):
        return Bounded(self, request_conn, start_request(self, server_conn, request_conn))

    server.handle_stream, server.start_request = handle, start
