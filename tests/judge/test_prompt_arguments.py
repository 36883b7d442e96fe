"""Prompts and completions: what the server listed, and what the operator demands of their arguments."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import (
    Dialogue,
    Era,
    Tree,
    Turn,
    eras,
    failure,
    greet,
    notification,
    only_legacy,
    ready,
)

from doorward.content.arguments import Constraint
from doorward.policy.load import load
from doorward.policy.model import Policy, PromptPolicy, ServerPolicy, sealed

STANDARD = load(None)
LISTED: Tree = {"name": "summary", "arguments": [{"name": "topic", "required": True}, {"name": "language"}]}
PLAIN: Tree = {"name": "plain"}


def get(talk: Dialogue, id: object = 1, name: str = "summary", **arguments: Any) -> Turn:
    return talk.client(talk.request(id, "prompts/get", {"name": name, "arguments": arguments}))


def prompted(
    era: Era, *, policy: Policy = STANDARD, prompts: tuple[Tree, ...] = (LISTED, PLAIN), **options: Any
) -> Dialogue:
    """A link on which the client has listed the prompts."""
    talk = ready(era, policy=policy, **options)
    talk.client(talk.request("prompts", "prompts/list"))
    talk.server(talk.result("prompts", prompts=list(prompts)))
    assert talk.relay.state.definitions.prompts_complete
    return talk


def demanding(*demands: Constraint, argument: str = "topic") -> Policy:
    prompts = {"summary": PromptPolicy({argument: demands})}
    return sealed(msgspec.structs.replace(STANDARD, servers={"notes": ServerPolicy("notes", prompts=prompts)}))


def denied(turn: Turn) -> set[str]:
    return {f.control for record in turn.written for f in record.entry.findings if f.effect == "DENY"}


@eras()
def test_what_the_server_listed_passes(era: Era) -> None:
    talk = prompted(era)
    assert get(talk, 1, topic="rain").told("server")
    assert get(talk, 2, topic="rain", language="en").told("server")
    assert get(talk, 3, "plain").told("server")
    assert talk.client(talk.request(4, "prompts/get", {"name": "plain"})).told("server")


@eras()
@pytest.mark.parametrize(
    ("name", "arguments", "rule"),
    [
        ("summary", {}, "/topic: required"),
        ("summary", {"language": "en"}, "/topic: required"),
        ("summary", {"topic": "rain", "force": "yes"}, "/force: undeclared"),
        ("summary", {"topic": "rain", "Topic": "snow"}, "/Topic: undeclared"),
        ("summary", {"topic": 5}, "/topic: type"),
        ("summary", {"topic": {"a": "b"}}, "/topic: type"),
        ("plain", {"x": "y"}, "/x: undeclared"),
    ],
)
def test_arguments_that_do_not_fit_the_listing_are_refused_with_pointer_and_rule(
    era: Era, name: str, arguments: Tree, rule: str
) -> None:
    turn = get(prompted(era), 1, name, **arguments)
    assert denied(turn) == {"prompt-arguments"}
    error = turn.only("client")["error"]
    assert error["code"] == -32602
    assert f"{error['data']['pointer']}: {error['data']['rule']}" == rule


@eras()
def test_a_prompt_that_the_server_does_not_list_is_refused(era: Era) -> None:
    turn = get(prompted(era), 1, "other")
    assert (turn.only("client")["error"]["code"], denied(turn)) == (-31001, {"prompt-arguments"})


@eras()
@pytest.mark.parametrize("arguments", ["text", [1], [{"description": "no name"}], [{"name": 5}]])
def test_a_listing_that_is_not_of_its_form_lists_nothing(era: Era, arguments: Any) -> None:
    talk = prompted(era, prompts=({"name": "summary", "arguments": arguments},))
    assert denied(get(talk)) == {"prompt-arguments"}


@eras()
def test_the_first_prompt_waits_for_the_servers_listing(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = get(talk, 1, topic="rain").only("server")
    assert ours["method"] == "prompts/list"
    page = talk.server(talk.result(ours["id"], prompts=[PLAIN], nextCursor="more")).only("server")
    assert page["params"]["cursor"] == "more"
    assert talk.server(talk.result(page["id"], prompts=[LISTED])).only("server")["id"] == 1


@only_legacy
def test_after_a_change_the_next_prompt_waits_again(era: Era) -> None:
    talk = prompted(era)
    talk.server(notification("notifications/prompts/list_changed"))
    assert get(talk, 1, topic="rain").only("server")["method"] == "prompts/list"


@eras()
def test_without_a_listing_prompts_are_refused_and_calls_that_came_meanwhile_go_on(era: Era) -> None:
    talk = greet(Dialogue(era))
    ours = get(talk, 1, topic="rain").only("server")
    assert talk.client(talk.call(2)).silent
    turn = talk.server(failure(ours["id"], -32601))
    (refused,) = turn.told("client")
    assert (refused["id"], refused["error"]["code"]) == (1, -31001)
    (asked,) = turn.told("server")
    assert asked["method"] == "tools/list"


# -- what the operator demands -----------------------------------------------------------------------------------------


@eras()
def test_what_the_operator_demands_of_a_prompts_argument_holds(era: Era) -> None:
    talk = prompted(era, policy=demanding(Constraint("enum", ("rain", "snow"))))
    assert get(talk, 1, topic="rain").told("server")
    turn = get(talk, 2, topic="rai")
    assert (turn.told("server"), denied(turn)) == ([], {"argument-constraints"})


def complete(talk: Dialogue, id: object, value: str, *, argument: str = "topic", **others: Any) -> Turn:
    params: Tree = {"ref": {"type": "ref/prompt", "name": "summary"}, "argument": {"name": argument, "value": value}}
    if others:
        params["context"] = {"arguments": others}
    return talk.client(talk.request(id, "completion/complete", params))


@eras()
@pytest.mark.parametrize(
    ("demand", "passes", "refused"),
    [
        (Constraint("enum", ("rain", "snow")), ["", "r", "rain"], ["a", "rainy", "Rain"]),
        (Constraint("no_shell_metacharacters"), ["", "a", "a b"], ["a; rm", "$(id)"]),
        (Constraint("identifier"), ["", "a"], ["a/b", "-"]),
        (Constraint("max_length", 3), ["", "abc"], ["abcd"]),
        (Constraint("pattern", "[a-z]+"), ["", "abc"], ["abc1"]),
    ],
)
def test_a_value_that_is_still_being_written_may_not_break_what_is_demanded(
    era: Era, demand: Constraint, passes: list[str], refused: list[str]
) -> None:
    talk = prompted(era, policy=demanding(demand))
    assert [text for text in passes if not complete(talk, f"p{text}", text).told("server")] == []
    for text in refused:
        turn = complete(talk, f"r{text}", text)
        assert (turn.told("server"), denied(turn)) == ([], {"argument-constraints"})


@eras()
def test_the_values_beside_the_one_that_is_completed_are_whole(era: Era) -> None:
    talk = prompted(era, policy=demanding(Constraint("enum", ("rain", "snow"))))
    assert complete(talk, 1, "e", argument="language", topic="rain").told("server")
    assert denied(complete(talk, 2, "e", argument="language", topic="r")) == {"argument-constraints"}
    assert denied(complete(talk, 3, "rain", topic="; rm")) == {"argument-constraints"}


@eras()
def test_a_completion_whose_context_is_not_of_its_form_is_refused(era: Era) -> None:
    talk = prompted(era)
    params = {"ref": {"type": "ref/prompt", "name": "summary"}, "argument": {"name": "topic", "value": ""}}
    for context in ("text", {"arguments": ["x"]}):
        turn = talk.client(talk.request(1, "completion/complete", {**params, "context": context}))
        assert turn.only("client")["error"]["code"] == -32602


@eras()
def test_a_path_among_the_arguments_of_a_prompt_is_judged_where_it_leads(era: Era) -> None:
    talk = prompted(era, policy=demanding(Constraint("path_below", "/srv/notes")))
    assert get(talk, 1, topic="a.txt").told("server")
    assert denied(get(talk, 2, topic="../a.txt")) == {"argument-constraints"}
    assert denied(complete(talk, 3, "/etc/pass")) == {"argument-constraints"}


TEMPLATE = "notes://{topic}/{language}"


def complete_template(talk: Dialogue, id: object, value: str, *, member: str = "uri", **others: str) -> Turn:
    params: Tree = {"ref": {"type": "ref/resource", member: TEMPLATE}, "argument": {"name": "topic", "value": value}}
    if others:
        params["context"] = {"arguments": others}
    return talk.client(talk.request(id, "completion/complete", params))


@eras()
@pytest.mark.parametrize("member", ["uri", "name"])
def test_values_of_a_template_are_held_to_what_is_demanded_of_them(era: Era, member: str) -> None:
    demands: dict[str, tuple[Constraint, ...]] = {
        "topic": (Constraint("enum", ("rain", "snow")),),
        "language": (Constraint("max_length", 2),),
    }
    said = ServerPolicy("notes", templates={TEMPLATE: PromptPolicy(demands)})
    talk = prompted(era, policy=sealed(msgspec.structs.replace(load(None), servers={"notes": said})))
    assert complete_template(talk, 1, "ra", member=member, language="en").told("server")
    assert denied(complete_template(talk, 2, "x", member=member)) == {"argument-constraints"}
    assert denied(complete_template(talk, 3, "ra", member=member, language="eng")) == {"argument-constraints"}
    assert denied(complete_template(talk, 4, "ra", member=member)) == set()


@eras()
def test_a_path_among_the_values_of_a_template_is_judged_where_it_leads(era: Era) -> None:
    demands: dict[str, tuple[Constraint, ...]] = {"topic": (Constraint("path_below", "/srv/notes"),)}
    said = ServerPolicy("notes", templates={TEMPLATE: PromptPolicy(demands)})
    talk = prompted(era, policy=sealed(msgspec.structs.replace(load(None), servers={"notes": said})))
    assert complete_template(talk, 1, "a.txt").told("server")
    assert denied(complete_template(talk, 2, "../a.txt")) >= {"argument-constraints"}


@eras()
def test_a_resource_is_read_within_what_is_demanded_of_the_values_of_its_template(era: Era) -> None:
    demands: dict[str, tuple[Constraint, ...]] = {
        "topic": (Constraint("enum", ("rain", "snow")),),
        "language": (Constraint("no_leading_dash"),),
    }
    said = ServerPolicy("notes", templates={TEMPLATE: PromptPolicy(demands)}, uris=("notes://",))
    talk = prompted(era, policy=sealed(msgspec.structs.replace(load(None), servers={"notes": said})))

    def read(uri: str, id: object) -> Turn:
        return talk.client(talk.request(id, "resources/read", {"uri": uri}))

    assert read("notes://rain/en", 1).told("server")
    assert denied(read("notes://hail/en", 2)) == {"argument-constraints"}
    assert denied(read("NOTES://rain/%2Dx", 3)) >= {"argument-constraints"}
    assert read("notes://elsewhere", 4).told("server"), "no value of this template"


@eras()
def test_a_uri_with_too_many_readings_is_refused(era: Era) -> None:
    demands: dict[str, tuple[Constraint, ...]] = {"a": (Constraint("path_below", "/srv/notes"),)}
    said = ServerPolicy("notes", templates={"n://{a}{b}{c}": PromptPolicy(demands)}, uris=("n://",))
    talk = prompted(era, policy=sealed(msgspec.structs.replace(load(None), servers={"notes": said})))
    turn = talk.client(talk.request(1, "resources/read", {"uri": "n://" + "x" * 300}))
    assert denied(turn) == {"argument-constraints"}
