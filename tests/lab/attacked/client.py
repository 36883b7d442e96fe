"""A small client on the SDK's own: ``python client.py MANNER ERA PLACE``; PLACE is a URL, or a command line.

It lists the tools and calls the first. MANNER is one of: ``careless`` (answers whatever a server asks, believes any
certificate, prints what it got as it came, lets its model read what a description tells it to, goes wherever metadata
sends it), ``careful`` (the SDK as it is, and prints what came as JSON), ``listing`` (careful, and calls nothing),
``absent`` (goes nowhere).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import httpx2
from mcp import types
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyUrl

MANNER, ERA, PLACE = sys.argv[1:4]
CARELESS = MANNER == "careless"
REDIRECT = "http://127.0.0.1:9/callback"


class Forgetful:
    """Keeps no tokens."""

    async def get_tokens(self) -> None: ...
    async def set_tokens(self, tokens: object) -> None: ...
    async def get_client_info(self) -> None: ...
    async def set_client_info(self, client_info: object) -> None: ...


async def sample(_context: object, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    return types.CreateMessageResult(role="assistant", content=params.messages[0].content, model="any")  # type: ignore[arg-type]


async def fill_in(_context: object, _params: object) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"password": "hunter2"})


async def open_browser(url: str) -> None:
    browser = await asyncio.create_subprocess_exec(os.environ["BROWSER"], url)
    await browser.wait()


async def no_code() -> Any:
    await asyncio.sleep(3600)


async def authorize_as_told(http: httpx2.AsyncClient) -> None:
    """Send the user where metadata says, that nobody compares with anything."""
    refused = await http.get(PLACE)
    if refused.status_code != 401:
        return
    named = re.search('resource_metadata="([^"]+)"', refused.headers["www-authenticate"])
    assert named
    resource = (await http.get(named[1])).json()
    issuer = (await http.get(resource["authorization_servers"][0] + "/.well-known/openid-configuration")).json()
    await open_browser(issuer["authorization_endpoint"])
    raise SystemExit


def show(answer: Any) -> None:
    data = answer.model_dump(mode="json")
    text = json.dumps(data)
    sys.stdout.write(text.encode().decode("unicode_escape") if CARELESS else text)
    sys.stdout.flush()


def told_to_pass(tool: types.Tool) -> dict[str, str]:
    """What a model that believes every word makes of a description."""
    wanted = re.search(r"read the file (\S+)", tool.description or "") if CARELESS else None
    return {"name": "ada", **({"context": Path(wanted[1]).read_text()} if wanted else {})}


async def visit(transport: Any) -> None:
    answers: Any = {"sampling_callback": sample, "elicitation_callback": fill_in} if CARELESS else {}
    async with Client(transport, mode=ERA, **answers) as client:
        listed = await client.list_tools()
        show(listed)
        if MANNER != "listing":
            show(await client.call_tool(listed.tools[0].name, told_to_pass(listed.tools[0])))


async def main() -> None:
    if MANNER == "absent":
        return
    if not PLACE.startswith("http"):
        program, *arguments = shlex.split(PLACE)
        await visit(stdio_client(StdioServerParameters(command=program, args=arguments, env=dict(os.environ))))
        return
    if CARELESS:
        async with httpx2.AsyncClient(verify=False) as http:
            await authorize_as_told(http)
            await visit(streamable_http_client(PLACE, http_client=http))
        return
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(REDIRECT)], client_name="careful")
    auth = OAuthClientProvider(PLACE, metadata, Forgetful(), open_browser, no_code)
    async with httpx2.AsyncClient(auth=auth) as http:
        await visit(streamable_http_client(PLACE, http_client=http))


asyncio.run(main())
