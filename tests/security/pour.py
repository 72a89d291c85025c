"""pour.py PROFILE ENGINE MB: has an engine's process write so much into its log, as a library does that warns without an end; prints how much."""

import sys

import ipyparallel as ipp


def pour(size):
    import os
    import sys

    # What programs are given to write into that Python starts with `stdout=sys.stdout`: the log, or srun's pipe to it.
    log = sys.stdout.fileno()
    line = b"warning: " + b"x" * 990 + b"\n"
    for _ in range(size):
        os.write(log, line * 1000)
    os.write(log, b"the last words\n")
    return size


profile, engine, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print(ipp.Client(profile=profile)[engine].apply(pour, size).get(300))
