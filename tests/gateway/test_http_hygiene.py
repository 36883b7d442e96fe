"""What is no request of exactly one meaning is refused, named to the operator, and never repeated to anybody."""

from __future__ import annotations

import pytest
from tests.gateway.http_peer import Notebook, chunked, house, on_both_loops, post

MARK = b"ECHO7"
GET = b"GET /ECHO7 HTTP/1.1\r\n"
HOST = b"Host: here\r\n"
BODY = b"POST /ECHO7 HTTP/1.1\r\nHost: here\r\n"
CHUNKED = BODY + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "no Host": (GET + b"\r\n", 400, "host"),
    "no Host in HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n", 400, "host"),
    "an empty Host": (GET + b"Host:  \r\n\r\n", 400, "host"),
    "two Hosts": (GET + HOST + b"host: ECHO7\r\n\r\n", 400, "repeated-header"),
    "two equal Hosts": (GET + HOST + HOST + b"\r\n", 400, "repeated-header"),
    "two Origins": (GET + HOST + b"Origin: http://a\r\nOrigin: http://b\r\n\r\n", 400, "repeated-header"),
    "two Authorizations": (GET + HOST + b"Authorization: a\r\nAuthorization: b\r\n\r\n", 400, "repeated-header"),
    "a header that the application knows once": (
        GET + HOST + b"X-Once: 1\r\nx-once: 1\r\n\r\n",
        400,
        "repeated-header",
    ),
    "Content-Length and chunked": (
        BODY + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "head-syntax",
    ),
    "chunked and Content-Length": (
        BODY + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
        "head-syntax",
    ),
    "two different lengths": (BODY + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\naa", 400, "head-syntax"),
    "two equal lengths": (BODY + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, "head-syntax"),
    "a list of lengths": (BODY + b"Content-Length: 1, 1\r\n\r\na", 400, "head-syntax"),
    "a signed length": (BODY + b"Content-Length: +1\r\n\r\na", 400, "head-syntax"),
    "a negative length": (BODY + b"Content-Length: -1\r\n\r\na", 400, "head-syntax"),
    "a hexadecimal length": (BODY + b"Content-Length: 0x1\r\n\r\na", 400, "head-syntax"),
    "an empty length": (BODY + b"Content-Length:\r\n\r\n", 400, "head-syntax"),
    "an endless length": (BODY + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400, "head-syntax"),
    "a length of nineteen digits": (BODY + b"Content-Length: " + b"1" * 19 + b"\r\n\r\n", 400, "framing"),
    "a length above the limit": (BODY + b"Content-Length: 4194305\r\n\r\n", 413, "body-bytes"),
    "an unknown transfer coding": (BODY + b"Transfer-Encoding: xchunked\r\n\r\n", 400, "head-syntax"),
    "chunked twice": (BODY + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "head-syntax"),
    "gzip and chunked": (BODY + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "transfer-encoding"),
    "chunked and identity": (BODY + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, "head-syntax"),
    "chunked in HTTP/1.0": (
        b"POST / HTTP/1.0\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "framing",
    ),
    "no chunk size": (CHUNKED + b"\r\nECHO7\r\n0\r\n\r\n", 400, "chunk-size"),
    "a chunk size that is no number": (CHUNKED + b"ECHO7\r\n", 400, "chunk-size"),
    "a signed chunk size": (CHUNKED + b"-1\r\n", 400, "chunk-size"),
    "a prefixed chunk size": (CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", 400, "chunk-size"),
    "a chunk size with a space": (CHUNKED + b"1 \r\na\r\n0\r\n\r\n", 400, "chunk-size"),
    "an endless chunk size": (CHUNKED + b"0" * 2000, 400, "chunk-framing"),
    "a chunk size beyond 32 bits": (CHUNKED + b"100000000\r\n", 400, "chunk-size"),
    "a chunk size that ends with LF": (CHUNKED + b"1\na\r\n0\r\n\r\n", 400, "line-end"),
    "a chunk that is longer than it says": (CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400, "chunk-end"),
    "a chunk that ends with LF": (CHUNKED + b"1\r\na\n0\r\n\r\n", 400, "chunk-end"),
    "an endless chunk extension": (CHUNKED + b"1;" + b"a" * 2000, 400, "chunk-framing"),
    "a control character in a chunk extension": (CHUNKED + b"1;\x01\r\na\r\n", 400, "chunk-size"),
    "one byte in each chunk": (CHUNKED + b"1\r\na\r\n" * 20_000, 400, "chunk-framing"),
    "a trailer that is no header": (CHUNKED + b"0\r\nECHO7\r\n\r\n", 400, "trailer"),
    "endless trailers": (CHUNKED + b"0\r\n" + b"a: b\r\n" * 20_000, 400, "chunk-framing"),
    "LF alone": (b"GET /ECHO7 HTTP/1.1\nHost: here\n\n", 400, "line-end"),
    "LF alone in one line": (GET + b"Host: here\nX: ECHO7\r\n\r\n", 400, "line-end"),
    "CR alone": (GET + b"Host: here\rX: ECHO7\r\n\r\n", 400, "line-end"),
    "CR alone at the end of a value": (GET + b"Host: here\r\r\n\r\n", 400, "line-end"),
    "a folded line": (GET + HOST + b"X: a\r\n ECHO7\r\n\r\n", 400, "folded-line"),
    "a folded line with a tab": (GET + HOST + b"X: a\r\n\tECHO7\r\n\r\n", 400, "folded-line"),
    "a folded first line": (GET + b" " + HOST + b"\r\n", 400, "folded-line"),
    "a space before the colon": (GET + HOST + b"ECHO7 : a\r\n\r\n", 400, "head-syntax"),
    "a tab before the colon": (GET + HOST + b"ECHO7\t: a\r\n\r\n", 400, "head-syntax"),
    "a space before the length's colon": (BODY + b"Content-Length : 5\r\n\r\naaaaa", 400, "head-syntax"),
    "a header without a colon": (GET + HOST + b"ECHO7\r\n\r\n", 400, "head-syntax"),
    "a header without a name": (GET + HOST + b": ECHO7\r\n\r\n", 400, "head-syntax"),
    "a header name beyond ASCII": (GET + HOST + b"ECHO7\xe9: a\r\n\r\n", 400, "head-syntax"),
    "NUL in a value": (GET + HOST + b"X: ECHO7\x00\r\n\r\n", 400, "control-character"),
    "ESC in a value": (GET + HOST + b"X: \x1b[2J\r\n\r\n", 400, "control-character"),
    "DEL in a value": (GET + HOST + b"X: \x7f\r\n\r\n", 400, "control-character"),
    "NUL in the target": (b"GET /\x00ECHO7 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "control-character"),
    "a space in the target": (b"GET /a ECHO7 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request-line"),
    "a target beyond ASCII": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request-line"),
    "a fragment in the target": (b"GET /a#ECHO7 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "target-form"),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request-line"),
    "a tab in the request line": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request-line"),
    "white space after the version": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400, "request-line"),
    "an empty line first": (b"\r\n" + GET + HOST + b"\r\n", 400, "request-line"),
    "a method that is no token": (b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request-line"),
    "an unknown method": (b"ECHO7 / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "method"),
    "a method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "method"),
    "HTTP/0.9": (b"GET /ECHO7\r\n\r\n", 400, "request-line"),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505, "version"),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, "version"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
    "a version in lower case": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400, "request-line"),
    "RTSP": (b"OPTIONS / RTSP/1.0\r\n" + HOST + b"\r\n", 400, "request-line"),
    "a ClientHello of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "control-character"),
    "absolute-form": (b"GET http://here/ECHO7 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "target-form"),
    "authority-form": (b"GET here:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "target-form"),
    "asterisk-form": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400, "target-form"),
    "CONNECT": (b"CONNECT here:80 HTTP/1.1\r\n" + HOST + b"\r\n", 501, "method"),
    "an upgrade to WebSocket": (GET + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 501, "upgrade"),
    "another expectation": (BODY + b"Content-Length: 5\r\nExpect: ECHO7\r\n\r\n", 417, "expect"),
    "a compressed body": (BODY + b"Content-Length: 5\r\nContent-Encoding: gzip\r\n\r\naaaaa", 415, "content-encoding"),
    "a body compressed in two ways": (
        BODY + b"Content-Length: 5\r\nContent-Encoding: identity, gzip\r\n\r\naaaaa",
        415,
        "content-encoding",
    ),
    "too many headers": (GET + HOST + b"a: b\r\n" * 100 + b"\r\n", 431, "headers-count"),
    "too long headers": (GET + HOST + b"a: " + b"b" * 33_000 + b"\r\n\r\n", 431, "headers-bytes"),
    "endless headers": (GET + HOST + b"a: bbbbbbb\r\n" * 3_000, 431, "headers-bytes"),
    "a too long target": (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "target-bytes"),
    "an endless target": (b"GET /" + b"a" * 9_000, 414, "target-bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
@on_both_loops
async def test_what_has_more_than_one_meaning_or_none_is_refused(case: str) -> None:
    sent, status, rule = REFUSED[case]
    app = Notebook()
    async with house(app, single=frozenset({"x-once"})) as here:
        client = await here.client()
        await client.send(sent)
        got, headers, body = await client.answer()
        assert (got, app.findings) == (status, [rule])
        assert headers["connection"] == "close"
        assert headers["x-content-type-options"] == "nosniff"
        assert MARK.lower() not in body.lower() + str(headers).encode()
        assert await client.is_closed()
        assert app.bodies == []


@pytest.mark.parametrize("case", [case for case, (sent, _, _) in REFUSED.items() if len(sent) < 120])
@on_both_loops
async def test_a_refusal_is_the_same_when_the_bytes_come_one_by_one(case: str) -> None:
    sent, status, rule = REFUSED[case]
    app = Notebook()
    async with house(app, single=frozenset({"x-once"})) as here:
        client = await here.client()
        for position in range(len(sent)):
            await client.send(sent[position : position + 1])
            if app.findings:
                break
        got, _, _ = await client.answer()
        assert (got, app.findings) == (status, [rule])
        assert app.bodies == []


SERVED: dict[str, tuple[bytes, bytes]] = {
    "a body of a known length": (post(b"abc"), b"abc"),
    "an empty body": (post(b""), b""),
    "chunks": (chunked(b"a", b"bc" * 40, b"d"), b"a" + b"bc" * 40 + b"d"),
    "no chunks": (chunked(), b""),
    "a chunk extension": (CHUNKED + b'1;a=b;c="d"\r\na\r\n0\r\n\r\n', b"a"),
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\nHost: other\r\nContent-Length: 9\r\n\r\n", b"a"),
    "leading zeros": (CHUNKED + b"0001\r\na\r\n0000\r\n\r\n", b"a"),
    "a wish to change to h2c": (
        post(b"abc", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        b"abc",
    ),
    "a body that is not compressed": (post(b"abc", b"Content-Encoding: identity"), b"abc"),
    "trailers that are not wanted": (post(b"abc", b"TE: trailers"), b"abc"),
    "a value beyond ASCII": (post(b"abc", b"User-Agent: caf\xe9"), b"abc"),
}


@pytest.mark.parametrize("case", SERVED)
@on_both_loops
async def test_what_has_one_meaning_is_served_and_the_next_request_too(case: str) -> None:
    sent, body = SERVED[case]
    async with house() as here:
        client = await here.client()
        await client.send(sent + post(b"next"))
        assert (await client.answer())[::2] == (200, body)
        assert (await client.answer())[::2] == (200, b"next")
        assert here.app.findings == []


@on_both_loops
async def test_a_request_whose_bytes_come_one_by_one_is_served() -> None:
    async with house() as here:
        client = await here.client()
        for sent, body in SERVED.values():
            for position in range(len(sent)):
                await client.send(sent[position : position + 1])
            assert (await client.answer())[::2] == (200, body)


@on_both_loops
async def test_a_head_is_given_as_it_came_with_both_ends_of_the_connection() -> None:
    async with house() as here:
        client = await here.client()
        await client.send(
            post(b"", b"X-A: 1 ", b"x-a:2", b"X-B: caf\xe9", b"Origin: http://a", path=b"/%2e%2e/a//b?c=%20&d?e")
        )
        await client.answer()
        (call,) = here.app.admitted
        head = call.head
        assert (head.method, head.path, head.query) == ("POST", "/%2e%2e/a//b", "c=%20&d?e")
        assert head.peer == client.writer.get_extra_info("sockname")
        assert head.local == here.server.address
        assert (head.get("x-A"), head.all("X-a")) == (None, ("1", "2"))
        assert (head.get("x-b"), head.all("X-B")) == ("caf\xe9", ("caf\xe9",))
        assert (head.get("origin"), head.get("absent"), head.all("absent")) == ("http://a", None, ())
