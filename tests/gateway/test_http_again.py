"""A head that comes again is read once, and what differs from it in any way is read as if it were the first."""

from __future__ import annotations

import msgspec
import pytest

from doorward.gateway.http.again import MAX_KNOWN, MAX_KNOWN_BYTES, Heads
from doorward.gateway.http.head import Head, Refused, read_head
from doorward.gateway.http.limits import HttpLimits

PEER, LOCAL, LIMITS = ("127.0.0.1", 5), ("127.0.0.1", 80), HttpLimits()
BEFORE = b"POST /mcp HTTP/1.1\r\nHost: a:80\r\nAccept: text/event-stream\r\n"
SOUND = BEFORE + b"Content-Length: 17\r\nMcp-Session-Id: s\r\n\r\n"


def heads() -> Heads:
    return Heads(PEER, LOCAL, LIMITS)


def read(known: Heads, head: bytes) -> tuple[Head, int]:
    found = known.read(head)
    assert not isinstance(found, Refused)
    return found


def shown(found: tuple[Head, int] | Refused) -> object:
    return found if isinstance(found, Refused) else (msgspec.structs.asdict(found[0]), found[1])


def test_a_head_that_comes_again_is_the_same_whatever_body_it_announces() -> None:
    known = heads()
    first, body = read(known, SOUND)
    again, longer = read(known, SOUND.replace(b"17", b"000123456"))
    assert again is first
    assert (body, longer) == (17, 123456)


def test_whatever_is_sent_behind_a_sound_head_is_read_as_if_it_came_first() -> None:
    known = heads()
    read(known, SOUND)
    for position in range(len(SOUND)):
        for piece in (b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"9", b"a", b"\r\nContent-Length: 3", b"\xe9"):
            for end in (position, position + 1):
                sent = SOUND[:position] + piece + SOUND[end:]
                assert shown(known.read(sent)) == shown(read_head(sent, PEER, LOCAL, LIMITS))


@pytest.mark.parametrize(
    ("length", "status"),
    [(b"4194305", 413), (b"9" * 18, 413), (b"9" * 19, 400), (b"+5", 400), (b"5, 5", 400), (b"", 400), (b"0x5", 400)],
)
def test_a_length_that_is_refused_is_refused_behind_a_head_that_was_served(length: bytes, status: int) -> None:
    known = heads()
    read(known, SOUND)
    refused = known.read(SOUND.replace(b"17", length))
    assert isinstance(refused, Refused)
    assert refused.status == status
    assert refused == heads().read(SOUND.replace(b"17", length))


def test_a_refused_head_is_refused_each_time() -> None:
    known = heads()
    for _ in range(2):
        assert isinstance(known.read(SOUND.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")), Refused)


def test_only_a_few_small_heads_are_remembered() -> None:
    known = heads()
    first, _ = read(known, SOUND)
    for number in range(MAX_KNOWN):
        read(known, SOUND.replace(b"Id: s", b"Id: s%d" % number))
    assert read(known, SOUND)[0] is not first
    long = SOUND.replace(b"Id: s", b"Id: " + b"s" * MAX_KNOWN_BYTES)
    assert read(known, long)[0] is not read(known, long)[0]
