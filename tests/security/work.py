"""work.py PROFILE: lets every engine work; prints their ids and processes as JSON."""

import json
import os
import sys

import ipyparallel as ipp

rc = ipp.Client(profile=sys.argv[1], timeout=60)
print(json.dumps({"ids": rc.ids, "pids": rc[:].apply_async(os.getpid).get(60)}))
