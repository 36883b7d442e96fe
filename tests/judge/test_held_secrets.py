"""A credential goes to a server only where a person, or the policy, said that it may."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import Dialogue, Era, Tree, Turn, asks, eras, only_legacy, only_modern, ready, requires

from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, ToolPolicy, sealed
from doorward.relay.context import of_link

TOKEN = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
OURS = "a-secret-that-doorward-holds"
TOOL: Tree = {"name": "push", "inputSchema": {"type": "object"}}


def policy(**said: Any) -> Policy:
    return sealed(msgspec.structs.replace(load(None), servers={"notes": ServerPolicy("notes", **said)}))


def pushed(talk: Dialogue, id: object = 1, **arguments: Any) -> Turn:
    return talk.client(talk.call(id, "push", arguments))


def controls(turn: Turn) -> set[tuple[str, str]]:
    return {(f.control, f.effect) for record in turn.written for f in record.entry.findings}


@eras()
@pytest.mark.parametrize(
    "arguments",
    [
        {"text": TOKEN},
        {"text": f"use {TOKEN} for it"},
        {"deep": [{"a": [TOKEN]}]},
        {TOKEN: "as a name"},
        {"text": OURS},
        {"url": "postgres://ada:kr0ntjuwel@db.example/x"},
        {"header": "Bearer abcdefghij0123456789"},
    ],
    ids=lambda arguments: str(arguments)[:20],
)
def test_what_looks_like_a_credential_asks_and_names_where_it_would_go(era: Era, arguments: Tree) -> None:
    talk = ready(era, tools=[TOOL], attached=True)
    turn = pushed(talk, **arguments)
    (reason,) = turn.ticket.reasons
    server = talk.server_identity
    assert f"would go to {server.name} ({server.kind}, {server.fingerprint[:16]})" in reason
    assert turn.told("server") == []
    assert talk.person(turn.ticket).only("server")["params"]["arguments"] == arguments


@eras()
def test_the_record_says_where_and_what_kind_and_not_the_value(era: Era) -> None:
    turn = pushed(ready(era, tools=[TOOL], attached=True), auth={"key": TOKEN})
    (finding,) = turn.record.entry.findings
    assert (finding.control, finding.effect, finding.evidence) == ("held-secrets", "ASK", "/auth/key: github-token")
    assert TOKEN not in str(turn.record.entry)


@eras()
def test_where_nobody_can_be_asked_it_does_not_go(era: Era) -> None:
    turn = pushed(ready(era, tools=[TOOL]), text=TOKEN)
    assert (turn.told("server"), turn.only("client")["error"]["code"]) == ([], -31002)


@eras()
def test_a_no_holds_it_back(era: Era) -> None:
    talk = ready(era, tools=[TOOL], attached=True)
    assert talk.person(pushed(talk, text=TOKEN).ticket, approved=False).told("server") == []


@eras()
@pytest.mark.parametrize(
    "arguments",
    [
        {"text": "a plain text of several words, with a token and a password in it"},
        {"password": "hunter2", "api_key": "abc"},
        {"hash": "d41d8cd98f00b204e9800998ecf8427e", "id": "550e8400-e29b-41d4-a716-446655440000"},
        {"code": 'headers = {"Authorization": f"Bearer {token}"}\nclient = Client(api_key=os.environ["API_KEY"])'},
        {"url": "https://example.org/a?b=c#d", "mail": "ada@example.org"},
        {"blob": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="},
    ],
    ids=lambda arguments: str(arguments)[:20],
)
def test_what_only_speaks_of_secrets_passes(era: Era, arguments: Tree) -> None:
    assert pushed(ready(era, tools=[TOOL]), **arguments).told("server")


@eras()
def test_the_policy_names_the_arguments_in_which_one_may_go(era: Era) -> None:
    talk = ready(era, tools=[TOOL], policy=policy(tools={"push": ToolPolicy(secrets=("key", "/headers/*"))}))
    assert pushed(talk, 1, key=TOKEN, headers={"a": TOKEN}).told("server")
    assert not pushed(talk, 2, key=TOKEN, text=TOKEN).told("server")
    assert not pushed(talk, 3, headers={"a": {"b": "x"}}, deep={"key": TOKEN}).told("server")


@eras()
def test_a_server_may_be_trusted_with_all_of_them(era: Era) -> None:
    assert pushed(ready(era, tools=[TOOL], policy=policy(secrets=True)), text=TOKEN).told("server")


@eras()
def test_prompts_and_completions_are_held_too(era: Era) -> None:
    talk = ready(era, attached=True)
    talk.client(talk.request("prompts", "prompts/list"))
    talk.server(talk.result("prompts", prompts=[{"name": "p", "arguments": [{"name": "x"}]}]))
    assert talk.client(talk.request(1, "prompts/get", {"name": "p", "arguments": {"x": TOKEN}})).tickets
    ref = {"ref": {"type": "ref/prompt", "name": "p"}}
    value: Tree = {**ref, "argument": {"name": "x", "value": TOKEN}}
    assert talk.client(talk.request(2, "completion/complete", value)).tickets
    beside: Tree = {**ref, "argument": {"name": "x", "value": "a"}, "context": {"arguments": {"y": TOKEN}}}
    assert talk.client(talk.request(3, "completion/complete", beside)).tickets


@only_modern
def test_an_answer_to_a_modern_server_is_held_with_its_request(era: Era) -> None:
    talk = ready(era, tools=[TOOL], attached=True)
    pushed(talk, 1, text="x")
    asked = talk.server(requires(1, a="elicitation/create"))
    released = talk.person(asked.ticket).only("client")["result"]
    answer = {"a": {"action": "accept", "content": {"code": TOKEN}}}
    params = {"name": "push", "arguments": {"text": "x"}, "inputResponses": answer}
    retry = talk.request(2, "tools/call", {**params, "requestState": released["requestState"]})
    turn = talk.client(retry)
    assert ("held-secrets", "ASK") in controls(turn)
    assert talk.person(turn.ticket).only("server")["params"]["inputResponses"] == answer


@only_legacy
def test_an_answer_to_a_legacy_server_cannot_be_held_and_is_refused_in_its_own_words(era: Era) -> None:
    talk = ready(era, attached=True, client={"elicitation": {}})
    talk.person(asks(talk, "elicitation/create", "e1", {"message": "your code?"}).ticket)
    turn = talk.client({"jsonrpc": "2.0", "id": "e1", "result": {"action": "accept", "content": {"code": TOKEN}}})
    assert turn.only("server")["result"] == {"action": "decline"}
    assert ("held-secrets", "DENY") in controls(turn)
    assert TOKEN not in str([record.entry for record in turn.written])


@only_legacy
def test_an_answer_without_one_reaches_the_legacy_server(era: Era) -> None:
    talk = ready(era, attached=True, client={"elicitation": {}})
    talk.person(asks(talk, "elicitation/create", "e1", {"message": "your name?"}).ticket)
    said = {"action": "accept", "content": {"name": "Ada"}}
    assert talk.client({"jsonrpc": "2.0", "id": "e1", "result": said}).only("server")["result"] == said


def test_what_was_seen_in_one_body_is_not_believed_of_another() -> None:
    talk = ready("legacy", tools=[TOOL])
    context = of_link(talk.relay.state, talk.facts(), talk.now)
    clean, token = b'{"text":"nothing"}', f'{{"text":"{TOKEN}"}}'.encode()
    for _ in range(2):
        assert [context.may_hold_credential(body) for body in (clean, token, clean)] == [False, True, False]
    other = msgspec.structs.replace(context, body=token)
    assert other.may_hold_credential(other.body)
