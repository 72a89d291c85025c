"""Little of a CPU, by a control group of version 1."""
import contextlib
import os

TOP = "/sys/fs/cgroup/cpu"


@contextlib.contextmanager
def limited(pids, percent):
    """Leaves these processes, and what they start meanwhile, so much of one CPU."""
    group = f"{TOP}/ipjob-chaos-{os.getpid()}"
    os.mkdir(group)
    try:
        _write(f"{group}/cpu.cfs_period_us", 100_000)
        _write(f"{group}/cpu.cfs_quota_us", percent * 1000)
        for pid in pids:
            _move(pid, group)
        yield
    finally:
        while members := open(f"{group}/cgroup.procs").read().split():
            for pid in members:
                _move(pid, TOP)
        os.rmdir(group)


def possible():
    """Whether such a group can be made here."""
    try:
        with limited([], 50):
            return True
    except OSError:
        return False


def _write(path, value):
    with open(path, "w") as file:
        file.write(str(value))


def _move(pid, group):
    # It may have ended.
    with contextlib.suppress(OSError):
        _write(f"{group}/cgroup.procs", pid)
