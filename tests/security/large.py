"""large.py PROFILE: sends 100 MB to an engine and has them sent back; prints how many came."""

import sys

import ipyparallel as ipp

rc = ipp.Client(profile=sys.argv[1], timeout=60)
view = rc[:]
view.push({"large": bytes(100_000_000)}).get(300)
print(len(view.pull("large").get(300)[0]))
