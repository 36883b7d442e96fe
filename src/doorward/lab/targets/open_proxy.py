"""A gateway in front of one server. Its mistake: what a client sends to it goes on to the server, credentials and all.

Start: ``python open_proxy.py --http SCRIPT ARGUMENT …``, which starts ``SCRIPT --http ARGUMENT …`` and ends with it.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ITS_OWN = ("host", "connection", "content-length", "transfer-encoding")
PATIENCE_SECONDS = 10


class Handler(BaseHTTPRequestHandler):
    """Whatever comes is passed on, and whatever is answered comes back."""

    protocol_version = "HTTP/1.1"
    server_at = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ITS_OWN}
        behind = http.client.HTTPConnection(self.server_at, timeout=PATIENCE_SECONDS)
        behind.request(self.command, self.path, body, headers)
        answer = behind.getresponse()
        said = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in (*ITS_OWN, "server", "date"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        behind.close()

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
