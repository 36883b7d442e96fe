"""Grants and revisions, in dialogues: what either side declares passes by exact name, and what was cut is private."""

from __future__ import annotations

import msgspec
import pytest
from tests.relay.dialogue import (
    MODERN,
    Dialogue,
    Era,
    Tree,
    discovered,
    eras,
    greet,
    initialize,
    initialized,
    only_modern,
)

from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, sealed
from doorward.policy.profiles import values

TASKS = "io.modelcontextprotocol/tasks"
DECLARED: Tree = {
    "experimental": {"fast": {"a": 1}, "faster": {}},
    "extensions": {"com.example/x": {"b": 2}, "com.example/xy": {}},
    "teleport": {"c": 3},
    "experimental/fast": {},
    "extensions/com.example/x": {},
}


def granting(*grants: str, profile: str = "standard", server: str = "notes") -> Policy:
    policy = msgspec.structs.replace(load(None), profile=profile, values=values(profile))
    return sealed(msgspec.structs.replace(policy, servers={server: ServerPolicy(server, grants=grants)}))


def passed(era: Era, policy: Policy, sender: str, declared: Tree = DECLARED) -> tuple[Tree, str]:
    """What the other side hears of ``declared``, and what the archive says was cut."""
    talk = Dialogue(era, policy=policy)
    if sender == "client" and era == "legacy":
        turn = talk.client(initialize(capabilities=declared))
        heard = turn.only("server")["params"]["capabilities"]
    elif sender == "client":
        turn = talk.client(talk.request(1, "server/discover", capabilities=declared))
        heard = turn.only("server")["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    elif era == "legacy":
        talk.client(initialize())
        turn = talk.server(initialized(capabilities=declared))
        heard = turn.only("client")["result"]["capabilities"]
    else:
        talk.client(talk.request(1, "server/discover"))
        turn = talk.server(discovered(1, capabilities=declared))
        heard = turn.only("client")["result"]["capabilities"]
    notes = [note for note in turn.record.entry.findings if note.control == "capability-grants"]
    return heard, notes[0].evidence if notes else ""


def test_what_initialize_declares_beside_its_own_place_is_cut_as_well() -> None:
    asked = initialize(capabilities={"sampling": {}})
    key = "io.modelcontextprotocol/clientCapabilities"
    meta: Tree = {key: {"sampling": {}, "experimental": {"fast": {}}}}
    asked["params"]["_meta"] = {**meta, "x": 1}
    turn = Dialogue("legacy", policy=granting()).client(asked)
    heard = turn.only("server")["params"]
    assert heard["_meta"] == {key: {"sampling": {}}, "x": 1}
    assert heard["capabilities"] == {"sampling": {}}
    assert "capability-grants" in turn.controls


both_sides = pytest.mark.parametrize("sender", ["client", "server"])


@eras()
@both_sides
def test_what_is_granted_passes_by_its_exact_name_and_nothing_beside_it(era: Era, sender: str) -> None:
    heard, cut = passed(era, granting("experimental/fast", "extensions/com.example/x", "teleport"), sender)
    assert heard == {
        "experimental": {"fast": {"a": 1}},
        "extensions": {"com.example/x": {"b": 2}},
        "teleport": {"c": 3},
    }
    names = "experimental/fast, experimental/faster, extensions/com.example/x, extensions/com.example/xy"
    assert cut == names


@eras()
@both_sides
@pytest.mark.parametrize("server", ["notes-admin", "note"])
def test_a_grant_for_another_server_grants_nothing(era: Era, sender: str, server: str) -> None:
    heard, _ = passed(era, granting("experimental/fast", "teleport", server=server), sender)
    assert heard == {"extensions": {}}


@eras()
@both_sides
def test_a_grant_for_every_server_grants(era: Era, sender: str) -> None:
    heard, _ = passed(era, granting("teleport", server="*"), sender)
    assert heard == {"extensions": {}, "teleport": {"c": 3}}


@eras()
@both_sides
def test_a_name_that_looks_granted_is_not(era: Era, sender: str) -> None:
    declared: Tree = {"experimental": ["fast"], "Teleport": {}, "fast": {}, "extensions": {"fast": {}, "teleport": {}}}
    heard, _ = passed(era, granting("experimental/fast", "teleport"), sender, declared)
    assert heard == {"extensions": {}}


@eras()
@both_sides
def test_under_strict_an_official_extension_passes_by_a_grant(era: Era, sender: str) -> None:
    declared: Tree = {"extensions": {TASKS: {}}}
    assert passed(era, granting(profile="strict"), sender, declared) == ({"extensions": {}}, f"extensions/{TASKS}")
    assert passed(era, granting(f"extensions/{TASKS}", profile="strict"), sender, declared) == (declared, "")


@only_modern
@pytest.mark.parametrize(("grants", "passes"), [((), False), ((f"extensions/{TASKS}",), True)])
def test_methods_of_an_extension_follow_its_grant(era: Era, grants: tuple[str, ...], *, passes: bool) -> None:
    tasks: Tree = {"extensions": {TASKS: {}}}
    policy = granting(*grants, profile="strict")
    talk = greet(Dialogue(era, policy=policy), client=tasks, server={"tools": {}, **tasks})
    talk.relay.state.began("t", "read")
    turn = talk.client(talk.request(1, "tasks/update", {"taskId": "t"}, capabilities=tasks))
    assert bool(turn.told("server")) == passes
    talk.relay.state.adopt(granting(profile="strict"))
    taken_back = talk.client(talk.request(2, "tasks/update", {"taskId": "t"}, capabilities=tasks))
    assert taken_back.only("client")["error"]["code"] == -32601


def offered(*revisions: object, scope: str = "public", **capabilities: Tree) -> Tree:
    answer = discovered(1, capabilities={"tools": {}, **capabilities})
    answer["result"] |= {"supportedVersions": list(revisions), "cacheScope": scope, "ttlMs": 1000}
    return answer


def discovery(answer: Tree, policy: Policy | None = None) -> tuple[Tree, list[tuple[str, str]]]:
    """What the client hears of a server's ``answer``, and what the archive notes."""
    talk = Dialogue("modern", policy=policy)
    talk.client(talk.request(1, "server/discover"))
    turn = talk.server(answer)
    return turn.only("client"), [(note.reason, note.evidence) for note in turn.record.entry.findings]


def test_a_discovery_that_is_passed_whole_stays_shared() -> None:
    answer = offered(MODERN, "2025-11-25")
    assert discovery(answer) == (answer, [])


def test_a_discovery_from_which_a_capability_was_cut_is_private() -> None:
    heard, notes = discovery(offered(MODERN, teleport={}))
    assert heard["result"]["cacheScope"] == "private"
    assert (heard["result"]["ttlMs"], heard["result"]["supportedVersions"]) == (1000, [MODERN])
    assert notes == [("declared without a grant, so not passed on", "teleport")]


def test_a_discovery_offers_only_revisions_that_can_be_judged_and_is_then_private() -> None:
    heard, notes = discovery(offered("2099-01-01", MODERN, "DRAFT-2027-v1", "2024-11-05"))
    assert heard["result"]["supportedVersions"] == [MODERN, "2024-11-05"]
    assert heard["result"]["cacheScope"] == "private"
    assert notes == [("a revision that is not known here, so not passed on", "2099-01-01, DRAFT-2027-v1")]


def test_both_cuts_are_told_in_one_note() -> None:
    _, notes = discovery(offered(MODERN, "2099-01-01", teleport={}))
    reason = "declared without a grant, or a revision that is not known here, so not passed on"
    assert notes == [(reason, "2099-01-01, teleport")]


def test_a_discovery_without_a_scope_that_was_cut_gets_one() -> None:
    heard, _ = discovery(discovered(1, capabilities={"teleport": {}}))
    assert heard["result"]["cacheScope"] == "private"


@pytest.mark.parametrize("revisions", [("2099-01-01",), (MODERN, 3), ("2099-01-01", MODERN, 3), (MODERN, None), ()])
def test_a_discovery_without_a_revision_to_judge_or_with_one_that_is_no_text_is_refused(
    revisions: tuple[object, ...],
) -> None:
    talk = Dialogue("modern")
    talk.client(talk.request(1, "server/discover"))
    assert "result" not in talk.server(offered(*revisions)).only("client")


def test_an_initialize_result_has_no_scope() -> None:
    talk = Dialogue("legacy")
    talk.client(initialize())
    turn = talk.server(initialized(capabilities={"tools": {}, "teleport": {}}))
    assert "cacheScope" not in turn.only("client")["result"]


@eras()
@both_sides
@pytest.mark.parametrize("form", [["com.example/x", TASKS], "com.example/x", True])
def test_extensions_of_another_form_do_not_pass_by_it(era: Era, sender: str, form: object) -> None:
    heard, cut = passed(
        era, granting("extensions/com.example/x", "teleport"), sender, {"extensions": form, "roots": {}, "tools": {}}
    )
    assert (heard.get("extensions"), cut.startswith("extensions")) == (None, True)
