"""jupyter.py RECORD [--until TEXT] CELL...: a notebook of these cells, saved and run through the Jupyter server of the record
as a browser does it: contents, session, kernel over a websocket. Prints what the cells print, as text; an error in a cell is
this program's. With --until it ends as soon as TEXT was printed and leaves the cell running."""

import argparse
import json
import urllib.request
import uuid

import websocket

PATIENCE = 60

parser = argparse.ArgumentParser()
parser.add_argument("record")
parser.add_argument("--until")
parser.add_argument("cells", nargs="+")
args = parser.parse_args()

with open(args.record) as file:
    record = json.load(file)
# The url as it stands in the record: what is before the page is the server.
server = record["url"].split("?token=")[0].removesuffix("lab")
headers = {"Authorization": f"token {record['token']}"}


def ask(method, path, body=None):
    request = urllib.request.Request(server + path, method=method, headers=headers)
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data, PATIENCE) as answer:
        return json.load(answer)


def code_cell(source):
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}


path = f"test-{uuid.uuid4().hex[:8]}.ipynb"
notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [code_cell(cell) for cell in args.cells]}
ask("PUT", f"api/contents/{path}", {"type": "notebook", "format": "json", "content": notebook})
session = ask("POST", "api/sessions", {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}})
kernel = session["kernel"]["id"]
socket = websocket.create_connection(
    f"{server.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?session_id={session['id']}",
    timeout=PATIENCE,
    header=headers,
)


def run(source):
    message = uuid.uuid4().hex
    header = {"msg_id": message, "msg_type": "execute_request", "username": "", "session": session["id"], "version": "5.3"}
    content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    socket.send(json.dumps(parts))
    text = ""
    while True:
        answer = json.loads(socket.recv())
        if answer["parent_header"].get("msg_id") != message or answer["channel"] != "iopub":
            continue
        kind, content = answer["msg_type"], answer["content"]
        if kind == "stream":
            text += content["text"]
        elif kind in ("display_data", "execute_result"):
            text += content["data"].get("text/plain", "")
        elif kind == "error":
            raise SystemExit("\n".join(content["traceback"]))
        if args.until and args.until in text or kind == "status" and content["execution_state"] == "idle":
            return text


for cell in ask("GET", f"api/contents/{path}")["content"]["cells"]:
    print(run(cell["source"]))
