"""Real clients, and what came of one visit of each to one server: its tools, one harmless call, one unknown tool.

Each client is started once for all the servers that it visits: loading one takes longer than its visits do.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from tests.e2e.peering import Answer, Peers, outcome

DRIVERS: Final = Path(__file__).parent / "drivers"
CLIENT_LIMIT_SECONDS: Final = 100
UNKNOWN_TOOL: Final = "no-such-tool"

LEGACY, MODERN = "legacy", "modern"
VERSIONS: Final = "versions"  # Doorward's error that names what is spoken and what was asked for
UNTOLD: Final = "ok"  # it works, and the client does not say which era it speaks
_ERAS = {"2025-11-25": LEGACY, "2026-07-28": MODERN}
_REFUSED, _UNSUPPORTED = -31001, -32022


class Visited(NamedTuple):
    """One server as a client's configuration names it, and a harmless call with words that its answer contains."""

    name: str
    tool: str
    arguments: dict[str, Any]
    marker: str
    url: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    folder: str = ""

    @property
    def cell(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "command": self.command,
            "environment": dict(self.environment),
            "folder": self.folder,
            "tool": self.tool,
            "arguments": self.arguments,
        }


Visit = Callable[[Peers, Sequence[Visited]], dict[str, str]]
"""Visits servers; answers by their names with the table's word for what came of it, or with what came of it."""


def _python(mode: str, _peers: Peers, servers: Sequence[Visited]) -> dict[str, str]:
    async def visit(server: Visited) -> str:
        target: Any = server.url
        if server.command:
            command, *arguments = server.command
            environment = dict(server.environment)
            parameters = StdioServerParameters(command=command, args=arguments, env=environment, cwd=server.folder)
            target = stdio_client(parameters, errlog=quiet)
        async with Client(target, mode=mode) as client:
            return _word(
                server,
                client.protocol_version,
                await outcome(client.list_tools()),
                await outcome(client.call_tool(server.tool, dict(server.arguments))),
                await outcome(client.call_tool(UNKNOWN_TOOL, {})),
            )

    async def try_to_visit(server: Visited) -> str:
        try:
            return await visit(server)
        except (MCPError, ExceptionGroup) as failure:
            return f"not connected: {failure!r}"

    async def visit_all() -> dict[str, str]:
        async with asyncio.timeout(CLIENT_LIMIT_SECONDS):
            return {server.name: await try_to_visit(server) for server in servers}

    with Path("/dev/null").open("w") as quiet:
        return asyncio.run(visit_all())


def _typescript(sdk: str, options: dict[str, Any], peers: Peers, servers: Sequence[Visited]) -> dict[str, str]:
    installed = peers(sdk)
    command = (installed.argv[0], str(DRIVERS / "typescript.mjs"), str(installed.root))
    came = _drive(command, [{**server.cell, "options": options} for server in servers])
    return {server.name: _typescript_word(server, one) for server, one in zip(servers, came, strict=True)}


def _typescript_word(server: Visited, came: Answer) -> str:
    if "failed" in came:
        return f"not connected: {came}"
    return _word(server, came["version"], came["tools"], came["call"], came["unknown"])


def _fastmcp(peers: Peers, servers: Sequence[Visited]) -> dict[str, str]:
    commands = []
    for server in servers:
        where = ("--command", shlex.join(_with_environment(server))) if server.command else (server.url,)
        what = ("--target", server.tool, "--input-json", json.dumps(server.arguments), "--json")
        commands += [("list", *where, "--json"), ("call", *where, *what)]
    python = peers("fastmcp").root / "venv" / "bin" / "python"
    came = iter(_drive((str(python), str(DRIVERS / "fastmcp_commands.py")), commands))
    return {server.name: _cli_word(server, next(came), next(came)) for server in servers}


def _inspector(peers: Peers, servers: Sequence[Visited]) -> dict[str, str]:
    front = (*peers("inspector").argv, "--cli", "--format", "json")
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "mcp.json"
        configuration.write_text(json.dumps({"mcpServers": {server.name: _entry(server) for server in servers}}))
        words = {}
        for server in servers:
            where = ("--config", str(configuration), "--server", server.name)
            pairs = [word for name, value in server.arguments.items() for word in ("--tool-arg", f"{name}={value}")]
            call = ("--method", "tools/call", "--tool-name", server.tool, *pairs)
            came = [_told(_run((*front, *where, *method))) for method in (("--method", "tools/list"), call)]
            words[server.name] = _cli_word(server, *came)
    return words


def _entry(server: Visited) -> dict[str, Any]:
    """A server's entry in a client's ``mcp.json``."""
    if not server.command:
        return {"type": "streamable-http", "url": server.url}
    command, *arguments = server.command
    return {"command": command, "args": arguments, "env": dict(server.environment), "cwd": server.folder}


CLIENTS: Final[dict[str, Visit]] = {
    "python-auto": partial(_python, "auto"),
    "python-legacy": partial(_python, "legacy"),
    "python-2026-07-28": partial(_python, "2026-07-28"),
    "typescript-v1": partial(_typescript, "typescript-sdk-v1", {}),
    "typescript-v2": partial(_typescript, "typescript-sdk-v2", {}),
    "typescript-v2-auto": partial(_typescript, "typescript-sdk-v2", {"versionNegotiation": {"mode": "auto"}}),
    "fastmcp": _fastmcp,
    "inspector": _inspector,
}


def _word(server: Visited, version: str, listed: Any, called: Any, unknown: Any) -> str:
    came = (listed, called, unknown)
    if all(isinstance(one, dict) and one.get("error") == _UNSUPPORTED for one in came):
        return VERSIONS
    refused = unknown.get("error") == _REFUSED
    if server.tool in json.dumps(listed) and _is_good(server, called) and refused:
        return _ERAS.get(version, f"speaks {version}")
    return f"unlike: {came}"


def _is_good(server: Visited, called: Any) -> bool:
    return "error" not in called and not called.get("isError") and server.marker in json.dumps(called)


def _cli_word(server: Visited, listed: tuple[int, str], called: tuple[int, str]) -> str:
    good = listed[0] == called[0] == 0 and server.tool in listed[1] and server.marker in called[1]
    return UNTOLD if good else f"unlike: {listed} {called}"


def _with_environment(server: Visited) -> tuple[str, ...]:
    """For clients that have no word for a server's environment and folder."""
    variables = (f"{name}={value}" for name, value in server.environment.items())
    return ("env", "-C", server.folder, "-i", *variables, *server.command)


def _told(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, done.stdout + done.stderr


def _drive(command: tuple[str, ...], work: Sequence[Any]) -> list[Any]:
    done = _run(command, json.dumps(work))
    assert done.returncode == 0, done.stderr
    came: list[Any] = json.loads(done.stdout)
    return came


def _run(command: tuple[str, ...], told: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, input=told, timeout=CLIENT_LIMIT_SECONDS
    )
