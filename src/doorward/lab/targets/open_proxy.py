"""A gateway in front of one server. Its mistake: what a client sends to it goes on to the server as it came.

So do credentials that were for the gateway, and whatever stands in the argument ``note``, which it repeats in a header.

Start: ``python open_proxy.py --http SCRIPT ARGUMENT …``, which starts ``SCRIPT --http ARGUMENT …`` and ends with it.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ITS_OWN = ("host", "connection", "content-length", "transfer-encoding")
PATIENCE_SECONDS = 10


def is_its_own(name: str) -> bool:
    return name.lower() in ITS_OWN or name.lower().startswith("mcp-param-")


def repeated(body: bytes) -> list[tuple[str, str]]:
    """The header for whoever routes by the note."""
    arguments = (json.loads(body) if body else {}).get("params", {}).get("arguments", {})
    return [("Mcp-Param-Note", arguments["note"])] if "note" in arguments else []


class Handler(BaseHTTPRequestHandler):
    """Whatever comes is passed on, and whatever is answered comes back."""

    protocol_version = "HTTP/1.1"
    server_at = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        kept = [(name, value) for name, value in self.headers.items() if not is_its_own(name)]
        fields = [("host", self.server_at), ("content-length", str(len(body))), *kept, *repeated(body)]
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        host, _, port = self.server_at.partition(":")
        with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as behind:
            behind.sendall(f"{self.command} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
            answer = http.client.HTTPResponse(behind)
            answer.begin()
            said = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if not is_its_own(name) and name.lower() not in ("server", "date"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_DELETE = do_POST  # noqa: N815 - the standard library's way

    def log_message(self, *_: object) -> None:
        """Nothing: there is nobody to read it."""


def main() -> None:
    _, option, program, *arguments = sys.argv
    argv = (sys.executable, program, option, *arguments)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        Handler.server_at = urlsplit(server.stdout.readline()).netloc.strip() if server.stdout else ""
        proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        proxy.daemon_threads = True
        print(f"http://127.0.0.1:{proxy.server_address[1]}/mcp", flush=True)
        try:
            proxy.serve_forever()
        finally:
            server.kill()


if __name__ == "__main__":
    main()
