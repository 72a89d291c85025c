"""A user of a JupyterHub as a browser would be it, by HTTP; usage: visitor.py URL COMMAND ...

  start SIZE        logs in by the page's form, chooses SIZE in the form of the server's options, and waits for the server
  new               starts a kernel; prints its id
  run KERNEL        runs the code on stdin there; prints what the cell shows, and exits with 1 if it ends with an error
  interrupt, restart, end KERNEL
  stop              the button "Stop My Server"; waits until the hub says that it is gone

What the login gave is kept in the file visitor.json of the directory that it runs in.
"""
import json
import re
import sys
import threading
import time
import uuid

import requests
import websocket

USER, PASSWORD = "alice", "the password of the lab"
KEPT = "visitor.json"
# Far beyond what a busy machine needs.
PATIENCE = 110


def main(url, command, *arguments):
    hub = Hub(url)
    if command == "start":
        hub.log_in()
        hub.start(*arguments)
    elif command == "stop":
        hub.stop()
    elif command == "new":
        print(hub.server("POST", "kernels", json={"name": "python3", "path": ""})["id"])
    elif command == "run":
        sys.exit(hub.run(sys.stdin.read(), *arguments))
    elif command == "end":
        hub.server("DELETE", f"kernels/{arguments[0]}")
    else:
        hub.server("POST", f"kernels/{arguments[0]}/{command}")


class Hub:
    def __init__(self, url):
        self.url = url
        self.session = requests.Session()
        try:
            with open(KEPT) as file:
                self.session.headers["Authorization"] = f"token {json.load(file)['token']}"
        except OSError:
            pass

    def page(self, method, path, data=None):
        """A page as a browser asks for it, with what a form of the page before carries along."""
        answer = self.session.request(method, f"{self.url}/hub/{path}", data=data, timeout=PATIENCE)
        if not answer.ok:
            sys.exit(f"{method} {path}: {answer.status_code}\n{re.sub('<[^>]*>', '', answer.text)[-2000:]}")
        self.xsrf = {"_xsrf": self.session.cookies.get("_xsrf", path="/hub/")}
        return answer

    def api(self, method, path, **more):
        answer = self.session.request(method, f"{self.url}/hub/api/{path}", timeout=PATIENCE, **more)
        if not answer.ok:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def server(self, method, path, **more):
        """The REST interface of the user's own server."""
        answer = self.session.request(method, f"{self.url}/user/{USER}/api/{path}", timeout=PATIENCE, **more)
        if not answer.ok:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def log_in(self):
        self.session.headers.pop("Authorization", None)
        self.page("GET", "login")
        self.page("POST", "login", {"username": USER, "password": PASSWORD} | self.xsrf)
        # What follows is asked with a token, as the pages' own scripts do with the cookie.
        token = self.api("POST", f"users/{USER}/tokens", headers={"X-XSRFToken": self.xsrf["_xsrf"], "Referer": f"{self.url}/hub/token"})
        with open(KEPT, "w") as file:
            json.dump({"token": token["token"]}, file)

    def start(self, size):
        self.page("GET", f"spawn/{USER}")
        self.page("POST", f"spawn/{USER}", {"size": size} | self.xsrf)
        self.__init__(self.url)
        # The page of the start listens here: the last thing told is how it went.
        told = self.session.get(f"{self.url}/hub/api/users/{USER}/server/progress", stream=True, timeout=PATIENCE)
        told = [json.loads(line[6:]) for line in told.iter_lines(decode_unicode=True) if line.startswith("data: ")]
        if not told or not told[-1].get("ready"):
            sys.exit(f"the server did not start: {told}")

    def stop(self):
        self.api("DELETE", f"users/{USER}/server")
        pause, end = threading.Event(), time.monotonic() + PATIENCE
        while "" in self.api("GET", f"users/{USER}")["servers"]:
            if time.monotonic() > end:
                sys.exit(f"the server did not end within {PATIENCE} s")
            pause.wait(0.2)

    def run(self, code, kernel):
        url = f"{self.url.replace('http', 'ws', 1)}/user/{USER}/api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
        socket = websocket.create_connection(url, timeout=PATIENCE, header=[f"Authorization: {self.session.headers['Authorization']}"])
        number = uuid.uuid4().hex
        socket.send(json.dumps({
            "header": {"msg_id": number, "username": USER, "session": "visitor", "msg_type": "execute_request", "version": "5.3", "date": ""},
            "parent_header": {}, "metadata": {}, "channel": "shell",
            "content": {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True},
        }))
        reply, idle = None, False
        while not (reply and idle):
            message = socket.recv()
            if isinstance(message, bytes):
                continue
            message = json.loads(message)
            if message["parent_header"].get("msg_id") != number:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                print(content["text"], end="", flush=True)
            elif kind == "error":
                print("\n".join(content["traceback"]), flush=True)
            elif kind in ("execute_result", "display_data"):
                print(content["data"].get("text/plain", ""), flush=True)
            elif kind == "execute_reply":
                reply = content
            elif kind == "status":
                idle = content["execution_state"] == "idle"
        return 0 if reply["status"] == "ok" else 1


if __name__ == "__main__":
    main(*sys.argv[1:])
