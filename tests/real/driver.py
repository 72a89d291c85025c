"""driver.py: computes with the job's engines; prints one line to each stream and ends with exit code 7."""

import os
import sys

import ipyparallel as ipp

rc = ipp.Client(profile=os.environ["IPJOB_CLIENT_PROFILE"])
print(rc.ids, rc[:].map_sync(lambda x: x * x, range(8)))
print("the driver's own complaint", file=sys.stderr)
sys.exit(7)
