"""A stdio server of both eras that answers late, in another order, or not at all."""

from __future__ import annotations

import json
import mmap
import os
import signal
import sys
from typing import Any

META = "io.modelcontextprotocol/"
ABLE = {"capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "both", "version": "1"}}
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}, "count": {"type": "integer"}}}
NAMES = ("echo", "pair", "mute", "mutes", "cancels", "poke", "finish", "flood", "die", "hoard", "share", "bomb", "spin")
CACHED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}

Message = dict[str, Any]


class Server:
    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.listening: list[Any] = []
        self.mutes = 0
        self.cancels = 0

    def write(self, message: Message) -> None:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()

    def tell(self, method: str, **params: Any) -> None:
        self.write({"method": method, "params": params})

    def say(self, request: Message, text: str) -> None:
        modern = META + "protocolVersion" in request["params"].get("_meta", {})
        result: Message = {"content": [{"type": "text", "text": text}]}
        self.write({"id": request["id"], "result": result | ({"resultType": "complete"} if modern else {})})

    def take(self, message: Message) -> None:
        method, params = message.get("method", ""), message.get("params") or {}
        if method == "notifications/cancelled":
            self.cancels += 1
            if params["requestId"] in self.listening:
                self.listening.remove(params["requestId"])
        if "id" not in message or not method:
            return
        if method == "initialize":
            self.write({"id": message["id"], "result": {"protocolVersion": params["protocolVersion"], **ABLE}})
        elif method == "server/discover":
            self.write({"id": message["id"], "result": {**CACHED, "supportedVersions": ["2026-07-28"], **ABLE}})
        elif method == "tools/list":
            tools = [{"name": name, "inputSchema": SCHEMA} for name in NAMES]
            self.write({"id": message["id"], "result": {**CACHED, "tools": tools}})
        elif method == "subscriptions/listen":
            self.listening.append(message["id"])
            self.tell(
                "notifications/subscriptions/acknowledged",
                notifications=params["notifications"],
                _meta={META + "subscriptionId": message["id"]},
            )
        elif method == "tools/call":
            self.call(message, params["name"], params.get("arguments", {}))
        else:
            self.write({"id": message["id"], "result": {}})

    def call(self, message: Message, name: str, arguments: Message) -> None:
        if name == "pair":
            self.waiting.append(message)
            if len(self.waiting) == 2:
                self.answer_pair()
        elif name == "mute":
            self.mutes += 1
        elif name == "hoard":
            bytearray(arguments["count"])  # its MemoryError ends us
            self.say(message, "held")
        elif name == "die":
            sys.exit(7)
        elif name in ("poke", "finish", "flood", "share", "bomb", "spin"):
            getattr(self, name)(message, arguments)
        else:
            told = {"mutes": str(self.mutes), "cancels": str(self.cancels)}
            self.say(message, told.get(name) or str(arguments.get("text", "")))

    def share(self, message: Message, arguments: Message) -> None:
        """Memory that is shared, which no limit of a process counts."""
        shared = mmap.mmap(-1, arguments["count"])
        for page in range(0, arguments["count"], mmap.PAGESIZE):
            shared[page] = 1
        self.say(message, "held")

    def bomb(self, message: Message, arguments: Message) -> None:
        """As many processes as it may have, up to a count; they stay."""
        started = 0
        try:
            while started < arguments["count"]:
                if os.fork() == 0:
                    while True:
                        signal.pause()
                started += 1
        except BlockingIOError:
            pass
        self.say(message, str(started))

    def spin(self, message: Message, arguments: Message) -> None:
        """So many processes for each processor, each of which uses up thirty milliseconds; answered when they have."""
        children = arguments["count"] * len(os.sched_getaffinity(0))
        for _ in range(children):
            if os.fork() == 0:
                while sum(os.times()[:2]) < 0.03:
                    pass
                os._exit(0)
        for _ in range(children):
            os.wait()
        self.say(message, "spun")

    def poke(self, message: Message, _: Message) -> None:
        for listener in reversed(self.listening):
            self.tell("notifications/tools/list_changed", _meta={META + "subscriptionId": listener})
        self.say(message, str(len(self.listening)))

    def finish(self, message: Message, _: Message) -> None:
        for listener in self.listening:
            self.tell("notifications/cancelled", requestId=listener)
        self.listening.clear()
        self.say(message, "finished")

    def flood(self, message: Message, arguments: Message) -> None:
        for number in range(arguments["count"]):
            token = message["params"]["_meta"]["progressToken"]
            self.tell("notifications/progress", progressToken=token, progress=number + 1, message="x" * (1 << 20))
        self.say(message, "flooded")

    def answer_pair(self) -> None:
        for request in self.waiting:
            token = request["params"]["_meta"]["progressToken"]
            text = request["params"]["arguments"]["text"]
            self.tell("notifications/progress", progressToken=token, progress=1, message=text)
        for request in reversed(self.waiting):
            self.say(request, request["params"]["arguments"]["text"])
        self.waiting.clear()


def main() -> None:
    server = Server()
    for line in sys.stdin:
        server.take(json.loads(line))


if __name__ == "__main__":
    main()
