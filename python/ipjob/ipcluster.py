"""`%load_ext ipjob.ipcluster`: the words that centres teach, those of ipcmagic 1.2, with ipjob behind them."""

import argparse

from . import __version__, magic
from .program import Failure

# ipcmagic's names for what ipjob has other names for. Its default was srun; here it is what fits.
LAUNCHERS = {"mpirun": "mpiexec", "srun": "srun", "local": "local"}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as a failure: a cell is no process that could exit."""

    def error(self, message):
        raise Failure(f"%ipcluster: {message}", [self.format_usage().strip().replace("\n", " ")])


def _parser():
    parser = _Parser(prog="%ipcluster", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-v", "--version", action="store_true")
    commands = parser.add_subparsers(dest="command", metavar="start|stop", parser_class=_Parser)
    start = commands.add_parser("start", prog="%ipcluster start", add_help=False)
    start.add_argument("-n", "--num_engines", type=int, required=True, help="number of engines")
    start.add_argument("-c", "--cpus_per_engine", type=int, help="number of CPUs for each engine, with srun")
    start.add_argument("--launcher", choices=LAUNCHERS, help="how to start the engines [default: what fits]")
    start.add_argument("--dask", action="store_true", help="make them workers of a dask.distributed cluster")
    commands.add_parser("stop", prog="%ipcluster stop", add_help=False)
    return parser, start


class Words:
    """`%ipcluster`, said to the session that `%ipjob` has."""

    def __init__(self, shell):
        self.shell = shell
        self.session = magic.session(shell)
        self.dask = None

    def command(self, line):
        """`%ipcluster LINE`"""
        parser, start = _parser()
        words = parser.parse_args(line.split())
        if words.version:
            print(f"ipjob {__version__}, with the words of ipcmagic 1.2")
        elif words.command == "start":
            self.start(words)
        elif words.command == "stop":
            self.stop()
        else:
            print("usage: %ipcluster start|stop, --version or --help\n" + start.format_help(), end="")

    def start(self, words):
        """Starts engines, which with --dask are workers as well."""
        options = ["-n", str(words.num_engines)]
        if words.launcher:
            options += ["--launcher", LAUNCHERS[words.launcher]]
        if words.cpus_per_engine:
            options += ["--srun-arg", f"--cpus-per-task={words.cpus_per_engine}"]
        self.session.run("start", options)
        self.dask = None
        if words.dask:
            self.dask = self.session.client.become_dask(nthreads=words.cpus_per_engine or 1)
            self.shell.user_ns["client"] = self.dask
            address = self.dask.scheduler.address
            print(f"client is a dask.distributed.Client of {address}, which takes work from anyone who can reach it: it has no key")

    def stop(self):
        """Ends them."""
        dask, self.dask = self.dask, None
        if dask:
            dask.close()
        # Where the job has ended by itself, so have its workers.
        if dask and self.session.client:
            self.session.client.stop_dask()
        self.session.run("stop", [])


def load_ipython_extension(shell):
    """`%load_ext ipjob.ipcluster`"""
    words = Words(shell)

    def ipcluster(line):
        words.command(line)

    ipcluster.__doc__ = _parser()[1].format_help()
    shell.register_magic_function(ipcluster, "line", "ipcluster")
