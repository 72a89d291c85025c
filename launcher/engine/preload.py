"""Imports what --preload names before an engine counts as ready: as the engine's configuration file, which is read before it registers,
and in the Python that forks a node's engines, of whose program this is the first part.
"""
import importlib
import os
import sys

# The modules, with commas; `numpy?` need not be installed. It is taken by whoever imports them, so that nothing does it twice.
PRELOAD = "IPJOB_ENGINE_PRELOAD"
# What ipykernel sets in an engine before the first cell: matplotlib reads it when it is imported.
BACKEND = ("MPLBACKEND", "module://matplotlib_inline.backend_inline")


def preload(tell):
    """Imports the modules where an engine finds them, and tells a line of each that cannot be imported."""
    names = [name for name in os.environ.pop(PRELOAD, "").split(",") if name]
    unset = BACKEND[0] not in os.environ
    os.environ.setdefault(*BACKEND)
    # As ipengine does it before the first cell.
    sys.path.insert(0, "")
    for name in names:
        sought = name.rstrip("?")
        try:
            importlib.import_module(sought)
        # A module that ends the program ends no engine.
        except (Exception, SystemExit) as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == sought
            if not (absent and sought != name):
                why = " ".join(f"{type(error).__name__}: {error}".split())
                tell(f"ipjob-engine cannot import {sought} on {os.uname().nodename}: {why}\n".encode())
    if "" in sys.path:
        sys.path.remove("")
    if unset:
        os.environ.pop(BACKEND[0], None)


if "get_config" in globals():
    preload(lambda line: os.write(1, line))
