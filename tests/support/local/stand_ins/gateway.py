"""A stand-in gateway: answers every request with its settings."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def log(entry):
    sys.stdout.write(json.dumps(entry) + "\n")
    sys.stdout.flush()


class Settings(BaseHTTPRequestHandler):
    def do_GET(self):
        settings = {k: v for k, v in os.environ.items() if k.startswith("GATEWAY_")}
        body = json.dumps(settings | {"pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        log({"event": "request"})


if __name__ == "__main__":
    host, _, port = os.environ["GATEWAY_LISTEN"].rpartition(":")
    with ThreadingHTTPServer((host, int(port)), Settings) as server:
        log({"event": "listening", "address": f"{host}:{port}"})
        server.serve_forever()
