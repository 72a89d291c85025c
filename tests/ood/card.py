"""The button of a session's card, pressed by a browser at the portal, and then a cell; usage: card.py HOST PORT CODE, the card's page (HTML) on stdin.

The portal passes a path as it is to http://HOST:PORT, with its own name as the host. Prints what the login answers without and with the password,
and what the cell prints.
"""
import html.parser
import json
import sys
import uuid

import requests
import websocket

PORTAL = "ondemand.example.org"
PATIENCE = 60


class Card(html.parser.HTMLParser):
    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            assert attributes["method"] == "post"
            self.action = attributes["action"]
        elif tag == "input":
            self.form = {attributes["name"]: attributes["value"]}


host, port, code = sys.argv[1:]
card = Card()
card.feed(sys.stdin.read())
browser = requests.Session()
browser.headers.update({"Host": PORTAL, "Origin": f"https://{PORTAL}"})
server = f"http://{host}:{port}"


def ask(method, path, **more):
    return browser.request(method, server + path, timeout=PATIENCE, allow_redirects=False, **more)


base = card.action.partition("login")[0]
print("before", ask("GET", f"{base}api/kernels").status_code)
print("wrong", ask("POST", card.action, data={"password": "another password"}).status_code)
answer = ask("POST", card.action, data=card.form)
assert "samesite=lax" in answer.headers["Set-Cookie"].lower(), answer.headers
print("login", answer.status_code, answer.headers["Location"])
print("page", ask("GET", answer.headers["Location"]).status_code)
kernel = ask("POST", f"{base}api/kernels", json={}).json()["id"]
cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
socket = websocket.create_connection(
    f"ws://{host}:{port}{base}api/kernels/{kernel}/channels", timeout=PATIENCE, host=PORTAL, origin=f"https://{PORTAL}", cookie=cookies
)
number = uuid.uuid4().hex
header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "card", "version": "5.3"}
content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
socket.send(json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}))
while True:
    answer = socket.recv()
    if isinstance(answer, bytes):
        continue
    answer = json.loads(answer)
    if answer["parent_header"].get("msg_id") != number or answer["channel"] != "iopub":
        continue
    kind, content = answer["msg_type"], answer["content"]
    if kind == "stream":
        print(content["text"], end="")
    elif kind == "error":
        sys.exit("\n".join(content["traceback"]))
    elif kind == "status" and content["execution_state"] == "idle":
        break
