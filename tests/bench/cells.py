"""The ways to engines from a cell of a notebook: the seconds until they are of use, those of the end, and what is left then."""
import json
import os
import subprocess
import time

from contender import STOP_PATIENCE
from place import Place, Unmeasurable

HERE = os.path.dirname(os.path.realpath(__file__))
PACKAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "python")
# What does not run is used no more than once.
PATIENCE = 300

USE = "import os\nassert len(set(rc[:].apply_sync(os.getpid))) == {engines}\nprint('it works')"
USE_MPI = """def size():
    from mpi4py import MPI
    return MPI.COMM_WORLD.allreduce(1)
assert rc[:].apply_sync(size) == [{engines}] * {engines}
print('it works')"""


class Way:
    """Three cells: start, use, end."""

    def __init__(self, name, kind, start, use, end):
        self.name = name
        self.kind = kind
        self.cells = start, use, end

    def measure(self, binary, path):
        with Place(path) as place:
            command = ["env", f"PYTHONPATH={PACKAGE}", f"IPJOB={binary}", "python", os.path.join(HERE, "cell.py"), *self.cells]
            child = place.start(command, stdout=subprocess.PIPE, text=True)
            try:
                told, _ = child.communicate(timeout=PATIENCE)
                found = json.loads(told)
            except (subprocess.TimeoutExpired, ValueError):
                raise Unmeasurable(f"{self.name}: {place.tail()}") from None
            end = time.monotonic() + STOP_PATIENCE
            while place.processes() and time.monotonic() < end:
                time.sleep(0.05)
            return found | {"processes": len(place.processes()), "files": len(place.find(".ipython/profile_*/security/*.json"))}


def ways(engines):
    """Those without MPI, then those with."""
    use, use_mpi = USE.format(engines=engines), USE_MPI.format(engines=engines)
    magic, mpi = f"%load_ext ipjob\n%ipjob start -n {engines}", "--launcher mpiexec"
    cluster = "import ipyparallel as ipp\ncluster = ipp.Cluster(n={engines}{more})\nrc = cluster.start_and_connect_sync()"
    cscs = "%load_ext ipcmagic\n%ipcluster start -n {engines} --launcher {launcher}\nimport ipyparallel as ipp\nrc = ipp.Client()"
    end = "rc.close()\ncluster.stop_cluster_sync()"
    return [
        Way("%ipjob start", f"{engines} engines", magic, use, "%ipjob stop"),
        Way("ipp.Cluster()", f"{engines} engines", cluster.format(engines=engines, more=""), use, end),
        Way("ipcmagic's %ipcluster start --launcher local", f"{engines} engines", cscs.format(engines=engines, launcher="local"), use, "%ipcluster stop"),
        Way("%ipjob start --launcher mpiexec", f"{engines} MPI ranks", f"{magic} {mpi}", use_mpi, "%ipjob stop"),
        Way("ipp.Cluster(engines='mpi')", f"{engines} MPI ranks", cluster.format(engines=engines, more=", engines='mpi'"), use_mpi, end),
        Way("ipcmagic's %ipcluster start --launcher mpirun", f"{engines} MPI ranks", cscs.format(engines=engines, launcher="mpirun"), use_mpi, "%ipcluster stop"),
    ]
