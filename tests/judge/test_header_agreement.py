"""The headers of a modern HTTP request against its body: which of two things that are wrong is told to the client."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import LIMITS, MODERN, Dialogue, Tree, Turn, ready

from doorward.protocol.versions import META_VERSION
from doorward.relay.commands import Arrived
from doorward.wire.jsonrpc import decode

UNKNOWN = "2099-01-01"


def posted(talk: Dialogue, message: Tree, **headers: str) -> Turn:
    told = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    facts = msgspec.structs.replace(talk.facts(), headers=told)
    return talk.event(Arrived(decode(msgspec.json.encode(message), LIMITS), "client", 0, facts))


def call(talk: Dialogue, version: str | None) -> Tree:
    message = talk.call(7)
    envelope: dict[str, Any] = message["params"]["_meta"]
    if version is None:
        del envelope[META_VERSION]
    else:
        envelope[META_VERSION] = version
    return message


@pytest.mark.parametrize(
    ("header", "body", "code"),
    [
        (MODERN, UNKNOWN, -32020),  # they differ, whatever either of them is
        (UNKNOWN, MODERN, -32020),
        (UNKNOWN, UNKNOWN, -32022),  # they agree on one that is not spoken
        (MODERN, None, -32602),  # there is no envelope to compare with
    ],
)
def test_a_version_is_compared_before_it_is_judged(header: str, body: str | None, code: int) -> None:
    talk = ready("modern")
    turn = posted(talk, call(talk, body), mcp_protocol_version=header, mcp_method="tools/call", mcp_name="read")
    assert turn.only("client")["error"]["code"] == code
    assert turn.told("server") == []


def test_what_agrees_passes() -> None:
    talk = ready("modern")
    turn = posted(talk, call(talk, MODERN), mcp_protocol_version=MODERN, mcp_method="tools/call", mcp_name="read")
    assert turn.told("server")
