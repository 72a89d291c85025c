"""Runs on a job's node: prints the moment at which so many engines are registered and Jupyter answers there."""
import os
import sys
import time

from contender import jupyter_answers, registered
from place import PAUSE, PATIENCE, Home

home, engines = Home(os.environ["HOME"]), int(sys.argv[1])
end = time.monotonic() + PATIENCE
while registered(home) < engines or not jupyter_answers(home):
    if time.monotonic() > end:
        sys.exit(f"not ready within {PATIENCE} s: {registered(home)} engines")
    time.sleep(PAUSE)
print(time.time())
