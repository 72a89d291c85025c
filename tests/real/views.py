"""views.py PROFILE: what a person does first, with every kind of view; prints one JSON object."""

import json
import os
import sys

import ipyparallel as ipp

PATIENCE = 60

rc = ipp.Client(profile=sys.argv[1])
everyone = rc[:]
print(
    json.dumps(
        {
            "ids": rc.ids,
            "pids": everyone.apply_sync(os.getpid),
            "balanced": rc.load_balanced_view().map_async(lambda x: x * x, range(20)).get(PATIENCE),
            "broadcast": sorted(rc.broadcast_view().apply_async(os.getpid).get(PATIENCE)),
            "worlds": everyone.apply_async(lambda: __import__("mpi4py.MPI").MPI.COMM_WORLD.size).get(PATIENCE),
        }
    )
)
