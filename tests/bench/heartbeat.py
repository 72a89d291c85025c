"""Which heartbeat period makes a cluster ready soonest, and what its CPU costs when nobody computes."""
import time

import process
from contender import registered
from place import Place, until

# None is what ipjob does by itself.
PERIODS_MS = (None, 250, 1000, 3000)


def measure(path, binary, engines, period_ms, seconds):
    """Seconds to the last engine at this period, and CPU seconds per idle minute of all that ipjob started."""
    with Place(path) as place:
        begin = time.monotonic()
        users = [] if period_ms is None else [
            f"--controller-arg=--HeartMonitor.period={period_ms}",
            # As patient at every period.
            f"--controller-arg=--HeartMonitor.max_heartmonitor_misses={30_000 // period_ms}"]
        place.start([binary, "--mode", "cluster-only", "-n", str(engines), *users])
        until(lambda: registered(place) >= engines, "the last engine", place)
        ready = time.monotonic() - begin
        # Imports that go on after the registration must not count.
        time.sleep(min(3, seconds))
        before = cpu_s(place)
        begin = time.monotonic()
        time.sleep(seconds)
        return ready, (cpu_s(place) - before) / (time.monotonic() - begin) * 60


def cpu_s(place):
    return sum(process.cpu_ns(pid) for pid in place.processes()) / 1e9
