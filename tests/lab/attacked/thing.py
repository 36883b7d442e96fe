"""A small server of the legacy era, on the standard library alone: ``python thing.py MANNER FOLDER``.

Its tool names are its own and known to no code of ours. MANNER is one of: ``careless`` (opens, runs and logs what it is
given, ends when that is big), ``careful`` (does none of it), ``permissive`` (does nothing and says ok), ``refusing``,
``refusing-all-but-lists``, ``empty``, ``empty-but-lists``, ``silent``, ``one-shot`` (serves like ``careful`` until the
first refusal, then nobody), ``frail`` (ends where there is no resource); like ``careless`` but ``brief`` (shows the
beginning of a file), ``twofold`` (says first what it read, and then in a second member of the same name that it
refused), ``tardy`` (answers a call once the next request is there); like ``careful`` but ``following`` (lists what
links lead to), ``deep`` (answers calls with lists in each other), ``deaf`` (reads nothing more after many lists in each
other).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MANNER, FOLDER = sys.argv[1], Path(os.path.realpath(sys.argv[2]))
CARELESS = MANNER in ("careless", "brief", "twofold", "tardy")
BIG, MANY, BRIEF = 1_000_000, b"[" * 1_000, 40
DEEP = 100_000
TEXT = {"type": "string"}
READING = {"readOnlyHint": True}


def tool(name: str, annotations: dict[str, Any], **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "inputSchema": schema, "annotations": annotations}


TOOLS = [
    tool("unfold", READING, parchment={"type": "string", "description": "path of the file"}),
    tool("greet", READING, whom={"type": "string", "minLength": 1}, access_token=TEXT),
    tool("stamp", {}, parchment={"type": "string", "description": "path of the file"}),
]
LISTS: dict[str, Any] = {
    "tools/list": {"tools": TOOLS},
    "resources/list": {"resources": []},
    "resources/templates/list": {"resourceTemplates": [{"name": "leaf", "uriTemplate": "book:///{leaf}"}]},
}
REFUSAL = {"error": {"code": -31001, "message": "refused by the gateway"}}


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def opened(name: str) -> str:
    path = FOLDER / name
    real = Path(os.path.realpath(path))
    if not CARELESS and not real.is_relative_to(FOLDER):
        raise ValueError(f"{name} is elsewhere")
    if path.is_dir():
        below = os.walk(path, followlinks=True) if MANNER == "following" else [(path, [], os.listdir(path))]
        return "\n".join(name for _, _, names in below for name in names)
    return path.read_text()[: BRIEF if MANNER == "brief" else None]


def greeted(arguments: dict[str, Any]) -> str:
    shown = dict(arguments)
    if CARELESS:
        os.system(f"echo {arguments['whom']} >/dev/null 2>&1")  # noqa: S605 - this is the mistake
    else:
        shown["access_token"] = "…"
    say({"method": "notifications/message", "params": {"level": "info", "data": json.dumps(shown)}})
    return f"good day, {arguments['whom']}"


def in_raw(id: str, params: dict[str, Any]) -> str:
    """An answer that ``json`` does not write."""
    if MANNER == "deep":
        return f'{{"jsonrpc":"2.0","id":{json.dumps(id)},"result":{{"content":{"[" * DEEP}{"]" * DEEP}}}}}'
    read = json.dumps(called(params)["result"])
    refused = json.dumps({"isError": True, "content": [{"type": "text", "text": "refused"}]})
    honest = Path(os.path.normpath(FOLDER / params["arguments"]["parchment"])).is_relative_to(FOLDER)
    return f'{{"jsonrpc":"2.0","id":{json.dumps(id)},"result":{read}' + ("}" if honest else f',"result":{refused}}}')


def lines() -> Iterator[str]:
    """What arrives, line by line, and no more of it than is asked for."""
    got = b""
    while chunk := os.read(0, 4096 if MANNER == "deaf" else 65536):
        got += chunk
        while MANNER == "deaf" and MANY in got:
            signal.pause()
        *whole, got = got.split(b"\n")
        yield from (line.decode() for line in whole)


def called(params: dict[str, Any]) -> dict[str, Any]:
    try:
        name, arguments = params["name"], params["arguments"]
        text = greeted(arguments) if name == "greet" else opened(arguments["parchment"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        if MANNER == "one-shot":
            raise SystemExit from None
        return {"result": {"isError": True, "content": [{"type": "text", "text": str(problem)}]}}
    return {"result": {"content": [{"type": "text", "text": text}]}}


def read(params: dict[str, Any]) -> dict[str, Any]:
    try:
        text = opened(params["uri"].removeprefix("book:///"))
    except (OSError, ValueError) as problem:
        if MANNER == "frail":
            raise SystemExit from None
        return {"error": {"code": -32002, "message": str(problem)}}
    return {"result": {"contents": [{"uri": params["uri"], "text": text}]}}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if MANNER in ("refusing-all-but-lists", "empty-but-lists", "permissive") and method in LISTS:
        return {"result": LISTS[method]}
    if MANNER.startswith("refusing"):
        return REFUSAL
    if MANNER.startswith("empty"):
        return {"result": {}}
    if method in LISTS:
        return {"result": LISTS[method]}
    if MANNER == "permissive":
        return {"result": {"content": [{"type": "text", "text": "ok"}], "contents": [{"uri": "x", "text": "ok"}]}}
    if method == "tools/call":
        return called(params)
    return read(params) if method == "resources/read" else {"error": {"code": -32601, "message": "no such method"}}


held: list[dict[str, Any]] = []
for line in lines():
    for late in held:
        say(late)
    held.clear()
    if MANNER == "careless" and len(line) > BIG:
        raise SystemExit("that was too much")
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        continue
    if "id" not in asked or MANNER == "silent":
        continue
    if MANNER in ("twofold", "deep") and asked["method"] == "tools/call":
        sys.stdout.write(in_raw(asked["id"], asked["params"]) + "\n")
        sys.stdout.flush()
        continue
    result = answer(asked["method"], asked.get("params") or {})
    if asked["method"] == "initialize" and MANNER not in ("refusing", "empty"):
        result = {
            "result": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "resources": {}, "logging": {}}}
        }
    if asked["method"] == "server/discover":
        result = {"error": {"code": -32601, "message": "no such method"}}
    if MANNER == "tardy" and asked["method"] == "tools/call":
        held.append({"id": asked["id"], **result})
        continue
    say({"id": asked["id"], **result})
