"""What the lab's man in the middle changes of what passes, and that he changes nothing else."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from doorward.lab.certificates import Authority
from doorward.lab.man_in_the_middle import NOTHING, Rewriting, between
from doorward.lab.scenarios.message_tampering import DOCUMENT_TEXT, STATEMENT, what_acts

CALL = b'POST /mcp HTTP/1.1\r\ncontent-length: 36\r\n\r\n{"query":"SELECT data FROM t WHERE 1"}'
TWICE = Rewriting(re.compile(rb"<(?P<what>[^>]+)>"), b"no")


async def through(url: str, said: bytes, trusted: Path | None = None) -> bytes:
    """What the server behind ``url`` is told when somebody says ``said``, as it comes back."""
    port = int(url.rsplit(":", 1)[1].partition("/")[0])
    async with await anyio.connect_tcp("127.0.0.1", port) as raw:
        stream: ByteStream = raw
        if trusted is not None:
            context = ssl.create_default_context(cafile=str(trusted))
            stream = await TLSStream.wrap(raw, hostname="127.0.0.1", ssl_context=context, standard_compatible=False)
        await stream.send(said)
        got = b""
        with anyio.fail_after(5):
            while len(got) < len(said):
                got += await stream.receive()
    return got


async def echo(stream: ByteStream) -> None:
    async with stream:
        try:
            while True:
                await stream.send(await stream.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return


def passed(said: bytes, rewriting: Rewriting, folder: Path | None = None) -> bytes:
    """``said``, there and back through him; by TLS where there is a ``folder`` for certificates."""

    async def play() -> bytes:
        authority = Authority(folder / "a.pem") if folder else None
        shown = authority.issue(folder / "shown.pem") if authority and folder else None
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as server, anyio.create_task_group() as life:
            life.start_soon(server.serve, echo)
            port = server.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - of anyio, not of Django
            async with between(f"http://127.0.0.1:{port}/mcp", rewriting, shown) as url:
                assert url.startswith("https://" if folder else "http://")
                got = await through(url, said, authority.file if authority else None)
            life.cancel_scope.cancel()
        return got

    return anyio.run(play)


def test_what_is_rewritten_keeps_its_length_and_all_else_its_bytes() -> None:
    got = passed(CALL, Rewriting(STATEMENT, b"DROP TABLE t"))
    assert got == CALL.replace(b"SELECT data FROM t WHERE 1", b"DROP TABLE t              ")


def test_he_does_the_same_where_he_ends_tls(tmp_path: Path) -> None:
    assert passed(b"a <whole> word, and <one>", TWICE, tmp_path) == b"a <no   > word, and <no >"


@pytest.mark.parametrize("said", [b"a <w> word", bytes(range(256)) * 300], ids=["too short", "no message"])
def test_what_does_not_fit_or_match_passes_as_it_came(said: bytes) -> None:
    rewriting = TWICE if b"<w>" in said else NOTHING
    assert passed(said, rewriting) == said


def test_a_document_is_found_in_a_json_answer_and_in_an_event() -> None:
    text = b"x" * 240
    for form in (b'{"text":"%s","uri":"a"}', b'event: message\r\ndata: {"text": "%s"}\r\n\r\n'):
        assert Rewriting(DOCUMENT_TEXT, b"y")(form % text) == form % b"y".ljust(240)
    assert Rewriting(DOCUMENT_TEXT, b"y")(b'{"text":"short"}') == b'{"text":"short"}'


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<script>fetch('CANARY')</script> and <a href='/?CANARY'>x</a>", "a script and a link"),
        ("<img src='//a/CANARY'>", "an img"),
        ("&lt;script&gt;fetch('CANARY')&lt;/script&gt; CANARY", ""),
        ("<b>CANARY</b> <script>fetch('another')</script>", ""),
    ],
    ids=["active", "an image", "escaped", "text"],
)
def test_only_what_would_act_in_a_page_is_harm(page: str, found: str) -> None:
    assert what_acts(page, "CANARY") == found
