"""preloaded.py PROFILE MODULE...: whether each engine has these modules already when it is first asked; prints one JSON object, by id."""

import json
import sys

import ipyparallel as ipp

PATIENCE = 60


def look(names):
    import os
    import sys

    return {
        "preloaded": {name: name in sys.modules for name in names},
        "order": os.environ.get("IPJOB_ENGINE_PRELOAD"),
        "parent": os.getppid(),
    }


rc = ipp.Client(profile=sys.argv[1])
print(json.dumps(dict(zip(map(str, rc.ids), rc[:].apply_async(look, sys.argv[2:]).get(PATIENCE)))))
