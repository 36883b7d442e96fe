"""``oversized-payload``: one message that is larger than whoever must hold it."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from doorward.audit import reader
from doorward.lab.peer import Flood, modern_meta
from doorward.lab.scenario import (
    BEHIND,
    BenignTwinBrokenError,
    Era,
    Example,
    Harm,
    Scenario,
    Target,
    Topology,
    Trace,
    Variant,
)
from doorward.lab.stage import command, environment
from doorward.lab.targets import python, script
from doorward.lab.watch import watching
from doorward.relay.runs import WINDOW_US

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.lab.stage import Stage
    from doorward.lab.watch import Watch

MIB = 1 << 20
COUNT, EXPORT = "count_letters", "export_rows"
README, DUMP = "readme.txt", "dump.csv"
DUMP_BYTES = 4 << 30
"""Of the file, most of it a hole; and what is announced of an argument."""

FROM_CLIENT_BYTES = (4 * 4 + 9 * 4) * MIB
FROM_SERVER_BYTES = (4 * 16 + 9 * 16) * MIB
"""By so much the memory of a victim may grow (docs/threats.md): four times the message limit of that direction, 4 and
16 MiB, and one decoded tree, which is at most nine times a text (docs/architecture.md, section 8)."""

POURED_PIECES = 128
"""So many MiB are sent through a pipe at most; HTTP is cut off long before."""

BENIGN_LIMIT_SECONDS = 5.0
READER_LIMIT_SECONDS = 20.0

HTTP = (Topology.SERVE_URL,)
PIPES = (Topology.WRAP, Topology.SERVE_COMMAND)


def _furnish(work: Path, greeting: str) -> None:
    """A small file, and a huge one that takes no room on the disk."""
    (work / README).write_text(f"read me: {greeting}\n", encoding="utf-8")
    with (work / DUMP).open("wb") as dump:
        dump.truncate(DUMP_BYTES)


def _nothing(work: Path, greeting: str) -> None:
    """The rows are made while they are sent."""


def _fuse(stage: Stage) -> str:
    """How many MiB the server may use: as few as show the harm, and it lives on."""
    return "448" if stage.example.id == "large-resource" else "896"


BULK = Target(
    id="bulk-data",
    title="a naive server of ours that takes and reads everything as a whole",
    command=lambda stage: (*python(), script("bulk_data"), str(stage.layout.work), _fuse(stage)),
    furnish=_furnish,
    configuration="""\
[sizes]
to_server_bytes = 1_048_576
string_argument_bytes = 65_536
""",
    tools=(COUNT,),
)

ENDLESS = Target(
    id="endless-answer",
    title="a malicious server of ours whose answers have no end",
    command=lambda stage: (*python(), script("endless_answer"), stage.greeting),
    furnish=_nothing,
    configuration="""\
[sizes]
from_server_bytes = 1_048_576
""",
    tools=(EXPORT,),
    http_option="--http",
)


class OversizedPayload(Scenario):
    """Resource exhaustion by one oversized payload.

    Goal:
        Make a process hold so much that it, or the machine, stops working for everybody else.
    Attacker:
        A client, or whoever chooses an argument or a URI for it; in the last example the server.
    Steps:
        1. A string argument, an id or a URI goes on and on; it is made while it is sent. Or the values are small, and
           there are millions of them; or there is no end to the headers.
        2. Or the client asks for a resource of 4 GiB, which the server reads as a whole.
        3. Or the server's answer has no end: a line, an event, a body, or a body that is small while it is compressed.
    Impact:
        The process that collects it dies, or swells until others die; who shares it is not served.
    Remedy:
        Count while bytes arrive, before anything is built, and read no further than the limit; caps around the server's
        own process for what it reads by itself.
    """

    id = "oversized-payload"
    title = "resource exhaustion by an oversized payload"
    attacker = "client, server"
    stride = "denial of service"
    cwe = ("CWE-400", "CWE-770", "CWE-409")
    owasp = "MCP05:2025"
    controls = ("frame-limits", "http-limits", "part-limits", "resource-size")
    examples = (
        Example(
            id="string-argument",
            title="a multi-gigabyte string as a tool argument, to a schema without maxLength",
            target=BULK,
            variants=(
                Variant("header-list", "lines of headers go on", ("headers",), topologies=HTTP),
                Variant("many-values", "two million lists; a hundred thousand requests", ("lists", "batch")),
                Variant("string", "the document's own, its length not announced", ("arguments",)),
                Variant("announced", "its 4 GiB announced", ("announced",), topologies=HTTP),
                Variant("huge-id", "an id and a URI that go on", ("id", "uri")),
            ),
        ),
        Example(
            id="large-resource",
            title="resources/read of a multi-gigabyte file",
            target=BULK,
            alone=True,
            variants=(Variant("sparse-file", "the document's own", (), remote_internals=BEHIND),),
        ),
        Example(
            id="endless-answer",
            title="the server's answer has no end",
            target=ENDLESS,
            variants=(
                Variant("line", "a line without its end", ("line",), topologies=PIPES),
                Variant("event", "an event of a stream without its end", ("event",), topologies=HTTP),
                Variant("body", "a body without its end", ("body",), topologies=HTTP),
                Variant("compressed-bomb", "a body that is small while it is compressed", ("bomb",), topologies=HTTP),
            ),
        ),
    )

    def __init__(self) -> None:
        self._grown: dict[tuple[int, str], tuple[int, str]] = {}

    async def attack(self, stage: Stage, variant: Variant) -> None:
        await stage.pipe.ready()
        if stage.relayed and stage.staging.topology is Topology.WRAP:
            await _window_over(stage)
        readers: list[int] = []
        async with watching(lambda: [*stage.processes, *readers]) as watch:
            try:
                for form in variant.payload:
                    if stage.example.target is ENDLESS:
                        await _let_read(stage, form, readers)
                    else:
                        await stage.pipe.pour(_flood(form, stage.staging.era), lambda: _is_harmed(watch, stage))
                if stage.example.id == "large-resource":
                    await stage.ask("resources/read", {"uri": f"file://{stage.layout.work / DUMP}"})
            finally:
                watch.look()
                self._grown[id(stage), variant.id] = watch.grown, watch.who

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        grown, who = self._grown.pop((id(stage), variant.id), (0, ""))
        if grown <= _measure(stage):
            return None
        return Harm(f"the memory of {who} grew by {grown // MIB} MiB, more than the {_measure(stage) // MIB} it may")

    async def benign(self, stage: Stage) -> str:
        try:
            with anyio.fail_after(BENIGN_LIMIT_SECONDS):
                if stage.example.target is ENDLESS:
                    return await _short_answer(stage)
                return await _small_things(stage)
        except TimeoutError:
            raise BenignTwinBrokenError(f"an honest call was not answered in {BENIGN_LIMIT_SECONDS:g} s") from None


async def _small_things(stage: Stage) -> str:
    called: Any = await stage.client.call_tool(COUNT, {"text": stage.greeting})
    read: Any = await stage.client.read_resource(f"file://{stage.layout.work / README}")
    if f"{len(stage.greeting)} letters" not in called.content[0].text or stage.greeting not in read.contents[0].text:
        raise BenignTwinBrokenError("a small text was not counted, or a small file not read")
    return "a small text was counted and a small file read, within 5 s"


async def _short_answer(stage: Stage) -> str:
    called: Any = await stage.client.call_tool(EXPORT, {"form": "short"})
    if stage.greeting not in called.content[0].text:
        raise BenignTwinBrokenError("a short answer did not arrive")
    return "a short answer arrived, within 5 s"


async def _window_over(stage: Stage) -> None:
    """Wait until what this variant causes has an entry of its own: of refusals of one kind within a second, Doorward
    records the first and counts the others. Over HTTP each flood is of another kind.
    """
    entries = (one.entry for one in reader.last(stage.layout.state, reader.MOST).found)
    newest = max((entry.at for entry in entries if entry.findings), default=0)
    await anyio.sleep(max(0, newest + WINDOW_US - time.time_ns() // 1000) / 1e6 + 0.05 if newest else 0)


def _measure(stage: Stage) -> int:
    return FROM_CLIENT_BYTES if stage.example.id == "string-argument" else FROM_SERVER_BYTES


def _is_harmed(watch: Watch, stage: Stage) -> bool:
    watch.look()
    return watch.grown > _measure(stage) * 5 // 4


async def _let_read(stage: Stage, form: str, readers: list[int]) -> None:
    """A client in a process of its own calls the tool; ``readers`` gets its id for as long as it lives."""
    wire = ("--", *command(stage)) if not stage.started else (stage.pipe.url,)  # type: ignore[union-attr]
    process = await anyio.open_process(
        (*python(), script("whole_reader"), stage.staging.era.value, EXPORT, form, *wire),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(stage),
        cwd=stage.layout.work,
    )
    readers.append(process.pid)
    try:
        with anyio.move_on_after(READER_LIMIT_SECONDS):
            await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()


def _flood(where: str, era: Era) -> Flood:
    """One message of which one part goes on, as it is sent in ``era``.

    Each announces another length to HTTP (the document's own none), so that each has a refusal of its own in the log.
    """
    meta = f',"_meta":{json.dumps(modern_meta())}' if era is Era.MODERN else ""
    call = f'{{"jsonrpc":"2.0","id":"big","method":"tools/call","params":{{"name":"{COUNT}"{meta},"arguments":{{'
    read = '{"jsonrpc":"2.0","id":"big","method":"resources/read","params":{"uri":"file:///'
    ping = '{"jsonrpc":"2.0","id":"big","method":"ping"}'
    piece = b"a" * MIB
    if where == "headers":
        return Flood(b"", (b"X-Filler: " + b"a" * 8180 + b"\r\n") * 128, POURED_PIECES, b"\r\n", headers=True)
    if where in ("lists", "batch"):
        lists = f'{call}"text":"","more":[{",".join(["[]"] * 2_000_000)}]}}}}}}'
        whole = (lists if where == "lists" else f"[{','.join([ping] * 100_000)}]").encode()
        return Flood(whole, announced=len(whole))
    head, tail, announced = {
        "arguments": (f'{call}"text":"', '"}}}', 0),
        "announced": (f'{call}"text":"', '"}}}', DUMP_BYTES),
        "id": ('{"jsonrpc":"2.0","id":"', '","method":"ping"}', 3 << 30),
        "uri": (read, f'"{meta}}}}}', 2 << 30),
    }[where]
    return Flood(head.encode(), piece, POURED_PIECES, tail.encode(), announced)


SCENARIO = OversizedPayload()
