"""Little of a CPU, by a control group."""
import contextlib
import os


def hierarchy():
    """Where control groups with a quota can be made, and whether that is version 2: a hierarchy of version 1 may have taken the CPUs."""
    with open("/proc/mounts") as mounts:
        mounts = [line.split() for line in mounts]
    for kind, option, second in (("cgroup", "cpu", False), ("cgroup2", "rw", True)):
        for _, top, mounted, options, *_ in mounts:
            if mounted == kind and option in options.split(","):
                return top, second
    raise FileNotFoundError("no control groups are mounted")


@contextlib.contextmanager
def limited(pids, percent):
    """Leaves these processes, and what they start meanwhile, so much of one CPU."""
    top, second = hierarchy()
    if second:
        _write(f"{top}/cgroup.subtree_control", "+cpu")
    group = f"{top}/ipjob-chaos-{os.getpid()}"
    os.mkdir(group)
    try:
        if second:
            _write(f"{group}/cpu.max", f"{percent * 1000} 100000")
            # Another kind takes no processes: that of a group that has processes beside this one.
            with open(f"{group}/cgroup.type") as kind:
                if kind.read().strip() != "domain":
                    raise OSError(f"{top} has processes of its own")
        else:
            _write(f"{group}/cpu.cfs_period_us", 100_000)
            _write(f"{group}/cpu.cfs_quota_us", percent * 1000)
        for pid in pids:
            _move(pid, group)
        yield
    finally:
        while members := open(f"{group}/cgroup.procs").read().split():
            for pid in members:
                _move(pid, top)
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
