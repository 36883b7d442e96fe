"""A resource is asked for that its server named or describes; of paths elsewhere the text decides."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.relay.dialogue import Dialogue, Era, Tree, Turn, eras, failure, notification, only_legacy, ready

from doorward.content import templates
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy, sealed
from doorward.protocol.shown import MAX_COMPILED, MAX_SEARCHED, MAX_TEMPLATES, MAX_URIS, Shown
from doorward.relay import errands
from doorward.relay.showing import MAX_OF_ONE_RESULT


def policy(**said: Any) -> Policy:
    return sealed(msgspec.structs.replace(load(None), servers={"notes": ServerPolicy("notes", **said)}))


def read(talk: Dialogue, uri: str, id: object = 1) -> Turn:
    return talk.client(talk.request(id, "resources/read", {"uri": uri}))


def passes(turn: Turn) -> bool:
    return [tree["method"] for tree in turn.told("server")] == ["resources/read"]


def denied(turn: Turn) -> set[str]:
    assert turn.told("server") == []
    return turn.controls


@eras()
def test_before_a_resource_that_was_not_shown_both_lists_are_asked_for(era: Era) -> None:
    talk = ready(era)
    ours = read(talk, "notes://today").only("server")
    assert ours["method"] == "resources/list"
    again = talk.server(talk.result(ours["id"], resources=[{"name": "t", "uri": "notes://today"}]))
    assert passes(again)
    other = read(talk, "notes://else", 2).only("server")
    assert other["method"] == "resources/templates/list"
    refused = talk.server(talk.result(other["id"], resourceTemplates=[]))
    assert refused.only("client")["id"] == 2
    assert denied(refused) >= {"known-resources"}


@eras()
def test_a_list_is_asked_for_again_when_it_is_old_and_not_before(era: Era) -> None:
    talk = ready(era)
    talk.shows("notes://a")
    assert denied(read(talk, "notes://new")) == {"known-resources"}
    talk.now += errands.RELIST_US
    ours = read(talk, "notes://new", 2).only("server")
    assert ours["method"] == "resources/list"
    assert passes(talk.server(talk.result(ours["id"], resources=[{"name": "n", "uri": "notes://new"}])))


@eras()
def test_a_server_without_a_list_of_templates_describes_nothing(era: Era) -> None:
    talk = ready(era)
    ours = read(talk, "notes://x").only("server")
    then = talk.server(failure(ours["id"], -32601)).only("server")
    assert then["method"] == "resources/templates/list"
    turn = talk.server(failure(then["id"], -32601))
    assert "known-resources" in denied(turn)
    assert "error" in turn.only("client")


@only_legacy
def test_a_changed_list_is_asked_for_anew(era: Era) -> None:
    talk = ready(era)
    talk.shows("notes://a")
    talk.server(notification("notifications/resources/list_changed"))
    assert read(talk, "notes://b").only("server")["method"] == "resources/list"


LINKED = {"content": [{"type": "resource_link", "name": "x", "uri": "notes://linked"}]}
EMBEDDED = {"content": [{"type": "resource", "resource": {"uri": "notes://linked", "text": "t"}}]}


@eras()
@pytest.mark.parametrize("result", [LINKED, EMBEDDED])
def test_what_a_result_links_to_or_embeds_was_shown(era: Era, result: Any) -> None:
    talk = ready(era)
    talk.shows()
    assert denied(read(talk, "notes://linked")) == {"known-resources"}
    talk.client(talk.call(2))
    talk.server(talk.result(2, **result))
    assert passes(read(talk, "notes://linked", 3))


@eras()
def test_what_a_prompt_embeds_or_a_resource_contains_was_shown(era: Era) -> None:
    talk = ready(era)
    talk.shows("notes://a")
    assert passes(read(talk, "notes://a", 2))
    talk.server(talk.result(2, contents=[{"uri": "notes://a/part", "text": "t"}]))
    assert passes(read(talk, "notes://a/part", 3))


@eras()
def test_of_one_result_only_so_many_links_count(era: Era) -> None:
    talk = ready(era)
    talk.shows()
    talk.client(talk.call(2))
    links = [{"type": "resource_link", "name": "x", "uri": f"n:{n}"} for n in range(MAX_OF_ONE_RESULT + 1)]
    talk.server(talk.result(2, content=links))
    assert passes(read(talk, f"n:{MAX_OF_ONE_RESULT - 1}", 3))
    assert denied(read(talk, f"n:{MAX_OF_ONE_RESULT}", 4)) == {"known-resources"}


@eras()
@pytest.mark.parametrize(
    ("uri", "known"),
    [
        ("notes://minutes.txt", True),
        ("notes://a%20b", True),
        ("notes://..%2Foutside%2Fsecret.txt", False),
        ("notes://%2e%2e", False),
        ("notes:///etc/passwd", False),
        ("notes://%2Fetc%2Fpasswd", False),
        ("notes://a%00", False),
        ("notes://a/b", False),
        ("repo://o/r/contents/src/main.py", True),
        ("repo://o/r/contents/../../x", False),
        ("search://docs?q=a%2Fb", True),
        ("search://docs?q=../x", False),
        ("other://a", False),
    ],
)
def test_what_a_template_is_filled_with_stays_in_its_place(era: Era, uri: str, *, known: bool) -> None:
    talk = ready(era)
    talk.shows(templates=("notes://{name}", "repo://{owner}/{repo}/contents{/path*}", "search://docs{?q}"))
    turn = read(talk, uri)
    assert passes(turn) if known else denied(turn) == {"known-resources"}


@eras()
@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("postgres://db/table", True),
        ("POSTGRES://db/table", True),
        ("postgres://db-evil/table", False),
        ("postgres://db/../x", False),
        ("postgres://db/%2e%2e%2fx", False),
        # Readers of URLs leave tabs and line breaks out, before they look at the segments.
        ("postgres://db/a/.\t./.\n./x", False),
        ("postgres://db/.%2\ne/x", False),
        ("postgres://db/a\tb", True),
        ("notes:anything", True),
        ("notebook:x", False),
    ],
)
def test_the_operator_allows_beginnings_that_nothing_climbs_out_of(era: Era, uri: str, *, allowed: bool) -> None:
    talk = ready(era, policy=policy(uris=("postgres://db", "notes:")))
    talk.shows()
    turn = read(talk, uri)
    assert passes(turn) if allowed else denied(turn) == {"known-resources"}


@only_legacy
def test_to_listen_is_judged_as_to_read_and_to_stop_is_not(era: Era) -> None:
    talk = ready(era)
    talk.shows("notes://a")
    assert talk.client(talk.request(1, "resources/subscribe", {"uri": "notes://a"})).told("server")
    assert denied(talk.client(talk.request(2, "resources/subscribe", {"uri": "notes://b"}))) == {"known-resources"}
    assert talk.client(talk.request(3, "resources/unsubscribe", {"uri": "notes://b"})).told("server")


def test_each_of_what_a_modern_client_listens_to_is_judged() -> None:
    talk = ready("modern")
    talk.shows("notes://a", "notes://b")
    for number, (uris, passed) in enumerate(
        ((["notes://a", "notes://b"], True), (["notes://a", "notes://c"], False), (["notes://../a"], False))
    ):
        wanted = {"notifications": {"resourceSubscriptions": uris}}
        turn = talk.client(talk.request(number, "subscriptions/listen", wanted))
        assert bool(turn.told("server")) is passed, uris


def test_what_is_listened_to_or_completed_is_named_in_as_few_bytes_as_what_is_read() -> None:
    talk = ready("modern")
    long = "notes://" + "a" * 9_000
    talk.shows(long, "notes://a", templates=["notes://{name}"])
    wanted: Tree = {"notifications": {"resourceSubscriptions": ["notes://a", long]}}
    completed: Tree = {"ref": {"type": "ref/resource", "uri": long}, "argument": {"name": "name", "value": "x"}}
    for number, (method, params) in enumerate((("subscriptions/listen", wanted), ("completion/complete", completed))):
        assert denied(talk.client(talk.request(number, method, params))) == {"part-limits"}


@eras()
@pytest.mark.parametrize(("value", "fine"), [("minut", True), ("", True), ("../out", False), ("/etc", False)])
def test_what_completes_a_template_stays_in_its_place(era: Era, value: str, *, fine: bool) -> None:
    talk = ready(era)
    params = {"ref": {"type": "ref/resource", "uri": "notes://{name}"}, "argument": {"name": "name", "value": value}}
    turn = talk.client(talk.request(1, "completion/complete", params))
    assert bool(turn.told("server")) if fine else denied(turn) == {"known-resources"}


@eras()
@pytest.mark.parametrize(
    ("template", "value", "fine"),
    [
        ("file:///work/space/{name}", "", True),
        ("file:///work/space/{name}", "a.t", True),
        ("file:///work/space/docs-{name}", "x", True),
        ("file:///{+path}", "a.t", True),
        ("file:///etc/{name}", "", False),
        ("file:///etc/{name}", "pass", False),
        ("file:///work/space{name}", "-evil/x", False),
        ("FILE:///work/space/%2e%2e/{name}", "x", False),
        ("notes://a/../{name}", "x", False),
    ],
)
def test_a_template_that_is_completed_begins_below_a_folder(era: Era, template: str, value: str, *, fine: bool) -> None:
    talk = ready(era, folders=("/work/space",))
    params = {"ref": {"type": "ref/resource", "uri": template}, "argument": {"name": "name", "value": value}}
    assert bool(talk.client(talk.request(1, "completion/complete", params)).told("server")) is fine


# -- paths of a server elsewhere --------------------------------------------------------------------------------------

OPEN = {"name": "open", "inputSchema": {"type": "object"}}


@eras()
@pytest.mark.parametrize("path", ["../x", "a/../../x", "..%2fx", "%252e%252e/x", "..\\x", "\uff0e\uff0e/x", "a%00"])
def test_with_no_folder_known_a_path_that_climbs_is_refused(era: Era, path: str) -> None:
    talk = ready(era, tools=[OPEN])
    assert denied(talk.client(talk.call(1, "open", {"path": path}))) == {"path-confinement"}
    assert talk.client(talk.call(2, "open", {"text": path})).told("server")


@eras()
@pytest.mark.parametrize("path", ["a/b.txt", "/srv/notes/a", "v1..v2", "C:\\a.txt", "~/x", "line\nother", "50%de"])
def test_with_no_folder_known_what_does_not_climb_passes(era: Era, path: str) -> None:
    talk = ready(era, tools=[OPEN])
    assert talk.client(talk.call(1, "open", {"path": path})).told("server")


@eras()
@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/srv/notes/a.txt", True),
        ("a.txt", True),
        ("/srv/notes-evil/a.txt", False),
        ("/etc/passwd", False),
        ("sub/../a.txt", False),
        ("~/a.txt", False),
    ],
)
def test_folders_elsewhere_bound_paths_by_their_text(era: Era, path: str, *, inside: bool) -> None:
    talk = ready(era, tools=[OPEN], policy=policy(below=("/srv/notes",)))
    called = talk.client(talk.call(1, "open", {"path": path}))
    assert bool(called.told("server")) if inside else denied(called) == {"path-confinement"}
    if path.startswith("/"):
        turn = read(talk, f"file://{path}", 2)
        assert passes(turn) if inside else denied(turn) == {"path-confinement"}


@eras()
def test_folders_elsewhere_narrow_the_folders_that_are_known(era: Era) -> None:
    talk = ready(era, tools=[OPEN], policy=policy(below=("/ws/notes",)), folders=("/ws",))
    assert talk.client(talk.call(1, "open", {"path": "/ws/notes/a"})).told("server")
    assert denied(talk.client(talk.call(2, "open", {"path": "/ws/a"}))) == {"path-confinement"}


@eras()
def test_a_path_that_a_prompt_is_asked_with_lies_below_a_folder(era: Era) -> None:
    talk = ready(era, folders=("/ws",))
    talk.client(talk.request("p", "prompts/list"))
    talk.server(talk.result("p", prompts=[{"name": "sum", "arguments": [{"name": "file"}]}]))
    asked = {"name": "sum", "arguments": {"file": "a.txt"}}
    assert talk.client(talk.request(1, "prompts/get", asked)).told("server")
    out = {"name": "sum", "arguments": {"file": "../x"}}
    assert denied(talk.client(talk.request(2, "prompts/get", out))) == {"path-confinement"}


# -- the table --------------------------------------------------------------------------------------------------------


def test_the_oldest_go_first_and_templates_are_bounded() -> None:
    shown = Shown()
    for number in range(MAX_URIS + 1):
        shown.add(f"n:{number}")
    assert not shown.named("n:0")
    assert shown.named("n:1")
    for number in range(MAX_TEMPLATES + 1):
        shown.add_template(f"t{number}:{{x}}")
    assert shown.fits("t0:a")
    assert not shown.fits(f"t{MAX_TEMPLATES}:a")


def counting(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """The first argument of each call of a function of ``templates``."""
    called: list[str] = []
    original = getattr(templates, name)

    def function(first: str, *others: str) -> Any:
        called.append(first)
        return original(first, *others)

    monkeypatch.setattr(templates, name, function)
    return called


def test_two_hundred_usual_templates_are_kept_and_of_long_ones_a_few_are_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = Shown()
    for number in range(MAX_TEMPLATES):
        usual.add_template(f"repo{number}://{{owner}}/{{repo}}/contents{{/path*}}")
    assert usual.fits(f"repo{MAX_TEMPLATES - 1}://a/b/contents/c/d")
    compiled = counting(monkeypatch, "compiles")
    hostile = Shown()
    for number in range(1_000):
        hostile.add_template(f"x{number}://" + "{+a}" * 16)
    assert sum(map(len, compiled)) <= MAX_COMPILED


def test_a_uri_is_held_against_templates_that_begin_as_it_does_and_a_long_one_against_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Shown()
    for number in range(40):
        shown.add_template(f"other{number}://{{a}}")
        shown.add_template(f"x://{{a}}/{number}")
    tried = counting(monkeypatch, "fits")
    assert shown.fits("x://name/39")
    assert len(tried) == 40
    tried.clear()
    assert not shown.fits("x://" + "a" * 8_000)
    assert sum(map(len, tried)) <= MAX_SEARCHED


def test_one_request_listens_on_as_many_resources_as_its_principal_may_and_the_first_that_is_unknown_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = ready("modern")
    talk.shows("x://known", templates=[f"x://{{a}}/{number}" for number in range(100)])
    tried = counting(monkeypatch, "fits")
    for many, controls in ((128, {"known-resources"}), (129, {"part-limits"})):
        tried.clear()
        wanted = {"notifications": {"resourceSubscriptions": [f"x://{number}" for number in range(many)]}}
        assert denied(talk.client(talk.request(many, "subscriptions/listen", wanted))) == controls
        assert len(tried) <= 100


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        ("notes://a b", "notes://a%20b"),
        ("Notes://a", "notes://a"),
        ("https://Example.com", "https://example.com/"),
        ("notes://é", "notes://%c3%a9"),
    ],
)
def test_a_uri_is_known_in_the_form_in_which_clients_send_it_on(listed: str, asked: str) -> None:
    shown = Shown()
    shown.add(listed)
    assert shown.named(asked)


@pytest.mark.parametrize(
    "template", ["", "plain://a", "x://{", "x://{a", "x://a}{b}", "x://{}", "x://{a b}", "{a}" * 17]
)
def test_what_is_no_template_describes_nothing(template: str) -> None:
    shown = Shown()
    shown.add_template(template)
    assert not shown.fits(template)
    assert not shown.fits("plain://a")
