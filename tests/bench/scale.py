"""A thousand engines: stand-ins (tests/scale/starter), because memory for as many real ones is nowhere.

Both ways start with the soft limit of open files that most systems give, 1,024; ipjob raises it, ipcontroller takes it as it is.
"""
import os
import time

from contender import registered
from place import Unmeasurable, until

STARTER = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "scale", "starter")
ENGINES = 1000
LIMITED = ["sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh"]
# The hub forgets an engine whose first heartbeat it has not seen for 30 s: after twice that, nothing more comes.
SILENCE = 60


def ipjob(place, binary):
    place.start([*LIMITED, binary, "--mode", "cluster-only", "-n", str(ENGINES), "--launcher", "mpiexec", "--mpi", "none",
                 "--launcher-command", STARTER, "--start-timeout", "10m"])


def defaults(place, _binary):
    """ipcontroller with nothing but its own settings, and the same engines once its file is there."""
    place.start([*LIMITED, "ipcontroller"])
    until(lambda: place.read(".ipython/profile_default/security/ipcontroller-engine.json"), "the connection file", place)
    profile = place.find(".ipython/profile_default")[0]
    place.start([STARTER, "-n", str(ENGINES), f"--profile-dir={profile}"])


WAYS = {"ipjob": ipjob, "ipcontroller with its defaults": defaults}


def measure(place, way, binary):
    """How many of the engines are registered when no more come, and after how many seconds the last one was."""
    begin = last = time.monotonic()
    WAYS[way](place, binary)
    most = 0
    while most < ENGINES and time.monotonic() - last < SILENCE:
        now = registered(place)
        if now > most:
            most, last = now, time.monotonic()
        if any(child.poll() is not None for child in place.children):
            raise Unmeasurable(f"{way} ended:\n{place.tail()}")
        time.sleep(0.2)
    return {"registered": most, "seconds": last - begin}
