"""client.py PROFILE ENGINES FILE: a user who keeps computing. Every engine holds a block of data and the state of a chain of hashes;
each round takes every chain one step further, exactly once, whatever happens to the calls. What the chains must be the client
computes by itself. FILE tells, replaced as a whole after every round, how far it is and what was wrong."""
import hashlib
import json
import os
import sys
import threading
import time

import ipyparallel as ipp

# So long a call is waited for before it is put again: a task that was in a dead scheduler's hands never comes back.
LOST = 6
# After so many lost calls in a row the client itself is opened anew.
STUBBORN = 3

profile, engines, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def step(number, engine):
    """Takes the chain of an engine to `number`, if it is not there already; tells where it is, how often it was taken there, and
    what the data is. None where the engine has no chain."""
    import builtins
    import hashlib
    kept = getattr(builtins, "chaos", None)
    if kept is None or kept["engine"] != engine:
        return None
    if kept["number"] + 1 == number:
        kept["state"] = hashlib.sha256(kept["state"] + str(number).encode()).digest()
        kept["number"] = number
        kept["taken"] += 1
    return kept["number"], kept["state"], kept["taken"], hashlib.sha256(kept["data"]).digest()


def plant(engine, number, state, data):
    """Gives an engine its data and the state of its chain."""
    import builtins
    builtins.chaos = {"engine": engine, "number": number, "state": state, "taken": number, "data": data}


class Expectation:
    """What one engine must have."""

    def __init__(self, engine):
        self.engine = engine
        self.data = hashlib.shake_256(f"data {engine}".encode()).digest(200_000)
        self.sum = hashlib.sha256(self.data).digest()
        self.state = f"state {engine}".encode()
        self.number = 0

    def next(self):
        return hashlib.sha256(self.state + str(self.number + 1).encode()).digest()


class Client:
    """A client that is opened anew when calls get lost again and again, as a user would."""

    def __init__(self):
        self.rc, self.lost = None, 0
        self.counts = {"lost": 0, "errors": 0, "reopened": -1, "planted": 0}

    def call(self, engine, function, *args):
        """The result; None when there is none and the call must be put again."""
        try:
            if self.rc is None or self.lost >= STUBBORN:
                if self.rc is not None:
                    # One whose own thread has died would never be closed.
                    threading.Thread(target=self.rc.close, daemon=True).start()
                self.rc, self.lost = None, 0
                self.rc = ipp.Client(profile=profile, timeout=LOST)
                self.counts["reopened"] += 1
            result = self.rc[engine].apply_async(function, *args).get(LOST)
            self.lost = 0
            return (result,)
        except TimeoutError:
            self.counts["lost"] += 1
        except Exception as error:
            print(f"engine {engine}: {type(error).__name__}: {error}"[:200], file=sys.stderr, flush=True)
            self.counts["errors"] += 1
            # No such engine, or no controller: a moment later there may be one.
            time.sleep(0.2)
        self.lost += 1
        return None


def main():
    expected = [Expectation(engine) for engine in range(engines)]
    client = Client()
    wrong, rounds = [], 0
    while True:
        begin = time.time()
        for one in expected:
            while True:
                answer = client.call(one.engine, step, one.number + 1, one.engine)
                if answer is None:
                    continue
                if answer[0] is None:
                    # A new engine under an old id, or the first round.
                    if client.call(one.engine, plant, one.engine, one.number, one.state, one.data):
                        client.counts["planted"] += 1
                    continue
                break
            state = one.next()
            if answer[0] != (one.number + 1, state, one.number + 1, one.sum):
                wrong.append({"engine": one.engine, "number": one.number + 1, "answer": repr(answer[0])[:200]})
            one.number, one.state = one.number + 1, state
        rounds += 1
        with open(path + ".new", "w") as file:
            json.dump({"rounds": rounds, "begin": begin, "end": time.time(), "wrong": wrong, **client.counts}, file)
        os.rename(path + ".new", path)


main()
