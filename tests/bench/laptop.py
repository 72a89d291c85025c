"""From a laptop to a job (tests/lab): `ipjob connect` beside `ssh -L` once for each port, in time, logins, what is left, and bytes."""
import json
import os
import time

from cluster_job import USER
from place import PATIENCE, Unmeasurable

GIGABYTE = 1 << 30
# Greets as a hub does, then sends as many bytes as there are to be measured, to everyone who connects.
SOURCE = """
import socket, threading
server = socket.create_server(("10.77.0.11", 0))
print(server.getsockname()[1], flush=True)
block = bytes(1 << 20)
def serve(peer):
    try:
        peer.sendall(b"\\xff")
        for _ in range({blocks}):
            peer.sendall(block)
        peer.close()
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
# Takes all that comes; seconds.
SINK = """
import socket, sys, time
begin = time.monotonic()
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
buffer, count = bytearray(1 << 20), 0
while True:
    read = peer.recv_into(buffer)
    if not read:
        break
    count += read
assert count == 1 + {bytes}, count
print(time.monotonic() - begin)
"""
# The classic way: the ports are known already, each gets an ssh; seconds until the page answers.
SIX = """
import json, subprocess, sys, time, urllib.request
record, ports = json.loads(sys.argv[1]), json.loads(sys.argv[2])
begin = time.monotonic()
for port in ports:
    subprocess.run(["ssh", "-f", "-N", "-L", f"{port}:{record['ip']}:{port}", "login"], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
url = record["url"].replace(record["ip"], "localhost", 1).replace("/lab?", "/api/status?")
assert urllib.request.urlopen(url, timeout=60).status == 200
print(time.monotonic() - begin)
"""
# ipjob's way: seconds from its start until the page answers; then Ctrl-C, and seconds until it has ended.
CONNECT = """
import json, signal, subprocess, sys, time, urllib.request
begin = time.monotonic()
child = subprocess.Popen(["ipjob", "connect", "--json", sys.argv[1]], stdout=subprocess.PIPE, text=True)
told = json.loads(child.stdout.readline())
url = told["url"].replace("/lab?", "/api/status?")
assert urllib.request.urlopen(url, timeout=60).status == 200
ready = time.monotonic()
child.send_signal(signal.SIGINT)
child.wait()
print(ready - begin, time.monotonic() - ready)
"""


class Laptop:
    """A job that is ready, and the laptop that wants to use it."""

    def __init__(self, lab):
        self.lab = lab
        script = "#!/bin/bash\nexec ipjob --mode notebook --mpi none\n"
        lab.on("login", "sh", "-c", f"cat >laptop.sbatch <<'END'\n{script}END")
        self.job = lab.on("login", "sbatch", "--parsable", "-N1", "-n2", "laptop.sbatch").strip()
        home = os.path.join(lab.state, "home", USER, f".ipython/profile_job_{self.job}")
        self.record = self.until(lambda: read(os.path.join(home, "ipjob.json")), lambda record: record["state"] == "ready")
        client = read(os.path.join(home, "security/ipcontroller-client.json"))
        ports = [value for value in client.values() if isinstance(value, int)]
        # Jupyter's, and of the controller's the five without which no view works.
        self.six = [self.record["port"], *ports[:5]]

    def until(self, look, enough):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = look()
            if found and enough(found):
                return found
            time.sleep(0.05)
        raise Unmeasurable(f"job {self.job} is not ready within {PATIENCE} s")

    def logins(self):
        with open(os.path.join(self.lab.state, "log/sshd-login.log"), errors="replace") as file:
            return file.read().count("Accepted publickey")

    def left(self):
        """The ssh processes that are on the laptop; they are ended."""
        pids = self.lab.on("laptop", "sh", "-c", "ps -u alice -o pid=,comm= | awk '$2 == \"ssh\" {print $1}'").split()
        if pids:
            self.lab.on("laptop", "sh", "-c", f"kill {' '.join(pids)}")
        return len(pids)

    def measure(self, ssh):
        """One way to the page: seconds, logins, and the processes that are left after Ctrl-C."""
        before = self.logins()
        if ssh:
            ready = float(self.lab.on("laptop", "python3", "-c", SIX, json.dumps(self.record), json.dumps(self.six)))
        else:
            ready = float(self.lab.on("laptop", "python3", "-c", CONNECT, f"login:{self.job}").split()[0])
        return {"ready": ready, "logins": self.logins() - before, "left": self.left()}


def stop(child):
    """Ends a command and waits for it."""
    child.terminate()
    child.wait(PATIENCE)


def read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


class Source:
    """`with Source(lab) as source:` is a program on a compute node that sends a gigabyte, with a record that leads to it."""

    def __init__(self, lab, size=GIGABYTE):
        self.lab = lab
        self.size = size

    def __enter__(self):
        code = SOURCE.format(blocks=self.size >> 20)
        self.child = self.lab.start("node1", "python3", "-c", code)
        self.port = int(self.child.stdout.readline())
        profile = f"/home/{USER}/.ipython/profile_job_bulk"
        client = {"ssh": "", "interface": "tcp://10.77.0.11", "registration": self.port, "key": "k", "location": "node1",
                  "pack": "json", "unpack": "json", "signature_scheme": "hmac-sha256"}
        record = {"version": 1, "state": "ready", "mode": "cluster-only", "job": {"cluster": "local", "id": None},
                  "incarnation": {"id": "local.local.0.bulk"}, "profile": {"name": "job_bulk", "dir": profile},
                  "host": "node1", "controller": {"client_file": f"{profile}/client.json"},
                  "engines": {"expected": 1, "registered": 1}, "updated": "2099-01-01T00:00:00Z", "refresh_s": 60}
        text, client = json.dumps(record, indent=2), json.dumps(client)
        self.lab.on("login", "sh", "-c", f"mkdir -p {profile} && printf %s '{text}' >{profile}/ipjob.json"
                                         f" && printf %s '{client}' >{profile}/client.json")
        return self

    def __exit__(self, *_):
        stop(self.child)

    def measure(self, ssh):
        """Megabytes in a second through one way."""
        if ssh:
            child = self.lab.start("laptop", "ssh", "-N", "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo",
                                   "-L", f"7777:10.77.0.11:{self.port}", "login")
            child.stdout.readline()
            local = 7777
        else:
            child = self.lab.start("laptop", "ipjob", "connect", "--json", "login:job_bulk")
            local = json.loads(child.stdout.readline())["client_ports"]["registration"]
        try:
            seconds = float(self.lab.on("laptop", "python3", "-c", SINK.format(bytes=self.size), str(local)))
        finally:
            stop(child)
        return self.size / 1e6 / seconds
