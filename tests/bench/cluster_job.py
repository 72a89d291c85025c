"""Jobs of a real Slurm cluster on this machine (tests/lab): submitted, found ready by the same facts, cancelled, looked after."""
import os
import shutil
import signal
import subprocess
import tempfile
import uuid

import process
from place import Home, Unmeasurable

HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "lab", "lab")
# The exit code of `lab` where this host lacks something that it needs.
LACKING = 75
NODES, ENGINES_PER_NODE = 2, 3
ENGINES = NODES * ENGINES_PER_NODE
USER = "alice"
# From the request to end to the kill: the default of Slurm, which sites keep.
KILL_WAIT = "KillWait=30"
# Cancels a job and tells when that was, and when Slurm had no trace of it any more but the memory.
CANCEL = """date +%s.%N; scancel {job}; while [ -n "$(squeue -h -j {job} 2>/dev/null)" ]; do sleep 0.02; done; date +%s.%N"""


class Lacking(Exception):
    """What this host lacks for a lab."""


def others():
    """The versions of Slurm that the tests know besides the machine's own, each with its virtual environment."""
    versions = subprocess.run([LAB, "versions"], capture_output=True, text=True, check=True).stdout.split()
    script = os.path.join(os.path.dirname(HERE), "python", "venv.sh")
    for version in versions:
        made = subprocess.run([script, "main", version], stdout=subprocess.PIPE, text=True)
        if made.returncode != 0:
            raise Lacking(f"there is no environment for Slurm {version}")
        yield version, made.stdout.strip()


class Lab:
    """`with Lab(binary, path) as lab:` is a cluster of two nodes; at its end it is taken down, with all that runs in it. With the name
    of a version of Slurm it is one of that, and `path` is in the virtual environment that was made there."""

    def __init__(self, binary, path, slurm=None, options=()):
        self.binary = binary
        self.path = path
        self.slurm = slurm
        self.options = options

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="ipjob-bench-lab-")
        self.share = os.path.join(self.dir, "share")
        self.state = os.path.join(self.dir, "state")
        os.mkdir(self.share)
        # Its users must see the program and what measures there; the checkout may be in a home that only its owner enters.
        for place in (self.dir, self.share):
            os.chmod(place, 0o755)
        shutil.copy(self.binary, os.path.join(self.share, "ipjob"))
        for name in ("contender.py", "place.py", "process.py", "ready.py", "classic.sbatch"):
            shutil.copy(os.path.join(HERE, name), self.share)
        up = ["up", "--share", self.share, "--slurm-conf", KILL_WAIT, *self.options]
        if self.slurm:
            up += ["--slurm", self.slurm]
        for place in self.path:
            # Another version has a root of its own, with nothing of the host's in it.
            if self.slurm or place.startswith(("/tmp/", "/home/", "/run/")):
                up += ["--share", os.path.dirname(place)]
        done = self.lab(*up)
        if done.returncode != 0:
            self.__exit__()
            last = (done.stderr.strip().splitlines() or ["no lab"])[-1]
            raise Lacking(last) if done.returncode == LACKING else Unmeasurable(done.stderr)
        return self

    def __exit__(self, *_):
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.lab("down")
            shutil.rmtree(self.dir, ignore_errors=True)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def lab(self, *args):
        return subprocess.run([LAB, "--state", self.state, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def inside(self, machine, home=f"/home/{USER}"):
        """The words before a command that the user runs there."""
        path = os.pathsep.join([*self.path, self.share, "/usr/bin", "/bin"])
        # tests/support/lab.rs tells why.
        few = ["-e", "UCX_TLS=tcp,self"] if self.slurm else []
        return ["in", "-u", USER, "-e", f"PATH={path}", "-e", f"HOME={home}", *few, machine]

    def start(self, machine, *command):
        """Starts a command as the user, to be read from; ended, what runs inside gets TERM."""
        return subprocess.Popen([LAB, "--state", self.state, *self.inside(machine), *command],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def on(self, machine, *command, home=f"/home/{USER}"):
        """Runs a command as the user; what it prints."""
        done = self.lab(*self.inside(machine, home), *command)
        if done.returncode != 0:
            raise Unmeasurable(f"{command[0]}: {done.stderr}{done.stdout}")
        return done.stdout

    def measure(self, body):
        """One job: seconds from the first line of its script to ready, from scancel to gone, and what it left."""
        mark = f"IPJOB_BENCH={uuid.uuid4().hex}"
        name = mark[-8:]
        home = f"/home/{USER}/{name}"
        outside = os.path.join(self.state, "home", USER, name)
        script = f"#!/bin/bash\ndate +%s.%N >begin\nexport HOME={home} {mark}\n{body}\n"
        self.on("login", "sh", "-c", f"mkdir {name} && cat >{name}/job.sbatch <<'END'\n{script}END")
        job = self.on("login", "sbatch", "--parsable", f"--nodes={NODES}", f"--ntasks-per-node={ENGINES_PER_NODE}",
                      f"--chdir={home}", "--output=output", f"{name}/job.sbatch").strip()
        try:
            ready = float(self.on("node1", "python3", os.path.join(self.share, "ready.py"), str(ENGINES), home=home))
        except Unmeasurable as failure:
            with open(os.path.join(outside, "output"), errors="replace") as file:
                raise Unmeasurable(f"{failure}\n{''.join(file.readlines()[-15:])}") from None
        with open(os.path.join(outside, "begin")) as file:
            begin = float(file.read())
        asked, gone = map(float, self.on("login", "bash", "-c", CANCEL.format(job=job)).split())
        files = Home(outside)
        left = [file for pattern in (".ipython/profile_*/security/*.json", ".local/share/jupyter/runtime/*",
                                     ".ipython/profile_*/ipjob-runtime/*") for file in files.find(pattern)]
        found = {"ready": ready - begin, "gone": gone - asked, "processes": len(process.carrying(mark)), "files": len(left)}
        process.end(mark)
        return found
