"""steady.py PROFILE: a client that stores data on every engine and computes all the time. For each line that it reads it prints a
JSON object: what the engines still have, by the client that was open all the while and by a new one, and whether anything was
computed twice or wrong."""

import json
import os
import sys
import threading

import ipyparallel as ipp

# ipyparallel prints of late results to stdout.
answers_to = os.fdopen(os.dup(1), "w")
sys.stdout = sys.stderr
PATIENCE = 60
# A task that was in the hands of a scheduler when it died is lost, and its result never comes.
LOST = 8


def bump(number):
    done.append(number)
    return os.getpid(), number, sum(data)


rc = ipp.Client(profile=sys.argv[1])
everyone = rc[:]
# Not with block=True: that waits, without a limit, also for the end of the output, which a client that has just connected may never hear.
everyone.execute("import os; done = []").get(PATIENCE)
everyone.scatter("data", range(8000), block=True)
pids = everyone.apply_async(os.getpid).get(PATIENCE)
sums = everyone.apply_async(lambda: sum(data)).get(PATIENCE)
answered = []
counts = {"wrong": 0, "lost": 0, "errors": 0}
resting = threading.Event()
rested = threading.Event()


def load():
    number = 0
    while True:
        if resting.is_set():
            rested.set()
            while resting.is_set():
                threading.Event().wait(0.05)
            rested.clear()
        number += 1
        try:
            answers = everyone.apply_async(bump, number).get(LOST)
        except TimeoutError:
            counts["lost"] += 1
            continue
        except Exception:
            counts["errors"] += 1
            continue
        answered.append(number)
        if answers != [(pid, number, total) for pid, total in zip(pids, sums)]:
            counts["wrong"] += 1


def look(client):
    view = client[:]
    lists = view.apply_async(lambda: done).get(PATIENCE)
    return {
        "ids": client.ids,
        "same_engines": view.apply_async(os.getpid).get(PATIENCE) == pids,
        "data": view.apply_async(lambda: sum(data)).get(PATIENCE) == sums,
        "balanced": client.load_balanced_view().map_async(lambda x: x * x, range(20)).get(PATIENCE) == [x * x for x in range(20)],
        "broadcast": sorted(client.broadcast_view().apply_async(os.getpid).get(PATIENCE)) == sorted(pids),
        "twice": sum(len(numbers) - len(set(numbers)) for numbers in lists),
        "forgotten": sum(len(set(answered) - set(numbers)) for numbers in lists),
    }


threading.Thread(target=load, daemon=True).start()
print(json.dumps({"begun": True}), file=answers_to, flush=True)
for _ in sys.stdin:
    resting.set()
    rested.wait(PATIENCE)
    found = {"open": look(rc), "new": look(ipp.Client(profile=sys.argv[1])), "answered": len(answered), **counts}
    print(json.dumps(found), file=answers_to, flush=True)
    resting.clear()
# ipyparallel's threads may not end by themselves.
os._exit(0)
