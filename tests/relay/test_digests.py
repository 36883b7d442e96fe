"""Hop by hop and end to end; what is shown is what is sent (architecture §4)."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from tests.relay.dialogue import Era, Tree, asks, bring, eras, only_legacy, ready

from doorward.protocol import versions
from doorward.relay.consent import end_to_end
from doorward.wire.jsonrpc import FrameLimits, decode

HOPS: Tree = {
    "progressToken": 7,
    versions.META_SUBSCRIPTION: "sub",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "a=b",
    "baggage": "c=d",
}


@eras()
@pytest.mark.parametrize("name", HOPS)
def test_what_changes_from_hop_to_hop_is_neither_shown_nor_digested(era: Era, name: str) -> None:
    plain, _ = bring(era, "SENT")
    bare = plain.client(plain.call(2, "wipe")).ticket
    talk = ready(era, attached=True)
    ticket = talk.client(talk.call("another id", "wipe", meta={name: HOPS[name]})).ticket
    assert ticket.action_digest == bare.action_digest
    assert ticket.shown == bare.shown
    assert name.encode() not in ticket.shown


@eras()
@pytest.mark.parametrize(
    "change", [{"arguments": {"all": True}}, {"name": "read"}, {"_meta": {"com.example/key": 1}}, {"extra": 1}]
)
def test_everything_else_is_digested(era: Era, change: Tree) -> None:
    talk = ready(era, attached=True)
    one, other = talk.call(1, "wipe"), talk.call(1, "wipe")
    other["params"] = {**other["params"], **change}
    digests = {end_to_end(decode(msgspec.json.encode(tree), FrameLimits()).message) for tree in (one, other)}
    assert len(digests) == 2


@eras()
def test_what_is_released_is_byte_for_byte_what_was_shown(era: Era) -> None:
    talk, held = bring(era, "HELD")
    (body,) = talk.person(held.ticket).bytes_to("server")
    sent = msgspec.json.decode(body)
    assert held.ticket.shown == b'{"method":"tools/call","params":' + msgspec.json.encode(sent["params"]) + b"}"
    assert msgspec.json.encode(sent["params"]) in body


@only_legacy
@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list"])
def test_what_a_legacy_server_asks_is_shown_as_the_client_gets_it(era: Era, method: str) -> None:
    talk = ready(era, attached=True)
    ticket = asks(talk, method, params={"b": 1, "a": [{"z": "✓"}]}).ticket
    (body,) = talk.person(ticket).bytes_to("client")
    shown = ticket.shown.removeprefix(b'{"method":"%s",' % method.encode())
    assert body.endswith(shown)


@eras()
def test_hop_by_hop_members_still_reach_the_server(era: Era) -> None:
    talk, held = bring(era, "HELD", meta=HOPS)
    assert talk.person(held.ticket).only("server")["params"]["_meta"].items() >= HOPS.items()


@eras()
def test_the_digests_are_those_of_the_plan(era: Era) -> None:
    _, held = bring(era, "HELD")
    ticket = held.ticket
    action = hashlib.sha256(b"doorward action v1\0" + ticket.shown).digest()
    assert ticket.action_digest == action.hex()
    nonce = bytes.fromhex(ticket.nonce)
    assert ticket.digest == hashlib.sha256(b"doorward ticket v1\0" + nonce + action).hexdigest()


@eras()
def test_what_is_sent_on_is_our_encoding_and_not_the_received_bytes(era: Era) -> None:
    talk = ready(era)
    line = msgspec.json.encode(talk.call(1)).replace(b":", b" : ").replace(b'"read"', b'"r\\u0065ad"')
    (body,) = talk.client(line).bytes_to("server")
    assert b" : " not in body
    assert b'"read"' in body


@eras()
def test_the_trace_context_is_recorded(era: Era) -> None:
    talk = ready(era)
    turn = talk.client(talk.call(1, meta={"traceparent": HOPS["traceparent"]}))
    assert turn.record.entry.trace == HOPS["traceparent"]
