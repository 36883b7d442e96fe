"""A server that wants a token first, and the authorization server beside it: ``python authorizing.py FOLDER MANNER``.

Says where it listens in its first line. Nobody gets a token: what a client did until then is noted in ``heard.jsonl``
of FOLDER. MANNER is ``authorizing``, where all metadata is as it should be, or what is wrong with it:
``other-resource`` (the resource that it names is another server, RFC 9728 §3.3), ``other-issuer`` (the issuer that it
names is another one, RFC 8414 §3.3), ``script`` (the address to send the user to is none of the web).
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

FOLDER, MANNER = Path(sys.argv[1]), sys.argv[2]
RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
ISSUER = "/issuer"
LISTENER = socket.create_server(("127.0.0.1", 0))
BASE = f"http://127.0.0.1:{LISTENER.getsockname()[1]}"


def note(what: str, **more: Any) -> None:
    with (FOLDER / "heard.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"what": what, **more}) + "\n")


async def endpoint(request: Request) -> Response:
    note("message", method="before any", version=request.headers.get("mcp-protocol-version", ""))
    challenge = f'Bearer resource_metadata="{BASE}{RESOURCE_METADATA}/mcp"'
    return Response(status_code=401, headers={"WWW-Authenticate": challenge})


async def resource(_request: Request) -> Response:
    named = "https://bank.example/mcp" if MANNER == "other-resource" else f"{BASE}/mcp"
    return JSONResponse({"resource": named, "authorization_servers": [f"{BASE}{ISSUER}"]})


async def issuer(_request: Request) -> Response:
    authorize = "javascript:alert(document.cookie)//" if MANNER == "script" else f"{BASE}/authorize"
    return JSONResponse(
        {
            "issuer": "https://accounts.example" if MANNER == "other-issuer" else f"{BASE}{ISSUER}",
            "authorization_endpoint": authorize,
            "token_endpoint": f"{BASE}/token",
            "registration_endpoint": f"{BASE}/register",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }
    )


async def register(request: Request) -> Response:
    note("registered")
    return JSONResponse({**await request.json(), "client_id": "a-client"}, status_code=201)


async def authorize(_request: Request) -> Response:
    note("authorized")
    return PlainTextResponse("nobody signs in here", status_code=403)


ROUTES = [
    Route("/mcp", endpoint, methods=["GET", "POST", "DELETE"]),
    *(Route(f"{RESOURCE_METADATA}{path}", resource) for path in ("", "/mcp")),
    *(
        Route(path, issuer)
        for name in ("oauth-authorization-server", "openid-configuration")
        for path in (f"/.well-known/{name}{ISSUER}", f"{ISSUER}/.well-known/{name}")
    ),
    Route("/register", register, methods=["POST"]),
    Route("/authorize", authorize),
    Route("/token", authorize, methods=["POST"]),
]

if __name__ == "__main__":
    print(f"{BASE}/mcp", flush=True)
    config = uvicorn.Config(Starlette(routes=ROUTES), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[LISTENER])
