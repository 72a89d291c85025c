"""Processes as /proc shows them: who carries a mark, what they cost, how they are ended."""
import os
import signal
import time


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def start_of(pid):
    """Clock ticks from boot to its start, which with the pid name one process for ever; None once it is gone or a zombie."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if not fields or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def state(pid):
    """The letter of the thread that says most of why a process does not go on: D before any other."""
    letters = set()
    for task in os.listdir(f"/proc/{pid}/task") if os.path.isdir(f"/proc/{pid}/task") else []:
        letters.add(_read(f"/proc/{pid}/task/{task}/stat").rpartition(b") ")[2][:1].decode())
    return "D" if "D" in letters else next(iter(letters), "")


def named(name, *marks):
    """The running processes of that name with these entries in their environment."""
    return [pid for pid in carrying(*marks) if is_named(pid, name)]


def is_named(pid, name):
    return _read(f"/proc/{pid}/comm").strip().decode(errors="replace") == name


def carrying(*marks):
    """The running processes with these entries in their environment, as {pid: start}."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and {mark.encode() for mark in marks} <= set(_read(f"/proc/{name}/environ").split(b"\0")):
            start = start_of(name)
            if start is not None:
                found[int(name)] = start
    return found


def living(processes):
    """Those of {pid: start} that still run."""
    return {pid: start for pid, start in processes.items() if start_of(pid) == start}


def send(processes, number):
    """Signals each, by its pid and only while it is the same process."""
    for pid in living(processes):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def end(mark, patience=10):
    """Kills all that carry the mark, also what they start meanwhile."""
    limit = time.monotonic() + patience
    while processes := carrying(mark):
        send(processes, signal.SIGKILL)
        if time.monotonic() > limit:
            raise RuntimeError(f"processes {sorted(processes)} do not end")
        time.sleep(0.02)


def cpu_ns(pid):
    """Nanoseconds on a CPU of its threads that live: stat's clock ticks (10 ms) are too coarse for an idle program."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        fields = _read(f"/proc/{pid}/task/{thread}/schedstat").split()
        total += int(fields[0]) if fields else 0
    return total


def spent_s(processes):
    """CPU seconds that these have spent so far, with the children that they have waited for."""
    ticks = 0
    for pid in processes:
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def wakeups(pid):
    """How often its threads went to sleep by themselves (each time something wakes them again)."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        total += _status(f"/proc/{pid}/task/{thread}/status", b"voluntary_ctxt_switches:")
    return total


def resident_kb(pid):
    """Resident memory, and the part of it that is its own (what is shared counts by its share)."""
    return _status(f"/proc/{pid}/status", b"VmRSS:"), _status(f"/proc/{pid}/smaps_rollup", b"Pss:")


def _status(path, name):
    for line in _read(path).splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
