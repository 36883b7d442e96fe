"""A stdio server whose tools do to a gateway what no honest server does.

``python -I -S crafted_server.py MODE [FOLDER]``. Modes: ``plain``; ``stubborn`` stays when its stdin ends and when it
is asked to go; ``deaf`` never reads again once it listed its tools; ``code`` ends by itself with 3 when its stdin ends;
``silent`` answers nothing at all; ``twice`` answers everything a second time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

SECRET = "ghp_" + "A1b2" * 9
Arguments = dict[str, Any]


def write(text: str, descriptor: int = 1) -> None:
    data = text.encode()
    while data:
        data = data[os.write(descriptor, data) :]


def echo(arguments: Arguments) -> str:
    return str(arguments["text"])


def note(arguments: Arguments) -> str:
    """An effect that outlives the server: a line in its folder."""
    journal = os.open(os.path.join(sys.argv[2], "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    write(f"{arguments['text']}\n", journal)
    os.close(journal)
    return "noted"


def hold(arguments: Arguments) -> str:
    """Work that takes as long as the test wants: until it makes a file of this name."""
    note({"text": "began"})
    while not os.path.exists(os.path.join(sys.argv[2], arguments["text"])):
        time.sleep(0.005)
    return "done"


def die(_: Arguments) -> str:
    write('{"jsonrpc":"2.0","id":')
    os._exit(7)


def kill_itself(_: Arguments) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


def hang(_: Arguments) -> str:
    while True:
        time.sleep(60)


def talk(_: Arguments) -> str:
    write("starting up\n")
    write(f"token {SECRET} \x1b]0;owned\x07\n")
    write(f"password={SECRET}\n", 2)
    return "talked"


def flood(arguments: Arguments) -> str:
    line = "x" * 100 + "\n"
    for _ in range(int(arguments["count"]) // 1000):
        write(line * 1000, 2)
    return "flooded"


def one_long_line(arguments: Arguments) -> str:
    write("y" * int(arguments["count"]) + "\n", 2)
    return "said"


def big(arguments: Arguments) -> str:
    return str(arguments.get("text", "x")) * int(arguments["count"])


def chatter(arguments: Arguments) -> str:
    """Log messages of a megabyte each; the journal has a line for each that was taken."""
    said = {"level": "info", "data": "x" * (1 << 20)}
    line = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": said}) + "\n"
    for number in range(int(arguments["count"])):
        write(line)
        note({"text": str(number)})
    return "all said"


def endless(_: Arguments) -> str:
    """An answer whose line never ends."""
    write('{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"')
    while True:
        write("x" * 65536)


def daemon(_: Arguments) -> str:
    """The classic double fork: a process in a session of its own, with another parent, that ignores requests to end."""
    told, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.write(tell, str(os.getpid()).encode())
            while True:
                time.sleep(60)
        os._exit(0)
    os.wait()
    return os.read(told, 32).decode()


def visit(arguments: Arguments) -> str:
    """What comes from a URL, as any program of the standard library would get it."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(arguments["text"], timeout=20) as answer:  # noqa: S310 - whatever the test says
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        return f"{refused.code} {refused.read().decode()}"
    except OSError as problem:
        return f"cannot: {problem}"


def knock(arguments: Arguments) -> str:
    """Knows no proxy: a connection to HOST PORT, and what is said there first."""
    import socket

    host, port = arguments["text"].split()
    try:
        with socket.create_connection((host, int(port)), 20) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(1000).decode()
    except OSError as problem:
        return f"cannot: {problem}"


def show(arguments: Arguments) -> str:
    """A file; that it cannot be opened stands in the answer, as servers say it, or where ``count`` is 2 on stderr."""
    try:
        with open(arguments["text"]) as file:
            return file.read()
    except OSError as problem:
        if arguments["count"] == 2:
            write(f"{problem}\n", 2)
            return "said elsewhere"
        raise FailedError(problem, arguments["count"]) from None


class FailedError(Exception):
    def answer(self) -> dict[str, Any]:
        """An error of JSON-RPC, or a result that is one."""
        problem, count = self.args
        if count == 1:
            return {"error": {"code": -32000, "message": str(problem)}}
        return {"result": {"content": [{"type": "text", "text": str(problem)}], "isError": True}}


def leave(arguments: Arguments) -> str:
    sys.exit(int(arguments["count"]))


TOOLS: dict[str, Callable[[Arguments], str]] = {
    tool.__name__: tool
    for tool in (
        echo,
        note,
        hold,
        die,
        kill_itself,
        hang,
        talk,
        flood,
        one_long_line,
        big,
        chatter,
        endless,
        daemon,
        visit,
        knock,
        show,
        leave,
    )
}
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}, "count": {"type": "integer"}}}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        info = {"name": "crafted", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": SCHEMA} for name in TOOLS]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": TOOLS[params["name"]](params.get("arguments", {}))}]}
    return {}


def main() -> None:
    mode = sys.argv[1]
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pending = b""
    while received := os.read(0, 65536):
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "id" not in message or mode == "silent":
                continue
            try:
                outcome = {"result": answer(message["method"], message.get("params", {}))}
            except FailedError as failed:
                outcome = failed.answer()
            for _ in range(2 if mode == "twice" else 1):
                write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}) + "\n")
            while mode == "deaf" and message["method"] == "tools/list":
                time.sleep(60)
    while mode == "stubborn":
        time.sleep(60)
    if mode == "code":
        sys.exit(3)


if __name__ == "__main__":
    main()
