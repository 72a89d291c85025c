"""Closes a Jupyter to other users where none of its options can."""
import importlib
import itertools
import os


def shorten_socket_names():
    """Kernels' sockets, where they are files, are `DIR/1-2` instead of `DIR/kernel-UUID-ipc-2`, with a number of its own for every kernel
    of this Jupyter: kernels made with xeus take no name of more than 25 bytes."""
    try:
        mixin = importlib.import_module("jupyter_client.connect").ConnectionFileMixin
        known = mixin._ip_default
    except (ImportError, AttributeError):
        return
    numbers = itertools.count(1)

    def ip_default(self):
        if self.transport != "ipc" or not os.path.isabs(self.connection_file):
            return known(self)
        return os.path.join(os.path.dirname(self.connection_file), str(next(numbers)))

    mixin._ip_default = ip_default
