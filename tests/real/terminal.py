"""terminal.py RECORD COMMAND: opens a terminal of the record's Jupyter server as a browser does it, over a websocket, types the
command and prints what the terminal shows for it."""

import json
import sys
import urllib.request

import websocket

PATIENCE = 60

with open(sys.argv[1]) as file:
    record = json.load(file)
# The url as it stands in the record: what is before the page is the server.
server = record["url"].split("?token=")[0].removesuffix("lab").removesuffix("tree")
headers = {"Authorization": f"token {record['token']}"}
request = urllib.request.Request(server + "api/terminals", method="POST", headers=headers)
with urllib.request.urlopen(request, b"", PATIENCE) as answer:
    name = json.load(answer)["name"]
socket = websocket.create_connection(
    f"{server.replace('http', 'ws', 1)}terminals/websocket/{name}", timeout=PATIENCE, header=headers
)
# What is typed is shown as well, but with the quotes in it.
socket.send(json.dumps(["stdin", f"echo beg''in; {sys.argv[2]}; echo en''d\r"]))
shown = ""
while "end" not in shown.partition("begin")[2]:
    kind, *content = json.loads(socket.recv())
    if kind == "stdout":
        shown += content[0]
print(shown.partition("begin")[2].partition("end")[0].replace("\r", "").strip())
