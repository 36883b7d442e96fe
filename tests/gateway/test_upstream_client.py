"""The HTTP client below the connectors: where it connects, what it refuses, and that nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.bounded import until
from tests.gateway.raw_upstream import Play, RawUpstream, Visit, on_both_loops, raw_upstream

from doorward.errors import UsageError
from doorward.gateway.upstream.address import Address, join, parse
from doorward.gateway.upstream.connection import Carriage
from doorward.gateway.upstream.http_client import HttpClient, checked, request


class Kept(Carriage):
    """Keeps what happens to one request."""

    def __init__(self, address: Address, body: bytes = b"{}") -> None:
        super().__init__(request("POST", address, {}, body))
        self.status = 0
        self.content = b""
        self.finished = False
        self.cause = self.doubt = ""

    def head(self, status: int, _headers: dict[bytes, bytes]) -> None:
        self.status = status

    def body(self, data: bytes) -> None:
        self.content += data

    def unproven(self, why: str) -> None:
        self.doubt = why

    def done(self) -> None:
        self.finished = True

    def failed(self, cause: str) -> None:
        self.cause = cause

    @property
    def over(self) -> bool:
        return self.finished or bool(self.cause)


def saying(*answers: bytes) -> Play:
    """Answers with these bytes, one after the other, the last one from then on."""
    left = list(answers)

    async def play(visit: Visit) -> None:
        await visit.say(left.pop(0) if len(left) > 1 else left[0])

    return play


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def ask(client: HttpClient, upstream: RawUpstream) -> Kept:
    kept = Kept(parse(upstream.url))
    client.start(kept)
    await until(lambda: kept.over)
    return kept


@on_both_loops
async def test_a_connection_that_the_server_closed_is_found_out_before_anything_is_written() -> None:
    async def play(visit: Visit) -> None:
        await visit.say(OK)
        visit.cut()

    async with raw_upstream(play) as upstream:
        client = HttpClient(parse(upstream.url))
        for _ in range(3):
            assert (await ask(client, upstream)).finished
            await until(lambda: not upstream.open)
        assert [seen.connection for seen in upstream.seen] == [1, 2, 3]
        client.close()


@pytest.mark.parametrize(("answers", "rest_s"), [(1, 0.0), (3, 0.6)], ids=["behind its first answer", "after a rest"])
@on_both_loops
async def test_a_connection_that_is_closed_where_servers_do_so_is_found_out_in_the_same_turn(
    answers: int, rest_s: float
) -> None:
    visits: list[Visit] = []

    async def play(visit: Visit) -> None:
        visits.append(visit)
        await visit.say(OK)

    async with raw_upstream(play) as upstream:
        client = HttpClient(parse(upstream.url))
        for _ in range(answers):
            assert (await ask(client, upstream)).finished
        await asyncio.sleep(rest_s)
        with socket.socket(fileno=os.dup(visits[-1].writer.get_extra_info("socket").fileno())) as theirs:
            theirs.shutdown(socket.SHUT_WR)  # at once, before any loop hears of it
        assert (await ask(client, upstream)).finished
        assert [seen.connection for seen in upstream.seen] == [1] * answers + [2]
        client.close()


@on_both_loops
async def test_a_request_that_was_written_is_never_written_again() -> None:
    async def play(visit: Visit) -> None:
        if len(upstream.seen) == 1:
            await visit.say(OK)
        else:
            visit.cut()

    async with raw_upstream(play) as upstream:
        client = HttpClient(parse(upstream.url))
        assert (await ask(client, upstream)).finished
        kept = await ask(client, upstream)
        assert kept.cause == "the connection was closed before the answer was complete"
        await asyncio.sleep(0.05)
        assert [seen.connection for seen in upstream.seen] == [1, 1]
        client.close()


@pytest.mark.parametrize(
    "first",
    [
        OK + OK,
        OK + b"HTTP/1.1 200 OK\r\nContent-Le",
        OK + b"garbage",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["two answers", "an answer and a half", "an answer and noise", "closing", "HTTP 1.0"],
)
@on_both_loops
async def test_after_an_answer_that_did_not_end_cleanly_the_connection_is_not_used_again(first: bytes) -> None:
    async with raw_upstream(saying(first, OK)) as upstream:
        client = HttpClient(parse(upstream.url))
        kept = await ask(client, upstream)
        assert (kept.finished, kept.content) == (True, b"ok")
        kept = await ask(client, upstream)
        assert (kept.finished, kept.content) == (True, b"ok")
        assert [seen.connection for seen in upstream.seen] == [1, 2]
        client.close()


@on_both_loops
async def test_an_answer_sent_ahead_is_not_taken_for_that_of_the_next_request() -> None:
    ahead = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.say(OK)
        if len(upstream.seen) == 1:
            await ahead.wait()
            await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    async with raw_upstream(play) as upstream:
        client = HttpClient(parse(upstream.url))
        await ask(client, upstream)
        ahead.set()
        await until(lambda: not upstream.open)
        assert (await ask(client, upstream)).content == b"ok"
        client.close()


@on_both_loops
async def test_informational_answers_and_answers_that_end_with_the_connection_are_read() -> None:
    play = saying(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)
    async with raw_upstream(play) as upstream:
        client = HttpClient(parse(upstream.url))
        for _ in range(2):
            kept = await ask(client, upstream)
            assert (kept.status, kept.content) == (200, b"ok")
        assert [seen.connection for seen in upstream.seen] == [1, 1]
        client.close()

    async def ends(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        visit.cut()

    async with raw_upstream(ends) as upstream:
        client = HttpClient(parse(upstream.url))
        assert (await ask(client, upstream)).content == b"all of it"
        client.close()


@on_both_loops
async def test_what_waits_for_a_connection_gets_one_in_turn_and_never_more_than_the_limit_are_open() -> None:
    most = 0

    async def play(visit: Visit) -> None:
        nonlocal most
        most = max(most, upstream.open)
        await asyncio.sleep(0)
        await visit.say(OK)

    async with raw_upstream(play) as upstream:
        client = HttpClient(parse(upstream.url), connections=3)
        all_of_them = [Kept(parse(upstream.url)) for _ in range(50)]
        for kept in all_of_them:
            client.start(kept)
        await client.drained()
        await until(lambda: all(kept.finished for kept in all_of_them))
        assert most <= 3
        assert client.queued_bytes == 0
        client.close()


@on_both_loops
async def test_a_server_that_does_not_read_fills_the_queue_and_nothing_else() -> None:
    async def play(visit: Visit) -> None:
        await visit.left()

    async with raw_upstream(play, limit=1024) as upstream:
        address = parse(upstream.url)
        client = HttpClient(address, connections=2)
        for _ in range(4):
            client.start(Kept(address, b"x" * 20_000_000))
        assert client.is_full
        await until(lambda: upstream.open == 2)
        assert client.is_full
        room = asyncio.ensure_future(client.room())
        client.close()
        await asyncio.wait_for(room, 5)


@on_both_loops
async def test_no_connection_is_said_with_its_reason() -> None:
    async with raw_upstream(saying(OK)) as upstream:
        gone = parse(upstream.url)
    client = HttpClient(gone)
    kept = Kept(gone)
    client.start(kept)
    await until(lambda: kept.over)
    assert kept.cause.startswith("no connection: ")
    assert kept.doubt == ""  # nobody was there
    client.close()


@on_both_loops
async def test_a_connection_that_is_refused_by_its_other_end_carries_nothing() -> None:
    seen: list[object] = []

    def verify(transport: asyncio.Transport) -> str | None:
        seen.append(transport.get_extra_info("peername")[1])
        return "it belongs to another user"

    async with raw_upstream(saying(OK)) as upstream:
        client = HttpClient(parse(upstream.url), verify=verify)
        kept = await ask(client, upstream)
        assert (kept.doubt, kept.cause) == ("it belongs to another user", "it belongs to another user")
        assert seen == [upstream.port]
        await until(lambda: not upstream.open)
        assert upstream.seen == []
        client.close()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS context for ``name``, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    try:
        names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        names = x509.DNSName(name)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cafile=str(pem))
    return server, client


@on_both_loops
async def test_tls_is_verified_with_the_name_and_only_then_written_to(tmp_path: Path) -> None:
    serving, trusting = certificate(tmp_path, "127.0.0.1")
    other, trusting_other = certificate(tmp_path, "example.org")
    cases = [
        (serving, trusting, ""),
        (serving, None, "its certificate is not valid: "),
        (other, trusting_other, "its certificate is not valid: IP address mismatch"),
    ]
    for server, client_tls, expected in cases:
        async with raw_upstream(saying(OK), ssl=server) as upstream:
            address = parse(upstream.url.replace("http:", "https:"))
            client = HttpClient(address, tls=client_tls)
            for _ in range(2):
                kept = Kept(address)
                client.start(kept)
                await until(lambda kept=kept: kept.over)  # type: ignore[misc]  # bound for this turn
                assert kept.finished == (not expected)
                assert kept.cause.startswith(expected)
                assert kept.doubt == kept.cause
            assert len(upstream.seen) == (0 if expected else 2)
            assert upstream.connections <= 2 if expected else 1
            client.close()


@on_both_loops
async def test_one_that_speaks_plainly_where_tls_was_meant_is_not_the_server_and_gets_no_request() -> None:
    got = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        got = await reader.read(4096)
        writer.write(OK)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = parse(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp")
        client = HttpClient(address)
        kept = Kept(address, b'{"a secret": 1}')
        client.start(kept)
        await until(lambda: kept.over)
        assert kept.doubt == kept.cause
        assert kept.cause.startswith("TLS with it failed: ")
        assert got.startswith(b"\x16\x03")  # a greeting of TLS, and nothing behind it
        assert b"secret" not in got
        client.close()


@on_both_loops
async def test_a_tls_context_that_does_not_verify_is_refused() -> None:
    careless = ssl.create_default_context()
    careless.check_hostname = False
    with pytest.raises(UsageError, match="verifies"):
        HttpClient(parse("https://example.org/"), tls=careless)


@on_both_loops
async def test_localhost_is_reached_where_it_is_loopback() -> None:
    async with raw_upstream(saying(OK)) as upstream:
        address = parse(upstream.url.replace("127.0.0.1", "localhost"))
        client = HttpClient(address)
        kept = Kept(address)
        client.start(kept)
        await until(lambda: kept.over)
        assert kept.finished
        assert upstream.seen[0].fields["host"] == f"localhost:{upstream.port}"
        client.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/mcp",
        "http://192.168.0.1/",
        "http://127.0.0.1.example.org/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0.0.0.0/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost.example.org/",
        "ftp://127.0.0.1/",
        "//127.0.0.1/",
        "https://user:secret@example.org/",
        "https://@example.org/",
        "https://example.org/#part",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://exa mple.org/",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://münchen.example/",
        "https:///mcp",
        "https://example.org\\@127.0.0.1/",
    ],
)
def test_an_address_that_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        parse(url)


def test_an_address_is_split_into_what_is_connected_to_and_what_is_asked_for() -> None:
    assert parse("https://Example.org") == Address("https", "example.org", 443, "/")
    assert parse("http://[::1]:8080/mcp?x=1").authority == "[::1]:8080"
    assert parse("https://example.org:8443/a").authority == "example.org:8443"


def test_a_reference_is_followed_within_its_origin_only() -> None:
    known = parse("http://127.0.0.1:8080/sse")
    assert join(known, "/messages?id=1") == Address("http", "127.0.0.1", 8080, "/messages?id=1")
    assert join(known, "http://127.0.0.1:8080/m") == Address("http", "127.0.0.1", 8080, "/m")
    for elsewhere in ("http://127.0.0.1:8081/m", "https://127.0.0.1:8080/m", "//evil.example/m", "m", "/a\r\nb: c", ""):
        assert join(known, elsewhere) is None


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nY: b"), ("X\n", "a"), ("X", ""), ("Host", "a"), ("content-Length", "3"), ("X", "ä")]
)
def test_a_field_that_would_change_the_request_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked({"Authorization": "Bearer secret", name: value})
    assert "secret" not in str(refused.value)
    assert checked({"Authorization": "Bearer secret"}) == {"Authorization": "Bearer secret"}
