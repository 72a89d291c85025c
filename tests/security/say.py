"""say.py PROFILE WORD: lets an engine print WORD, again until the client has heard it."""

import sys

import ipyparallel as ipp

rc = ipp.Client(profile=sys.argv[1], timeout=60)
heard = ""
while sys.argv[2] not in heard:
    result = rc[0].execute(f"print({sys.argv[2]!r})", silent=False, block=False)
    result.get(60)
    # Output comes on a channel of its own; what came before the subscription is lost.
    result.wait_for_output(2)
    heard = result.stdout
