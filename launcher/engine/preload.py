"""Imports what --preload names before an engine counts as ready: as the engine's configuration file, which is read before it registers,
and in the Python that forks a node's engines, of whose program this is the first part.
"""
import faulthandler
import importlib
import os
import sys

# The modules, with commas; `numpy?` need not be installed. It is taken by whoever imports them, so that nothing does it twice.
PRELOAD = "IPJOB_ENGINE_PRELOAD"
# What ipykernel sets in an engine before the first cell: matplotlib reads it when it is imported.
BACKEND = ("MPLBACKEND", "module://matplotlib_inline.backend_inline")


def preload(tell, look=lambda module: None):
    """Imports the modules where an engine finds them, and tells a line of each that cannot be imported. `look` is called after each, and ends it
    with what it returns."""
    why = None
    names = [name for name in os.environ.pop(PRELOAD, "").split(",") if name]
    unset = BACKEND[0] not in os.environ
    os.environ.setdefault(*BACKEND)
    # As ipengine does it before the first cell.
    sys.path.insert(0, "")
    # One that crashes is named in the log.
    silent = not faulthandler.is_enabled()
    if silent:
        faulthandler.enable(2)
    for name in names:
        sought = name.rstrip("?")
        try:
            importlib.import_module(sought)
        # A module that ends the program ends no engine.
        except (Exception, SystemExit) as error:
            absent = isinstance(error, ModuleNotFoundError) and error.name == sought
            if not (absent and sought != name):
                cause = " ".join(f"{type(error).__name__}: {error}".split())
                tell(f"ipjob-engine cannot import {name} on {os.uname().nodename}: {cause}\n".encode())
        why = look(sought)
        if why is not None:
            break
    if silent:
        faulthandler.disable()
    if "" in sys.path:
        sys.path.remove("")
    if unset:
        os.environ.pop(BACKEND[0], None)
    return why


# Allocations of one size that are made at most: some 800 in all were needed.
MOST_OF_A_SIZE = 1 << 16


def use_up_heap():
    """Takes the free memory between what imports have left, so that what MPI allocates is fresh memory, which is zeros.

    MPICH 5.0 announces its address of UCX by 4 KiB from where that begins, although it is shorter, and only zeros behind it are compressed
    into a line that Slurm's pmi2 can read. docs/design/fork.md has the numbers.
    """
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        malloc, end, trim = libc.malloc, libc.sbrk, libc.malloc_trim
    except (ImportError, OSError, AttributeError):
        # No glibc.
        return
    malloc.argtypes, malloc.restype, end.restype = [ctypes.c_size_t], ctypes.c_size_t, ctypes.c_size_t
    trim(ctypes.c_size_t(0))
    top = end(0)
    for size in range(4096, 8, -16):
        for _ in range(MOST_OF_A_SIZE):
            if malloc(size) >= top:
                break


if "get_config" in globals():
    preload(lambda line: os.write(1, line))
    if "--mpi" in sys.argv:
        use_up_heap()
