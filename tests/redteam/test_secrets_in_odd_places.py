"""A secret where no control expected one: as a method, an id, a name, in evidence, over several lines."""

from __future__ import annotations

import sys
from typing import Any, Final

import msgspec
import pytest
from tests.gateway.wrapping import World
from tests.relay.dialogue import LIMITS, Dialogue, Era, eras, greet, notification, ready, with_tool

from doorward.content.arguments import Constraint
from doorward.content.credentials import leaves_key_open
from doorward.policy.load import load
from doorward.policy.model import ToolPolicy
from doorward.relay.commands import Arrived, NotRecorded, Record, Send
from doorward.wire.jsonrpc import decode

SECRET: Final = "ghp_" + "a1B2" * 9


def entries(talk: Any) -> str:
    return str([record.entry for record in talk.archive])


@eras()
@pytest.mark.parametrize("where", ["method", "id", "name", "trace", "token"])
def test_a_credential_is_masked_in_every_field_of_an_entry(era: Era, where: str) -> None:
    talk = ready(era)
    request = talk.call(SECRET if where == "id" else 1)
    if where in ("method", "id"):
        request["method"] = f"token={SECRET}" if where == "method" else "unknown/method"
    if where == "name":
        request["params"]["arguments"] = {SECRET: "x" * (1 << 20) + "y", "text": "x"}
    if where in ("trace", "token"):
        request["params"].setdefault("_meta", {})["traceparent" if where == "trace" else "progressToken"] = SECRET
    talk.client(request)
    assert SECRET not in entries(talk)


def test_a_request_with_a_secret_for_an_id_is_still_taken_back_when_it_cannot_be_recorded() -> None:
    talk = ready("legacy")
    facts = talk.facts()
    frame = decode(msgspec.json.encode(talk.call(SECRET)), LIMITS)
    unit = talk.relay.handle(Arrived(frame, "client", 0, facts), talk.now)
    assert talk.opened("client", f'"{SECRET}"') is not None
    records = tuple(command for command in unit if isinstance(command, Record))
    (told,) = talk.relay.handle(NotRecorded(records, "the disk is full"), talk.now)
    assert isinstance(told, Send)
    assert talk.opened("client", f'"{SECRET}"') is None


@eras()
def test_evidence_does_not_show_what_stands_under_a_sensitive_name(era: Era) -> None:
    tool = ToolPolicy(arguments={"password": (Constraint("no_shell_metacharacters"),)})
    login = {"name": "login", "inputSchema": {"type": "object", "properties": {"password": {"type": "string"}}}}
    talk = ready(era, tools=[login], policy=with_tool(load(None), "login", tool))
    turn = talk.client(talk.call(1, "login", {"password": "hunter2;x"}))
    assert "argument-constraints" in turn.controls
    assert "hunter2" not in entries(talk)


KEY: Final = (
    "-----BEGIN PRIVATE KEY-----",
    "MIIEvQIBADANBgkqhkiG9w0BAQEF",
    "VJTUt9Us8cKjMzEfYyjiWA4R4",
    "-----END PRIVATE KEY-----",
)
PRINTS_A_KEY: Final = f"""
import sys
for line in {("loaded", *KEY, "ready")!r}:
    print(line, file=sys.stderr, flush=True)
sys.stdin.read()
"""


def test_a_private_key_over_several_lines_of_stderr_is_not_shown(world: World) -> None:
    wrapped = world.wrap((sys.executable, "-I", "-S", "-c", PRINTS_A_KEY))
    wrapped.end()
    assert "loaded" in wrapped.stderr
    assert "ready" in wrapped.stderr
    assert "masked:private-key" in wrapped.stderr
    assert not any(line in wrapped.stderr for line in KEY[1:3])


def test_where_a_private_key_ends_is_seen_line_by_line() -> None:
    open_after = []
    still = False
    for line in ("before", *KEY, "after", f"{KEY[0]}abc{KEY[3]}"):
        still = leaves_key_open(line, open_before=still)
        open_after.append(still)
    assert open_after == [False, True, True, True, False, False, False]


@eras()
def test_evidence_is_masked_before_it_is_cut(era: Era) -> None:
    """A credential that the cut would halve has no shape any more."""
    name = "k" * 580 + " " + SECRET
    talk = greet(Dialogue(era), client={"experimental": {}, name: {}}) if era == "legacy" else ready(era)
    if era == "modern":
        talk.client(talk.call(7, capabilities={name: {}}))
    assert "kkkk" in entries(talk)
    assert SECRET[:12] not in entries(talk)


@eras()
def test_the_archive_keeps_no_large_body_of_what_was_refused(era: Era) -> None:
    talk = ready(era)
    turn = talk.client(talk.call(1, "read", {"text": 1, "more": "x" * 100_000}))
    assert turn.record.entry.kind == "refusal"
    assert turn.record.body == b""
    assert turn.record.entry.body_size > 100_000


@pytest.mark.parametrize("method", ["notifications/message", "notifications/tasks/status"])
def test_every_text_of_a_servers_notification_is_masked(method: str) -> None:
    talk = ready("legacy")
    talk.relay.state.began("t", "read")
    told = {"level": "error", "data": "x", "taskId": "t", "status": "working", "statusMessage": f"used {SECRET}"}
    turn = talk.server(notification(method, **told))
    assert len(turn.told("client")) == 1
    assert SECRET not in str(turn.told("client"))


@eras()
def test_a_credential_for_an_id_is_masked_when_its_request_is_cancelled_as_well(era: Era) -> None:
    talk = ready(era)
    told = []
    for message in (talk.call(SECRET), talk.cancel(SECRET)):  # not through the driver, which looks for records by id
        frame = decode(msgspec.json.encode(message), LIMITS)
        told += talk.relay.handle(Arrived(frame, "client", 0, talk.facts()), talk.now)
    records = [command for command in told if isinstance(command, Record)]
    assert [record.entry.outcome for record in records] == ["", "cancelled"]
    assert SECRET not in str([record.entry for record in records])
