"""A standing approval of the policy, in dialogues: what a server asks passes unasked and recorded, until it ends."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import (
    ASKABLE,
    START_US,
    Dialogue,
    Era,
    Tree,
    Turn,
    asks,
    eras,
    failure,
    greet,
    only_legacy,
    only_modern,
    ready,
    requires,
)

from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, StandingApproval, sealed

METHODS = {"sampling": "sampling/createMessage", "elicitation": "elicitation/create", "roots": "roots/list"}
HOUR_US = 3_600_000_000
UNTIL = "2026-11-22T10:10:00Z"


def approving(*names: str, server: str = "", until_us: int = START_US + HOUR_US) -> Policy:
    """The standard policy with one standing approval: of every server, or of ``server``."""
    standing = (StandingApproval(names, "1h", until_us),)
    policy = load(None)
    if server:
        return sealed(msgspec.structs.replace(policy, servers={server: ServerPolicy(server, standing=standing)}))
    return sealed(msgspec.structs.replace(policy, standing=standing))


def asked(era: Era, method: str, policy: Policy, *, attached: bool = False, later: float = 0) -> tuple[Dialogue, Turn]:
    """A server asks one thing, as its era does it, ``later`` seconds after the start."""
    talk = ready(era, policy=policy, attached=attached)
    talk.client(talk.call(1))
    talk.now += round(later * 1_000_000)
    return talk, asks(talk, method) if era == "legacy" else talk.server(requires(1, a=method))


@eras()
@pytest.mark.parametrize("name", list(METHODS))
def test_what_is_approved_passes_without_a_person_and_is_recorded_as_such(era: Era, name: str) -> None:
    _, turn = asked(era, METHODS[name], approving(name))
    assert turn.tickets == []
    passed = turn.only("client")
    assert METHODS[name] == (passed["method"] if era == "legacy" else passed["result"]["inputRequests"]["a"]["method"])
    (note,) = turn.written[-1].entry.findings
    assert (note.control, note.effect) == ("input-consent", "NOTE")
    assert (note.reason, note.evidence) == (f"a standing approval of the policy, until {UNTIL}", METHODS[name])


@eras()
@pytest.mark.parametrize("server", ["notes", "*"])
def test_an_approval_for_this_server_or_for_every_server_counts(era: Era, server: str) -> None:
    _, turn = asked(era, METHODS["roots"], approving("roots", server=server))
    assert turn.told("client")


@eras()
def test_an_approval_for_another_server_does_not_count(era: Era) -> None:
    _, turn = asked(era, METHODS["roots"], approving("roots", server="notes-admin"), attached=True)
    assert turn.silent
    assert turn.ticket.shown


@eras()
@pytest.mark.parametrize("name", list(METHODS))
def test_what_is_not_named_is_asked_as_ever(era: Era, name: str) -> None:
    others = [other for other in METHODS if other != name]
    _, turn = asked(era, METHODS[name], approving(*others), attached=True)
    assert turn.silent
    assert turn.ticket.shown


@eras()
def test_an_approval_ends_at_its_instant(era: Era) -> None:
    _, last = asked(era, METHODS["sampling"], approving("sampling"), attached=True, later=3600 - 1e-6)
    assert last.told("client")
    _, late = asked(era, METHODS["sampling"], approving("sampling"), attached=True, later=3600)
    assert late.silent
    assert late.ticket.reasons == ("a completion by your model is asked for",)


@eras()
def test_an_approval_that_ended_refuses_where_nobody_can_be_asked(era: Era) -> None:
    _, turn = asked(era, METHODS["sampling"], approving("sampling", until_us=START_US), attached=False)
    assert not any("method" in tree or "inputRequests" in tree.get("result", {}) for tree in turn.told("client"))
    assert turn.records("refusal") or any(record.entry.decision == "DENY" for record in turn.written)


@eras()
def test_an_approval_does_not_reach_what_the_client_did_not_declare(era: Era) -> None:
    declared: Tree = {name: {} for name in ASKABLE if name != "sampling"}
    talk = ready(era, policy=approving("sampling"), client=declared, attached=True)
    talk.client(talk.call(1, capabilities=declared))
    turn = asks(talk) if era == "legacy" else talk.server(requires(1, a="sampling/createMessage"))
    assert "declared-inputs" in turn.controls
    assert not any("method" in tree or "inputRequests" in tree.get("result", {}) for tree in turn.told("client"))


@only_modern
def test_one_thing_that_is_not_approved_has_the_whole_answer_shown(era: Era) -> None:
    talk = ready(era, policy=approving("sampling"), attached=True)
    talk.client(talk.call(1))
    turn = talk.server(requires(1, a="sampling/createMessage", b="elicitation/create"))
    assert turn.silent
    shown = msgspec.json.decode(turn.ticket.shown)["result"]["inputRequests"]
    assert shown.keys() == {"a", "b"}
    assert turn.ticket.reasons == ("an answer of yours is asked for",)


@only_modern
def test_what_passed_by_an_approval_is_sealed_and_its_answer_goes_back(era: Era) -> None:
    talk, turn = asked(era, METHODS["sampling"], approving("sampling"))
    retry = talk.call(2)
    retry["params"]["requestState"] = turn.only("client")["result"]["requestState"]
    retry["params"]["inputResponses"] = {"a": {"role": "assistant"}, "b": {}}
    params = talk.client(retry).only("server")["params"]
    assert (params["requestState"], params["inputResponses"]) == ("server-state", {"a": {"role": "assistant"}})


@only_legacy
def test_the_answer_to_what_passed_by_an_approval_goes_back(era: Era) -> None:
    talk, _ = asked(era, METHODS["elicitation"], approving("elicitation"))
    answer: Tree = {"jsonrpc": "2.0", "id": "s1", "result": {"action": "accept", "content": {}}}
    assert talk.client(answer).only("server") == answer


@eras()
def test_an_error_that_asks_is_covered_as_well(era: Era) -> None:
    talk = ready(era, policy=approving("elicitation"))
    talk.client(talk.call(1))
    asking = failure(1, -32042, "sign in", elicitations=[{"mode": "url", "url": "https://example.com", "message": "m"}])
    turn = talk.server(asking)
    assert turn.only("client") == asking
    assert "input-consent" in turn.controls


@eras()
def test_a_policy_that_takes_the_approval_back_holds_from_the_next_message_on(era: Era) -> None:
    talk = ready(era, policy=approving("sampling"), attached=True)
    talk.relay.state.adopt(load(None))
    talk.client(talk.call(1))
    turn = asks(talk) if era == "legacy" else talk.server(requires(1, a="sampling/createMessage"))
    assert turn.ticket.shown


@eras()
def test_an_approval_approves_no_tool_call(era: Era) -> None:
    talk = ready(era, policy=approving("sampling", "elicitation", "roots"), attached=True)
    assert talk.client(talk.call(1, "wipe")).ticket.kind == "tool-call"


def test_a_modern_server_that_sends_a_request_is_refused_whatever_is_approved() -> None:
    talk = greet(Dialogue("modern", policy=approving("sampling")))
    turn = asks(talk)
    assert turn.told("client") == []
    assert turn.records("refusal")
