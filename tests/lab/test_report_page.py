"""The page that people open: whatever a server wrote into it is text, and it says what happened and what to do."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from doorward.lab.ablated import BOTH, GROUPS
from doorward.lab.attack.verdicts import Outcome
from doorward.lab.report import page, page_story
from doorward.lab.report.baseline import Target
from doorward.lab.report.model import Report, Run, Verb
from doorward.lab.scenario import Exclusion, Kind

EVIL = (
    "</pre></title></style><script>document.title='harmed'</script><img src=x onerror=\"document.title='harmed'\">&'\""
)
RECORD = {
    "at": 1_795_661_206_053_199,
    "method": "resources/read",
    "control": "path-confinement",
    "effect": "DENY",
    "reason": "a path outside the folders of this server",
    "evidence": "uri",
}


def message(text: str, sender: str = "server", **more: Any) -> dict[str, Any]:
    return {"from": sender, "text": text, "size": len(text), "cut": False, "omitted": 0, **more}


def run(outcome: Kind | Outcome, *, configured: bool | None = None, **evidence: Any) -> Run:
    control = "path-confinement" if outcome == Kind.PREVENTED else None
    variant = {
        "variant": "dot-dot",
        "title": "the document's own",
        "outcome": outcome.value,
        "control": control or "",
        "saw": "what was seen",
        "records": [RECORD] if configured is not None else [],
        "exchange": [message('{"method": "resources/read"}', "client"), message('{"result": "the file"}')],
    }
    target = "naive" if configured is None else "relayed"
    where = ("path-traversal", "notes", "2025-11-25", "wrap", target)
    return Run(*where, configured, outcome, None, control, {"variants": [variant], "benign": "read a note", **evidence})


def reported(*runs: Run, verb: Verb = "demo", **more: Any) -> Report:
    return Report(verb, "1", 7, "2026-11-26T00:00:00Z", 1.0, runs, **more)


FULL = [
    run(Kind.SUCCEEDED),
    run(Kind.PREVENTED, configured=False),
    run(Kind.PREVENTED, configured=True, configuration="[servers.notes]\n"),
]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def words(text: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def hostile() -> Report:
    """A report in which everything that is text is an attack on its reader."""
    bad = message(EVIL, EVIL)
    record = {**RECORD, **dict.fromkeys(("method", "control", "effect", "reason", "evidence"), EVIL)}
    variant = dict.fromkeys(("variant", "title", "outcome", "control", "saw", "alone"), EVIL)
    evidence = dict.fromkeys(("benign", "note", "open", "configuration"), EVIL)
    variants = [{**variant, "records": [record], "exchange": [bad]}]
    named = {"id": EVIL, "example": EVIL, "era": EVIL, "topology": EVIL, "control": EVIL, "reason": EVIL, "issue": EVIL}
    runs = [msgspec.structs.replace(one, **named, evidence={**evidence, "variants": variants}) for one in FULL]
    known = msgspec.structs.replace(FULL[0], evidence={"variants": variants})
    return reported(*runs, known, verb="attack", target=Target((EVIL,)), baseline=EVIL)


@pytest.mark.parametrize(
    "report", [hostile(), msgspec.structs.replace(hostile(), verb="demo", target=Target(url=EVIL))]
)
def test_nothing_from_a_run_becomes_markup_and_the_page_fetches_nothing(report: Report) -> None:
    text = page.html(report)
    tags = Tags(text).seen
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "link", "iframe", "object", "base", "form"})
    for tag, attributes in tags:
        assert not [name for name in attributes if name == "src" or name.startswith("on")], tag
        assert str(attributes.get("href") or "#").startswith("#")
    assert [tag for tag, _ in tags].count("style") == [tag for tag, _ in tags].count("title") == 1
    assert not re.search(r"url\(|@import", text)
    assert "&lt;script&gt;" in text


def test_the_policy_of_the_page_allows_its_own_style_and_nothing_else() -> None:
    text = page.html(reported(*FULL))
    (policy,) = (unescape(found) for found in re.findall(r'Content-Security-Policy" content="([^"]*)"', text))
    (style,) = re.findall(r"<style>(.*)</style>", text, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert text.index("Content-Security-Policy") < text.index("<title>")
    assert " style=" not in text


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    """What Chromium makes of a page, as HTML, once its scripts have run."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")

    def dumped(text: str) -> str:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
        command = (chromium, *options, "--virtual-time-budget=2000", "--dump-dom", file.as_uri())
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    return dumped


def test_what_a_hostile_server_wrote_does_not_run_in_a_browser(opened: Any) -> None:
    report = reported(run(Kind.SUCCEEDED, configured=True, note=EVIL), hostile().runs[0])
    text = page.html(report)
    loose = text.replace("</header>", f"</header>{EVIL}")  # as if somebody forgot to escape
    open_door = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", loose)
    assert "<title>harmed</title>" in opened(open_door)
    assert "<title>harmed</title>" not in opened(loose)
    assert "<title>harmed</title>" not in opened(text)


def test_what_shows_nothing_is_made_visible() -> None:
    hidden = "pay\u202eevil\u200b\x1b[2J\ud800"
    text = page.html(reported(run(Kind.SUCCEEDED, configured=True, note=hidden)))
    text.encode("utf-8")
    assert "\u27e8U+202E\u27e9" in text
    assert not re.search("[\u202e\u200b\x1b\ud800]", text)


def test_each_attack_tells_its_messages_its_cause_and_its_remedy() -> None:
    told = words(page.html(reported(*FULL)))
    assert "Why it worked what was seen" in told
    assert "What stopped it what was seen" in told
    assert "DENY by path-confinement : a path outside the folders of this server (uri)" in told
    assert '{"method": "resources/read"}' in told
    assert "Judge the path that would be opened" in told
    assert "[servers.notes]" in told
    assert "path-confinement : every path that is named lies below a folder of the server" in told


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        (FULL, "No finding."),
        ([run(Kind.SUCCEEDED, configured=True)], "1 finding."),
        ([*FULL, run(Kind.INCONCLUSIVE, configured=True)], "No finding; 1 inconclusive."),
        ([run(Kind.EXCLUDED)], "No finding; 1 not played."),
        ([*FULL, msgspec.structs.replace(FULL[0], target="relayed", issue="D")], "No finding; 1 listed as open."),
    ],
)
def test_the_verdict_is_one_sentence_that_leaves_nothing_out(runs: list[Run], verdict: str) -> None:
    runs = [msgspec.structs.replace(one, reason=Exclusion.ERA_NOT_SPOKEN) for one in runs]
    text = page.html(reported(*runs))
    (found,) = re.findall(r'<p class="verdict[^"]*">(.*?)</p>', text)
    assert found == verdict
    assert ('class="verdict good"' in text) is (runs[0].outcome == Kind.SUCCEEDED and len(runs) == 3)


def test_an_attack_shows_one_line_for_each_place_and_how_to_put_doorward_in_front() -> None:
    behind = msgspec.structs.replace(run(Outcome.PREVENTED, configured=False), topology="wrap")
    bare = msgspec.structs.replace(run(Outcome.SUCCEEDED), topology="stdio")
    text = page.html(reported(bare, behind, verb="attack", target=Target(("server", "a folder"))))
    assert text.count("<tr>") == 2
    assert "doorward wrap -- server &#x27;a folder&#x27;" in text


def test_walls_that_each_hold_alone_are_named_together_with_the_reason() -> None:
    stopped = run(Kind.PREVENTED, configured=False)
    stopped.evidence["variants"][0]["control"] = BOTH
    text = unescape(page.html(reported(run(Kind.SUCCEEDED), stopped)))
    assert f"<code>{BOTH}</code>: {GROUPS[BOTH]}" in text


def test_whoever_has_a_keyboard_reaches_everything() -> None:
    tags = Tags(page.html(reported(*FULL))).seen
    ids = {attributes.get("id") for _, attributes in tags}
    links = [str(attributes["href"])[1:] for tag, attributes in tags if tag == "a"]
    assert links
    assert set(links) <= ids
    assert all(attributes.get("tabindex") == "0" for tag, attributes in tags if tag == "pre")
    assert [attributes.get("lang") for tag, attributes in tags if tag == "html"] == ["en"]
    assert all(attributes.get("scope") == "col" for tag, attributes in tags if tag == "th")


def test_a_run_is_told_whole_once_for_each_target_and_protection_and_wherever_there_is_a_finding() -> None:
    again = [msgspec.structs.replace(one, topology="serve→URL") for one in FULL]
    harm = msgspec.structs.replace(run(Kind.SUCCEEDED, configured=True), topology="serve→URL", era="2026-07-28")
    report = reported(*FULL, *again, run(Kind.EXCLUDED, configured=True), harm)
    assert page_story.told_whole(report) == (*FULL, harm)
    assert page.html(report).count("<article ") == 4


def test_of_very_many_variants_the_findings_are_told_and_the_others_counted() -> None:
    one = run(Kind.SUCCEEDED, configured=True).evidence["variants"][0]
    fine = [{**one, "variant": f"v{n}", "outcome": "PREVENTED"} for n in range(page_story.MOST_VARIANTS)]
    text = page.html(reported(run(Kind.SUCCEEDED, configured=True, variants=[*fine, one])))
    assert text.index("dot-dot: the document&#x27;s own: SUCCEEDED [new]") < text.index("v0: the document")
    assert "1 more are in the JSON" in text
    assert "and 21 more" in text


def test_a_message_that_was_cut_or_left_out_is_said_to_be() -> None:
    one = run(Kind.SUCCEEDED, configured=True)
    long = {**one.evidence["variants"][0], "exchange": [message("x", cut=True, size=4_000_000, omitted=88)]}
    text = words(page.html(reported(run(Kind.SUCCEEDED, configured=True, variants=[long]))))
    assert "88 messages left out received, 4,000,000 bytes: the beginning x" in text


def test_whoever_reads_of_a_client_is_told_to_put_doorward_before_its_servers() -> None:
    rows = (run(Outcome.SUCCEEDED), run(Outcome.PREVENTED, configured=False))
    text = page.html(reported(*rows, verb="attack", target=Target(client=("a-client", "--fast"))))
    assert "Attack on a-client --fast" in text
    assert "wrap -- a-client" not in text
    assert "doorward wrap -- COMMAND" in text
