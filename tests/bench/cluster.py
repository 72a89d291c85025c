"""ipyparallel's own way in Python. A program that is asked to end must end its cluster itself, so this one does."""
import signal
import sys

import ipyparallel

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
cluster = ipyparallel.Cluster(n=int(sys.argv[1]), engines=sys.argv[2])
try:
    cluster.start_and_connect_sync()
    while True:
        signal.pause()
finally:
    cluster.stop_cluster_sync()
