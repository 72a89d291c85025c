"""Imports ipyparallel once, so that the engines of this node are forks: what is common to local.py and tasks.py, one of which
follows this text. preload.py precedes it.

An engine runs the script IPENGINE as it stands. One fork stays until the last of the engines has ended, and forks their nannies:
an engine asks for its own when it has registered.
"""
import functools
import gc
import json
import runpy
import signal
import socket
import subprocess
import time
import warnings

# What every engine imports, ipykernel's and IPython's lazy parts included. One that another version lacks is left to the
# engines; their own entry point is the script.
MODULES = (
    "ipyparallel.engine.app",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
    "sqlite3",
)
NANNY = "ipyparallel.engine.nanny"
# Each may hold a GPU's context or threads of its own, and none is imported by ipyparallel.
FOREIGN = ("cupy", "jax", "mpi4py.MPI", "numba.cuda", "pycuda", "pyopencl", "tensorflow", "torch")
DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")


def import_once():
    """ipyparallel itself must be there."""
    # As the engine itself does it: pydevd would warn of frozen modules.
    name = "PYDEVD_DISABLE_FILE_VALIDATION"
    unset = name not in os.environ
    os.environ.setdefault(name, "1")
    importlib.import_module("ipyparallel.engine")
    for module in MODULES:
        try:
            importlib.import_module(module)
        except Exception:
            pass
    if unset:
        del os.environ[name]


# Seconds in which a fork that does nothing has ended.
FORK_LIMIT = 5


def prepare(tell, own=None):
    """Imports what all engines have in common; tells of modules that cannot be preloaded, and returns what speaks against a fork."""
    try:
        import_once()
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    for module in FOREIGN:
        if module in sys.modules:
            return f"{module} was imported before ipyparallel"
    why = hindrance("the imports", own)
    if why is None:
        why = preload(tell, lambda module: hindrance(f"the import of {module}", own))
    return why


def hindrance(cause, own=None):
    """What a preloaded module, or a site-wide sitecustomize, usercustomize or .pth file, has made that does not survive a fork; None is
    nothing. Found after this cause. Our own socket is none of theirs."""
    # What has threads and sockets of its own is named before them.
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi and mpi.Is_initialized():
        return f"MPI is initialised in its Python after {cause}"
    files = [read_link(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if own is None or int(number) != own.fileno()]
    for file in files:
        if file.startswith(DEVICES):
            return f"{file} is open in its Python after {cause}"
    if count_threads():
        why = try_fork(cause)
        if why:
            return why
    threads = count_threads()
    if threads:
        return f"{threads} more thread{'s run' if threads > 1 else ' runs'} in its Python after {cause}"
    if any(file.startswith("socket:") for file in files):
        return f"a socket is open in its Python after {cause}"
    processes = sys.modules.get("multiprocessing")
    method = processes and processes.get_start_method(allow_none=True)
    if method in ("spawn", "forkserver"):
        return f"multiprocessing was told to start processes by {method} in its Python, as seen after {cause}"
    return None


def read_link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def count_threads():
    return len(os.listdir("/proc/self/task")) - 1


def try_fork(cause):
    """Forks once: some threads end before a fork and are there again when they are needed, as OpenBLAS's. Returns why that cannot be, if so."""
    with warnings.catch_warnings():
        # Whether threads stay is what we want to know.
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    limit = time.monotonic() + FORK_LIMIT
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > limit:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"a fork of its Python hangs after {cause}"
        time.sleep(0.001)
    # Who has joined a thread may be ahead of /proc.
    for _ in range(20):
        if not count_threads():
            break
        time.sleep(0.001)
    return None


def become(ipengine, number, args, nannies, stdout, stderr):
    """Makes of this fork what an exec of its own would have been."""
    os.setpgid(0, 0)
    put(os.open(os.devnull, os.O_RDONLY), stdout, stderr)
    # `random` seeds itself anew, secrets and uuid have no state; numpy's generator would be the same in every engine.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if nannies:
        sys.modules[NANNY].Popen = functools.partial(start_nanny, nannies)
    sys.argv = [ipengine, *args]
    show([sys.executable, *sys.argv], f"ipengine-{number}")
    runpy.run_path(ipengine, run_name="__main__")


def put(*descriptors):
    """Makes them the standard ones."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)


def serve_nannies(requests):
    """Forks a nanny for every engine that asks, until no engine is left that could."""
    # The kernel waits for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    show([sys.executable, "-m", NANNY, "(forks them)"], "ipengine-nanny")
    while True:
        cpus, streams, _, _ = socket.recv_fds(requests, 1 << 16, 3)
        if not streams:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            bind(json.loads(cpus))
            # As ipyparallel starts it: in a session of its own, and what it prints is there at once.
            os.setsid()
            put(*streams)
            sys.stdout.reconfigure(line_buffering=True)
            show([sys.executable, "-m", NANNY], "ipengine-nanny")
            return sys.modules[NANNY].main()
        for descriptor in streams:
            os.close(descriptor)


def bind(cpus):
    """Binds this process to these CPUs: those of the task, or the engine, that it is for."""
    if set(cpus) != os.sched_getaffinity(0):
        os.sched_setaffinity(0, cpus)


class Nanny:
    """What ipyparallel does with the `Popen` of its nanny: it writes to it, reads from it, and keeps it."""

    def __init__(self, stdin, stdout):
        self.stdin, self.stdout = open(stdin, "wb"), open(stdout, "rb")

    def terminate(self):
        self.stdin.close()
        self.stdout.close()


def start_nanny(requests, argv, **options):
    """Asks for a forked nanny, and starts one as ever where none is to be had."""
    its_stdin, stdin = os.pipe()
    stdout, its_stdout = os.pipe()
    try:
        cpus = json.dumps(sorted(os.sched_getaffinity(0))).encode()
        socket.send_fds(requests, [cpus], [its_stdin, its_stdout, 2])
    except OSError:
        return subprocess.Popen(argv, **options)
    finally:
        os.close(its_stdin)
        os.close(its_stdout)
    return Nanny(stdin, stdout)


def show(argv, name):
    """Lets `ps` show its own command line and name of a process; where the kernel refuses, it shows ours.

    A name has no space: from 3.12 on Python counts the words of /proc/self/stat at each fork, and warns of threads where there are none.
    """
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        begin, end = int(fields[45]), int(fields[46])
        text = b"".join(os.fsencode(word) + b"\0" for word in argv)[: end - begin - 1]
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(begin)
            memory.write(text.ljust(end - begin, b"\0"))
        with open("/proc/self/comm", "w") as file:
            file.write(name)
    except (OSError, ValueError, IndexError):
        pass


def fork_nannies(args, listener=None):
    """Forks what forks nannies, and returns where it is asked; None where nannies are not wanted, or not what is known here:
    then each engine starts its own as ever."""
    module = sys.modules.get(NANNY)
    known = getattr(module, "Popen", None) is subprocess.Popen and callable(getattr(module, "main", None))
    if not known or not hasattr(socket, "send_fds") or "--IPEngine.enable_nanny=False" in args:
        return None
    requests, nannies = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        nannies.close()
        if listener:
            listener.close()
        os.setpgid(0, 0)
        # Our report is complete when we have ended.
        put(os.open(os.devnull, os.O_RDONLY))
        serve_nannies(requests)
        sys.exit()
    requests.close()
    return nannies


def find_modules_of(ipengine, ours):
    """Modules are found where they are for the script itself, and not in what stands in its place because of this program."""
    if sys.path and sys.path[0] == ours:
        sys.path[0] = os.path.dirname(os.path.realpath(ipengine))


def share(in_world=False):
    """What is collected by none stays shared by all. What a site's module printed is written once, not by each fork again, and
    not where an engine reads its nanny's address."""
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()
    if in_world:
        use_up_heap()
