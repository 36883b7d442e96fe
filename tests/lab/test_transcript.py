"""What a report may repeat of an exchange: the exact messages, without secrets, and never all of a flood."""

from __future__ import annotations

import json

from doorward.content.redaction import Masker
from doorward.lab.transcript import KEPT_BYTES, MOST, SHOWN_CHARACTERS, Message, Told, Transcript, told

CANARY = "kestrelabcdefghijklmnop"
MASKER = Masker(b"k" * 32, (CANARY,))


def shown(*bodies: bytes) -> tuple[Told, ...]:
    transcript = Transcript()
    for body in bodies:
        transcript.received(body)
    return told(transcript.messages, MASKER)


def test_what_holds_nothing_secret_is_exact() -> None:
    body = b'{"jsonrpc":"2.0", "id" : 1,\t"result":{"text":"\xff \\u0041"}}'
    (one,) = shown(body)
    assert (one.text, one.size, one.cut) == (body.decode("utf-8", "replace"), len(body), False)


def test_both_directions_stand_in_their_order() -> None:
    transcript = Transcript()
    transcript.sent(b"ask")
    transcript.received(b"answer")
    assert [(one.sender, one.text) for one in told(transcript.messages, MASKER)] == [
        ("client", "ask"),
        ("server", "answer"),
    ]


def test_credentials_and_planted_values_are_hidden_wherever_they_stand() -> None:
    token = "ghp_" + "a1B2" * 9
    spelt = "".join(f"\\u{ord(letter):04x}" for letter in CANARY)
    bodies = [
        json.dumps({"result": {"text": f"it is {CANARY}", "password": "swordfish and chips"}}).encode(),
        b'{"text": "' + spelt.encode() + b'"}',
        f'{{"password": "swordfish", "password": ""}} {token}'.encode(),
        b'{"password": "swordfish", "password": ""}',
        f"no JSON: {CANARY}".encode(),
    ]
    for one in shown(*bodies):
        assert CANARY not in one.text
        assert "swordfish" not in one.text
        assert token not in one.text
        assert spelt not in one.text
        assert "\u2039hidden:" in one.text


def test_what_arrived_masked_does_not_look_like_what_the_report_hides() -> None:
    arrived = "\u2039masked:token:0123456789\u203a"
    for ascii_only in (True, False):
        body = json.dumps({"first": arrived, "then": CANARY}, ensure_ascii=ascii_only).encode()
        (one,) = shown(body)
        assert json.loads(one.text)["first"] == arrived
        assert json.loads(one.text)["then"].startswith("\u2039hidden:known:")


def test_a_long_message_is_its_beginning_and_no_half_of_a_secret_stands_at_the_cut() -> None:
    for before in range(SHOWN_CHARACTERS - len(CANARY), SHOWN_CHARACTERS):
        (one,) = shown(b"." * before + CANARY.encode() + b" end")
        assert one.cut
        assert len(one.text) == SHOWN_CHARACTERS
        assert "kestrel" not in one.text
    (huge,) = shown(b"x" * (KEPT_BYTES + 1))
    assert (huge.size, huge.cut) == (KEPT_BYTES + 1, True)


def test_of_many_messages_the_first_and_the_last_are_told_and_the_others_counted() -> None:
    many = shown(*(str(number).encode() for number in range(100)))
    assert [one.text for one in many] == [*"01234567", "96", "97", "98", "99"]
    assert [one.omitted for one in many] == [0] * 8 + [88, 0, 0, 0]
    assert sum(one.omitted for one in shown(*(b"x",) * 12)) == 0


def test_a_flood_is_kept_in_bounds() -> None:
    transcript = Transcript()
    transcript.sent(b"x" * KEPT_BYTES * 2, 10**12)
    assert transcript.messages == [Message(True, b"x" * KEPT_BYTES, 10**12)]
    for _ in range(MOST + 10):
        transcript.received(b"y")
    assert len(transcript.messages) == MOST


def test_nesting_that_no_parser_takes_is_told_as_text() -> None:
    (one,) = shown(b"[" * 10_000)
    assert one.text == "[" * SHOWN_CHARACTERS
