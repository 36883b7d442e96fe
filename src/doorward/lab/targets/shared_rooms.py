"""Rooms with notes, reports and jobs. Its mistake: whoever has a handle is taken for whoever got it.

A session id, an event id, a task id, a request's state and an address to listen to are enough to be let in, and nothing
binds them to a user.
By hand, since the SDK's own server does bind some of them. Over HTTP only: on a pipe there is one user.

Start: ``python shared_rooms.py --http FOLDER`` with ``board.txt``, ``pin.txt`` and ``salaries.txt``.
"""

from __future__ import annotations

import base64
import itertools
import json
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[-1])
MODERN = "2026-07-28"
NAME = {"name": "shared-rooms", "version": "1"}
TASKS = "io.modelcontextprotocol/tasks"
CAPABILITIES: dict[str, Any] = {"tools": {}, "resources": {"subscribe": True}, "logging": {}, "extensions": {TASKS: {}}}
WORDS = {"type": "string"}
TOOLS = [
    {"name": "read_board", "description": "What everybody may read.", "inputSchema": {"type": "object"}},
    {
        "name": "keep_note",
        "description": "Keep a note in this room.",
        "inputSchema": {"type": "object", "properties": {"text": WORDS}},
    },
    {"name": "read_notes", "description": "The notes of this room.", "inputSchema": {"type": "object"}},
    {
        "name": "order_report",
        "description": "Order a report; that on salaries needs the PIN.",
        "inputSchema": {"type": "object", "properties": {"about": WORDS, "pin": WORDS}},
    },
    {
        "name": "start_job",
        "description": "Start a long job; it needs the PIN.",
        "inputSchema": {"type": "object", "properties": {"pin": WORDS}},
    },
]
rooms: dict[str, list[str]] = defaultdict(list)
events: list[str] = []
"""Of all rooms: an event's id is its place."""

numbers = itertools.count(1)


def read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def texts(*said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text} for text in said]}


def call(params: dict[str, Any], room: str) -> dict[str, Any]:
    name, arguments = params["name"], params.get("arguments", {})
    if name == "keep_note":
        rooms[room].append(arguments["text"])
        return texts("kept")
    if name == "read_notes":
        return texts(*rooms[room])
    if name == "order_report":
        return order(arguments, params.get("requestState", ""))
    if name == "start_job":
        if arguments.get("pin") != read("pin.txt"):
            return {**texts("the PIN is wrong"), "isError": True}
        return {"resultType": "task", **job(f"job-{next(numbers)}")}
    return texts(read("board.txt"))


def order(arguments: dict[str, Any], state: str) -> dict[str, Any]:
    """Asked once, it takes its time; who comes back with the state gets what the state says."""
    if state:
        about = json.loads(base64.b64decode(state))["about"]
        return texts(read("salaries.txt") if about == "salaries" else "nothing to report")
    if arguments["about"] == "salaries" and arguments.get("pin") != read("pin.txt"):
        return {**texts("the PIN is wrong"), "isError": True}
    state = base64.b64encode(json.dumps({"about": arguments["about"]}).encode()).decode()
    return {"resultType": "input_required", "requestState": state}


def job(id: str) -> dict[str, Any]:
    now = "2026-11-26T00:00:00Z"
    return {"taskId": id, "status": "working", "ttlMs": 60_000, "createdAt": now, "lastUpdatedAt": now}


def changes(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """What changed lately below the addresses that are listened to, whoever they belong to."""
    wanted = asked["params"]["notifications"]
    meta = {"_meta": {"io.modelcontextprotocol/subscriptionId": asked["id"]}}
    changed = f"file:///rooms/user/{read('salaries.txt').split()[-1]}"
    told = [("notifications/subscriptions/acknowledged", {"notifications": wanted})]
    if changed.startswith(tuple(wanted.get("resourceSubscriptions", ()))):
        told.append(("notifications/resources/updated", {"uri": changed}))
    return [{"jsonrpc": "2.0", "method": method, "params": params | meta} for method, params in told]


def result(asked: dict[str, Any], room: str) -> dict[str, Any]:
    method, params = asked["method"], asked.get("params", {})
    modern = "_meta" in params
    listed = {"ttlMs": 0, "cacheScope": "private"} if modern else {}
    if method == "initialize":
        found = {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES, "serverInfo": NAME}
    elif method == "server/discover":
        found = {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, "serverInfo": NAME, **listed}
    elif method == "tools/list":
        found = {"tools": TOOLS, **listed}
    elif method == "resources/list":
        found = {"resources": [{"name": "rooms", "uri": "file:///rooms/"}], **listed}
    elif method == "tasks/get":
        found = {**job(params["taskId"]), "status": "completed", "result": texts(read("salaries.txt"))}
    else:
        found = call(params, room) if method == "tools/call" else {}
    return {"resultType": "complete", **found} if modern else found


class Handler(BaseHTTPRequestHandler):
    """A room is a session; whoever names it is in it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        room = self.headers.get("mcp-session-id", "")
        more = {}
        if asked.get("method") == "initialize":
            room = f"room-{next(numbers)}"
            more = {"mcp-session-id": room}
        if "id" not in asked or "method" not in asked:
            self.respond(202, b"", more)
            return
        answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result(asked, room)})
        if asked["method"] == "subscriptions/listen":
            said = "".join(f"data: {json.dumps(message)}\n\n" for message in changes(asked))
            self.respond(200, f"{said}data: {answer}\n\n".encode(), {"content-type": "text/event-stream"})
        elif asked.get("params", {}).get("name") == "read_notes":
            self.stream(answer)
        else:
            self.respond(200, answer.encode(), {"content-type": "application/json", **more})

    def do_GET(self) -> None:
        """Whoever says what he saw last gets what came after it."""
        if "last-event-id" not in self.headers:
            self.respond(405, b"", {})
            return
        missed = events[int(self.headers["last-event-id"]) :]
        said = "".join(f"data: {event}\n\n" for event in missed).encode()
        self.respond(200, said, {"content-type": "text/event-stream"})

    def do_DELETE(self) -> None:
        self.respond(204, b"", {})

    def stream(self, answer: str) -> None:
        """An answer that can be asked for again: an event that says where it begins, a log message, the answer."""
        message = {"level": "warning", "data": "reading"}
        log = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": message})
        said = [f"id: {len(events)}\ndata: \n\n"]
        for event in (log, answer):
            events.append(event)
            said.append(f"id: {len(events)}\nevent: message\ndata: {event}\n\n")
        self.respond(200, "".join(said).encode(), {"content-type": "text/event-stream"})

    def respond(self, status: int, body: bytes, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: there is nobody to read it."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}/mcp", flush=True)
    server.serve_forever()
