"""Serves one of our own targets over Streamable HTTP: the same server, by the SDK's own means.

Start: ``python over_http.py [--tls FILE] [--port PORT] SCRIPT [ARGUMENT …]``, where SCRIPT is a target of this folder.
It listens on loopback, on a port of the kernel's choice where none is given, and says where, in its first line on
stdout. ``--tls`` names a file with a private key and its certificate. As in many a deployment, the SDK's limit for
bodies is lifted, since somebody's upload did not fit.
"""

from __future__ import annotations

import runpy
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

NO_LIMIT_BYTES = 1 << 40


def option(name: str) -> str:
    """The value of an option that stands first, which it no longer does afterwards."""
    if sys.argv[1:2] != [name]:
        return ""
    value = sys.argv[2]
    del sys.argv[1:3]
    return value


def main() -> None:
    tls, port = option("--tls"), option("--port")
    sys.argv = sys.argv[1:]
    server: Server = runpy.run_path(sys.argv[0])["SERVER"]
    app = server.streamable_http_app(max_request_body_size=NO_LIMIT_BYTES)
    listener = socket.create_server(("127.0.0.1", int(port or 0)))
    print(f"http{'s' if tls else ''}://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, ssl_certfile=tls or None)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
