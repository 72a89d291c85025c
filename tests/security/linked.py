"""A web server of somebody else's on a port of its own: prints the port, and until stdin ends a line of JSON for each request."""
import http.server
import json
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        headers = {name.lower(): text for name, text in self.headers.items()}
        print(json.dumps({"path": self.path, **headers}), flush=True)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p id=his>his</p>")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
