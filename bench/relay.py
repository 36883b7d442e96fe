"""What one `tools/call` costs in the relay and the archive: CPU microseconds for the call and its answer.

No socket, no loop, no thread: bytes are decoded, judged and encoded, and what is recorded is committed in groups of
sixteen, as when sixteen clients ask at once. Text is of several kinds, because much of the cost is looking for secrets
in it: a figure for one kind says little of another. Each figure is the least of many short runs, so that a machine that
others use says nearly the same as an idle one. It asserts that calls pass, and no time.
"""

from __future__ import annotations

import argparse
import base64
import inspect
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from doorward.audit.stores.sqlite import Item, SqliteLog
from doorward.content.redaction import Masker
from doorward.judge.vocabulary import Facts, Principal, Side
from doorward.policy.identity import verified
from doorward.policy.load import load
from doorward.relay import pipeline
from doorward.relay.commands import Arrived, Command, Record, Send
from doorward.relay.relay import Relay
from doorward.relay.state import Settings
from doorward.wire.jsonrpc import FrameLimits, decode

NOW_US: Final = 1_795_338_600_000_000
GROUP: Final = 16
SMALL: Final = 200
LARGE: Final = 64 * 1024
LIMITS: Final = FrameLimits(16 << 20, 64, 100_000)
META: Final[dict[str, Any]] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
ECHO: Final = {
    "name": "echo",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


# --- texts -----------------------------------------------------------------------------------------------------------


def words(size: int) -> str:
    draw = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    out = [
        "".join(draw.choices(letters, weights=range(26, 0, -1), k=draw.randint(2, 9)))
        + draw.choice(("", "", "", "", "", ",", ".", ";", ":"))
        for _ in range(size // 5 + 1)
    ]
    return " ".join(out)[:size]


def rows(size: int) -> str:
    draw = random.Random(2)
    listed = [
        {
            "id": draw.randint(1, 10**9),
            "name": words(20),
            "email": f"user{n}@example.org",
            "price": round(draw.random() * 1000, 2),
            "created_at": f"2026-0{n % 9 + 1}-1{n % 10}T08:{n % 60:02}:00Z",
            "url": f"https://example.org/items/{n}?page={n % 7}&sort=asc",
            "active": n % 3 == 0,
        }
        for n in range(size // 150 + 1)
    ]
    return json.dumps(listed)[:size]


def blob(size: int) -> str:
    return base64.b64encode(random.Random(3).randbytes(size)).decode()[:size]


def code(size: int) -> str:
    source = inspect.getsource(inspect) + inspect.getsource(argparse)
    return source[1000 : 1000 + size]


def logs(size: int) -> str:
    draw = random.Random(4)
    lines = [
        f'10.0.{n % 256}.{n % 99} - - [22/Nov/2026:09:{n % 60:02}:{n % 59:02} +0000] "GET /a/{words(9)}?n={n} HTTP/1.1"'
        f' {draw.choice((200, 301, 404))} {draw.randint(100, 99999)} "-" "agent/{n % 9}.0 (X11; Linux x86_64)"'
        for n in range(size // 100 + 1)
    ]
    return "\n".join(lines)[:size]


def accents(size: int) -> str:
    return "Größe, naïve façade, 東京都で会議を開く “señor” 🙂 привет, мир! ".ljust(8) * (size // 40 + 1)


def cut(text: str, size: int) -> str:
    """``text`` as long as ``size`` bytes of UTF-8 or a few less."""
    return text.encode()[:size].decode("utf-8", "ignore")


TEXTS: Final[dict[str, Callable[[int], str]]] = {
    "words": words, "json rows": rows, "base64": blob, "code": code, "logs": logs, "unicode": accents,
}  # fmt: skip


# --- one link --------------------------------------------------------------------------------------------------------


class Link:
    """A modern link whose server has told its tools; it carries calls and keeps what they made."""

    def __init__(self) -> None:
        masker = Masker(b"k" * 32)
        self.relay = Relay(
            Settings(
                policy=load(None), server="bench", pipeline=pipeline.build(masker), link="1", session="1",
                seal_key=b"k" * 32,
            )
        )  # fmt: skip
        self._server = verified("command", "bench", {"path": "/bin/bench"})
        self._principal = Principal("user:ada", "operating system user")
        self._random = random.Random(5)
        self._id = 0
        self.relay.start(self.facts(), NOW_US)
        self._settle()

    def facts(self) -> Facts:
        return Facts(principal=self._principal, server=self._server, fresh=self._random.randbytes(64))

    def frames(self, asked: str, answered: str) -> tuple[bytes, bytes, int]:
        self._id += 1
        call = _encoded(
            id=self._id,
            method="tools/call",
            params={"name": "echo", "arguments": {"text": asked}, "_meta": META},
        )
        content = [{"type": "text", "text": answered}]
        return call, _encoded(id=self._id, result={"resultType": "complete", "content": content}), self._id

    def arrive(self, frame: bytes, side: Side, exchange: int) -> list[Command]:
        event = Arrived(decode(frame, LIMITS), side, exchange, self.facts())
        return self.relay.handle(event, NOW_US)

    def _settle(self) -> None:
        """The first call waits for the server's answers about itself."""
        call, answer, exchange = self.frames("a", "b")
        commands = self.arrive(call, "client", exchange)
        answers: dict[str, Any] = {
            "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}},
            "tools/list": {"tools": [ECHO]},
        }
        while (asked := json.loads(_sent(commands, "server")))["method"] in answers:
            result = {"resultType": "complete", **answers[asked["method"]]}
            commands = self.arrive(_encoded(id=asked["id"], result=result), "server", 0)
        assert _sent(self.arrive(answer, "server", exchange), "client") == answer


def _encoded(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}, separators=(",", ":"), ensure_ascii=False).encode()


def _sent(commands: list[Command], side: Side) -> bytes:
    (sent,) = (command.body for command in commands if isinstance(command, Send) and command.to == side)
    return sent


# --- figures ---------------------------------------------------------------------------------------------------------


class Figure(NamedTuple):
    """CPU microseconds per call: in the relay (decoding included), and in the archive."""

    title: str
    relay: float
    archive: float


def measure(link: Link, log: SqliteLog, title: str, asked: str, answered: str, runs: int) -> Figure:
    relay, archive = [], []
    for _ in range(runs):
        frames = [link.frames(asked, answered) for _ in range(GROUP)]
        began = time.process_time_ns()
        calls = [link.arrive(call, "client", exchange) for call, _, exchange in frames]
        answers = [link.arrive(answer, "server", exchange) for _, answer, exchange in frames]
        relay.append(time.process_time_ns() - began)
        for commands, (call, _, _) in zip(calls, frames, strict=True):
            assert _sent(commands, "server") == call
        assert all(_sent(commands, "client") for commands in answers)
        groups = [[_item(c) for unit in units for c in unit if isinstance(c, Record)] for units in (calls, answers)]
        began = time.process_time_ns()
        log.append(groups[0], durable=True)
        log.append(groups[1], durable=False)
        archive.append(time.process_time_ns() - began)
        log.checkpoint(NOW_US)
    return Figure(title, min(relay) / GROUP / 1e3, min(archive) / GROUP / 1e3)


def _item(record: Record) -> Item:
    return Item(record.entry, record.salt, record.body)


def figures(link: Link, log: SqliteLog, runs: int, kinds: list[str]) -> Iterator[Figure]:
    few = words(100)
    for kind in kinds:
        text = cut(TEXTS[kind](SMALL), SMALL // 2)
        yield measure(link, log, f"200 B of {kind}, there and back", text, text, runs * 4)
    for kind in kinds:
        text = cut(TEXTS[kind](LARGE), LARGE)
        yield measure(link, log, f"64 KiB of {kind}, asked", text, few, runs)
        yield measure(link, log, f"64 KiB of {kind}, answered", few, text, runs)


def profile(link: Link, kind: str, calls: int) -> None:
    """Where the time goes, for small calls and for large answers."""
    import cProfile
    import pstats

    for size in (SMALL // 2, LARGE):
        text = cut(TEXTS[kind](size), size)
        frames = [link.frames(text, text) for _ in range(calls if size < LARGE else calls // 20)]
        with cProfile.Profile() as profiler:
            for call, answer, exchange in frames:
                link.arrive(call, "client", exchange)
                link.arrive(answer, "server", exchange)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=60, help="runs of sixteen large calls, each; small ones: four times"
    )
    parser.add_argument("--kind", action="append", choices=sorted(TEXTS), help="only this kind of text")
    parser.add_argument("--profile", action="store_true", help="print where the relay spends its time instead")
    given = parser.parse_args()
    kinds = given.kind or list(TEXTS)
    link = Link()
    if given.profile:
        profile(link, kinds[0], given.runs * 50)
        return 0
    print(f"{'CPU µs per call':<38}{'relay':>9}{'archive':>9}{'both':>9}")
    with tempfile.TemporaryDirectory() as state:
        log = SqliteLog.open(Path(state), now_us=NOW_US, label="bench")
        for figure in figures(link, log, given.runs, kinds):
            print(f"{figure.title:<38}{figure.relay:>9.1f}{figure.archive:>9.1f}{figure.relay + figure.archive:>9.1f}")
            sys.stdout.flush()
        log.close(NOW_US)
    return 0


if __name__ == "__main__":
    sys.exit(main())
