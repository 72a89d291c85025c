"""environment.py PROFILE: what each engine sees of itself; prints one JSON object per engine, by id."""

import json
import sys

import ipyparallel as ipp

PATIENCE = 60


def look():
    import os
    import random
    import signal
    import sys
    import tempfile
    import uuid

    mask = os.umask(0o22)
    os.umask(mask)
    numbers = sys.modules.get("numpy.random")
    return {
        "argv": sys.argv,
        "path": sys.path,
        "executable": sys.executable,
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "leads its group": os.getpgid(0) == os.getpid(),
        "session": os.getsid(0),
        "umask": mask,
        "stdin": os.readlink("/proc/self/fd/0"),
        "command line": open("/proc/self/cmdline").read().strip("\0").split("\0"),
        "default signals": [n.name for n in signal.Signals if signal.getsignal(n) == signal.SIG_DFL],
        "main": sorted(name for name in vars(sys.modules["__main__"]) if name.startswith("__")),
        "random": {
            "random": random.random(),
            "numpy": numbers and numbers.random(),
            "uuid1": str(uuid.uuid1()),
            "uuid4": str(uuid.uuid4()),
            "urandom": os.urandom(8).hex(),
            "file": tempfile.mktemp(),
        },
    }


rc = ipp.Client(profile=sys.argv[1])
print(json.dumps(dict(zip(map(str, rc.ids), rc[:].apply_async(look).get(PATIENCE)))))
