"""How a start grows with the number of engines."""
import os
import re
import shutil
import subprocess

from contender import Contender, contenders
from place import Place, Unmeasurable

SIZES = (1, 4, 8, 16, 64)
# A start of so many takes half a minute in some ways: it is measured less often.
MANY = 64
# The strace of one start may take so long.
PATIENCE = 180


def ways(binary, engines):
    """The ways to so many engines without Jupyter."""
    start = [binary, "--mode", "cluster-only", "-n", str(engines)]
    found = [Contender("ipjob", start, False), Contender("ipjob --nanny off", [*start, "--nanny", "off"], False)]
    manual = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    if "--engine-start" in manual:
        found.append(Contender("ipjob --engine-start fork", [*start, "--engine-start", "fork"], False))
    return found + [rival for rival in contenders(binary, engines) if not rival.jupyter and rival.command[0] != binary]


def file_calls(path, binary):
    """System calls that name a file, for each engine: the difference of a start of five and a start of one; with and
    without nannies. None where there is no strace."""
    strace = shutil.which("strace")
    if not strace:
        return None
    found = {}
    for nanny in ("on", "off"):
        one, five = (counted(path, strace, [binary, "--mode", "cluster-only", "-n", count, "--nanny", nanny, "--", "true"])
                     for count in ("1", "5"))
        found[nanny] = (five - one) / 4
    return found


def counted(path, strace, command):
    with Place(path) as place:
        summary = os.path.join(place.home, "summary")
        child = place.start([strace, "-f", "-qq", "-c", "-e", "trace=%file", "-o", summary, *command])
        if child.wait(PATIENCE) != 0:
            raise Unmeasurable(f"{command} under strace:\n{place.tail()}")
        with open(summary) as file:
            total = re.search(r"^\s*100\.00\s.*?(\d+)\s+(?:\d+\s+)?total$", file.read(), re.MULTILINE)
        return int(total[1])
