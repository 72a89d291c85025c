"""kernel.py RECORD [NAME [NOTEBOOK]]: starts a kernel in the Jupyter of the record as a browser does that opens the notebook. A line of stdin is the JSON text of a cell, or one of the
words restart, interrupt (of a cell that runs), attach (a cell by a client of its own, from the connection file), debug (as the button in JupyterLab) and end; each is answered by a
line of JSON: what was printed, or the word."""

import json
import pathlib
import sys
import urllib.request
import uuid

import jupyter_client
import websocket

PATIENCE = 60

with open(sys.argv[1]) as file:
    record = json.load(file)
server = record["url"].split("?token=")[0].removesuffix("lab").removesuffix("tree")
headers = {"Authorization": f"token {record['token']}"}


def ask(method, path, body=None):
    request = urllib.request.Request(server + path, method=method, headers=headers)
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data, PATIENCE) as answer:
        return json.loads(answer.read() or "null")


wanted = {"name": (sys.argv[2:] or ["python3"])[0]}
if sys.argv[3:]:
    session = {"path": sys.argv[3], "name": "", "type": "notebook", "kernel": wanted}
    kernel = ask("POST", "api/sessions", session)["kernel"]["id"]
else:
    kernel = ask("POST", "api/kernels", wanted)["id"]


def connect():
    """Jupyter answers when it has heard the kernel on all of its sockets."""
    address = f"{server.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?session_id=s"
    return websocket.create_connection(address, timeout=PATIENCE, header=headers)


socket = connect()


def send(kind, content, channel):
    message = uuid.uuid4().hex
    header = {"msg_id": message, "msg_type": kind, "username": "", "session": "s", "version": "5.3"}
    parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
    socket.send(json.dumps(parts))
    return message


def run(source, interrupt_at=None):
    content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = send("execute_request", content, "shell")
    text, idle, replied = "", False, False
    while not (idle and replied):
        answer = json.loads(socket.recv())
        if answer["parent_header"].get("msg_id") != message:
            continue
        kind, content = answer["msg_type"], answer["content"]
        text += content["text"] if kind == "stream" else content["ename"] if kind == "error" else ""
        if interrupt_at and interrupt_at in text:
            interrupt_at = ask("POST", f"api/kernels/{kernel}/interrupt")
        replied = replied or kind == "execute_reply"
        idle = idle or kind == "status" and content["execution_state"] == "idle"
    return text


def attach():
    """As an editor or `jupyter console --existing` does it."""
    runtime = pathlib.Path(sys.argv[1]).parent / "ipjob-runtime/jupyter"
    client = jupyter_client.BlockingKernelClient(connection_file=str(runtime / f"kernel-{kernel}.json"))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(PATIENCE)
    text = []
    client.execute_interactive("print(6 * 7)", timeout=PATIENCE, output_hook=lambda said: text.append(said["content"].get("text", "")))
    client.stop_channels()
    return "".join(text)


def restart():
    """What a kernel prints before Jupyter's socket has found it again is lost, so that JupyterLab connects anew after a restart."""
    global socket
    ask("POST", f"api/kernels/{kernel}/restart")
    socket.close()
    socket = connect()


def debug():
    arguments = {"clientID": "s", "adapterID": "", "pathFormat": "path"}
    message = send("debug_request", {"type": "request", "seq": 1, "command": "initialize", "arguments": arguments}, "control")
    while True:
        answer = json.loads(socket.recv())
        if answer["parent_header"].get("msg_id") == message and answer["msg_type"] == "debug_reply":
            return answer["content"]["command"]


def answer(line):
    if line == "debug":
        return debug()
    if line == "interrupt":
        return run("import signal; print('begun', flush=True); signal.pause()", interrupt_at="begun")
    if line == "attach":
        return attach()
    if line == "restart":
        restart()
        return line
    if line == "end":
        ask("DELETE", f"api/kernels/{kernel}")
        return line
    return run(json.loads(line))


for line in sys.stdin:
    print(json.dumps(answer(line.strip())), flush=True)
