"""What no way of starting can beat: the slowest program alone, and the work of all of them on all CPUs."""
import os
import time

from contender import connection_files, jupyter_answers, registered
from place import Place, until

# The shortest heartbeat that ipjob lets a controller start with: an engine alone waits for it as well.
PERIOD = "--HeartMonitor.period=100"


def alone(path):
    """Seconds from the start of each program to its readiness while nothing else starts: the controller, one engine at a
    controller that is ready, JupyterLab."""
    with Place(path) as place:
        begin = time.monotonic()
        place.start(["ipcontroller", "--ip=127.0.0.1", "--profile=default", PERIOD])
        until(lambda: len(connection_files(place)) == 2, "the controller's files", place)
        controller = time.monotonic() - begin
        # Its schedulers start after its files, and are no part of an engine's time.
        time.sleep(1)
        begin = time.monotonic()
        place.start(["ipengine", "--profile=default"])
        until(lambda: registered(place) == 1, "the engine", place)
        engine = time.monotonic() - begin
    with Place(path) as place:
        begin = time.monotonic()
        place.start(["jupyter-lab", "--allow-root", "--no-browser", "--ip=127.0.0.1"])
        until(lambda: jupyter_answers(place), "Jupyter's answer", place)
        jupyter = time.monotonic() - begin
    return {"controller": controller, "engine": engine, "jupyter": jupyter}


def floor(single, cpu, with_jupyter):
    """Seconds: the larger of the two."""
    programs = ("controller", "engine", "jupyter") if with_jupyter else ("controller", "engine")
    return max(*(single[program] for program in programs), cpu / os.cpu_count())
