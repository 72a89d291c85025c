"""What a signature is worth: says the same signed words twice, and the same words with a wrong signature, through a real client's
own connection. `replay.py PROFILE`; prints how often the engine and the hub acted."""

import json
import os
import sys

import ipyparallel as ipp
import zmq
from IPython.paths import locate_profile

CODE = "import builtins; builtins.acted = getattr(builtins, 'acted', 0) + 1"


def main():
    rc = ipp.Client(profile=sys.argv[1], timeout=60)
    engine = rc._engines[0].encode()
    session = rc.session

    def execute(key):
        content = {"code": CODE, "silent": True, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        signing, session.key = session.key, key
        frames = session.serialize(session.msg("execute_request", content))
        session.key = signing
        return [engine, *frames]

    def send(frames):
        rc._mux_socket.send_multipart(frames)

    first = execute(session.key)
    send(first)
    send(first)
    send(execute(b"guessed"))
    send(execute(b""))
    # In order on one connection: what this sees has happened after all of them.
    acted = rc[0].apply_sync(lambda: __import__("builtins").acted)

    query = zmq.Context.instance().socket(zmq.DEALER)
    info = json.load(open(os.path.join(locate_profile(sys.argv[1]), "security", "ipcontroller-client.json")))
    query.connect(f"{info['interface']}:{info['registration']}")
    frames = session.serialize(session.msg("connection_request", {}))
    fresh = session.serialize(session.msg("queue_request", {"targets": None, "verbose": False}))
    for words in [frames, frames, fresh]:
        query.send_multipart(words)
    answers = []
    while not answers or answers[-1] != "queue_reply":
        if not query.poll(60_000):
            sys.exit("the hub does not answer")
        parts = query.recv_multipart()
        header = parts[parts.index(b"<IDS|MSG>") + 2]
        answers.append(json.loads(header)["msg_type"])
    # The client itself remarks on answers to questions that it has not put: its own line comes before this one.
    print("\n" + json.dumps({"acted": acted, "answers": answers}))


main()
