"""What code scanning gets: every rule each time, findings that keep their identity, and nothing hidden."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import msgspec
import pytest

from doorward.lab.attack.clients.lures import FAMILIES
from doorward.lab.attack.verdicts import Outcome
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.report.baseline import Earlier, Target
from doorward.lab.report.document import document
from doorward.lab.report.model import Report, Run, Verb
from doorward.lab.report.rules import rules
from doorward.lab.report.sarif import FINGERPRINT, sarif
from doorward.lab.scenario import HEADINGS, Kind

if TYPE_CHECKING:
    from doorward.lab.targets.published import Installed


def run(outcome: Kind | Outcome, *, configured: bool | None = None, **evidence: Any) -> Run:
    variants = [{"variant": "dot-dot", "outcome": outcome.value, "control": "", "saw": "the secret"}]
    target = "naive" if configured is None else "relayed"
    where = ("path-traversal", "notes", "2025-11-25", "wrap", target)
    return Run(*where, configured, outcome, None, None, {"variants": variants, **evidence})


def reported(*runs: Run, verb: Verb = "demo", **more: Any) -> Report:
    return Report(verb, "1", 7, "2026-11-26T00:00:00Z", 1.5, runs, **more)


def told(*runs: Run, verb: Verb = "demo", **more: Any) -> dict[str, Any]:
    whole = sarif(reported(*runs, verb=verb, **more))
    assert (whole["version"], len(whole["runs"])) == ("2.1.0", 1)
    (only,) = whole["runs"]
    return dict(only)


HARM = run(Kind.SUCCEEDED, configured=True)
OPEN = msgspec.structs.replace(run(Kind.SUCCEEDED, configured=False, open="nobody caps it"), issue="D")


@pytest.mark.parametrize("runs", [(), (HARM,)])
def test_all_of_the_catalogue_and_its_neighbours_are_rules_whatever_was_played(runs: tuple[Run, ...]) -> None:
    found = told(*runs)["tool"]["driver"]["rules"]
    everything = (*CATALOGUE, *NEIGHBOURS)
    named = {scenario.id for scenario in everything}
    clients = [family.id for family in FAMILIES if family.id not in named]
    assert [rule["id"] for rule in found] == [*(scenario.id for scenario in everything), *clients]
    for rule, scenario in zip(found, everything, strict=False):
        assert rule["shortDescription"]["text"] == scenario.title
        assert {f"external/cwe/{cwe.lower()}" for cwe in scenario.cwe} < set(rule["properties"]["tags"])
        assert all(f"{heading}\n" in rule["help"]["text"] for heading in HEADINGS)


def test_the_story_of_each_scenario_is_whole() -> None:
    for rule in rules():
        assert tuple(rule.story) == HEADINGS
        assert all(rule.story.values()) or (rule.controls, bool(rule.story["Remedy"])) == ((), True)


def test_a_result_points_at_its_rule_and_its_place() -> None:
    found = told(HARM)
    (result,) = found["results"]
    assert found["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "path-traversal"
    assert (result["kind"], result["level"], result["suppressions"]) == ("fail", "error", [])
    assert "the secret" in result["message"]["text"]
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "notes"
    assert location["logicalLocations"] == [{"name": "dot-dot", "fullyQualifiedName": "notes/dot-dot"}]
    assert "baselineState" not in result


def test_a_fingerprint_is_that_of_the_finding() -> None:
    report = Report("demo", "1", 7, "2026-11-26T00:00:00Z", 1.5, (HARM,))
    (finding,) = report.findings()
    assert told(HARM)["results"][0]["partialFingerprints"] == {FINGERPRINT: finding.fingerprint}


def test_what_is_open_is_there_and_marked_with_its_reason() -> None:
    first, second = told(HARM, OPEN)["results"]
    assert first["suppressions"] == []
    assert second["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "issue D: nobody caps it"}
    ]


def test_what_is_known_is_there_and_unchanged_and_what_is_not_is_new() -> None:
    report = Report("demo", "1", 7, "2026-11-26T00:00:00Z", 1.5, (HARM,))
    known = msgspec.convert(document(report)["findings"], tuple[Earlier, ...])
    shipped = msgspec.structs.replace(HARM, configured=False)
    old, new = told(HARM, shipped, baseline="last.json", known=known)["results"]
    assert (old["baselineState"], new["baselineState"]) == ("unchanged", "new")
    assert [one["justification"] for one in old["suppressions"]] == ["it stands in last.json"]
    assert new["suppressions"] == []


def test_what_is_not_known_is_no_result_and_no_success() -> None:
    good, unclear = run(Kind.PREVENTED, configured=True), run(Kind.INCONCLUSIVE, configured=True, note="it ended")
    skipped = run(Kind.EXCLUDED, configured=True, note="not installed")
    found = told(good, unclear, skipped)
    assert found["results"] == []
    (invocation,) = found["invocations"]
    assert invocation["executionSuccessful"] is False
    notes = [(note["level"], note["message"]["text"]) for note in invocation["toolExecutionNotifications"]]
    assert [level for level, _ in notes] == ["error", "note"]
    assert notes[0][1].endswith("INCONCLUSIVE: it ended")
    assert told(good, skipped)["invocations"][0]["executionSuccessful"] is True


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        (Target(url="https://a.example/mcp?token=x#y"), "https://a.example/mcp"),
        (Target(("npx", "-y", "@scope/server-of-files@1.0", "/a folder")), "server-of-files"),
        (Target(("/opt/a server", "--x")), "a-server"),
    ],
)
def test_the_location_of_an_attack_is_its_target(target: Target, uri: str) -> None:
    (result,) = told(run(Outcome.SUCCEEDED), verb="attack", target=target)["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


REPORTS = {
    "nothing played": sarif(reported()),
    "harm, and what is open": sarif(reported(HARM, OPEN)),
    "what nobody knows": sarif(reported(run(Kind.INCONCLUSIVE, configured=True), run(Kind.EXCLUDED))),
    "compared with an earlier one": sarif(reported(HARM, baseline="first.json")),
    "an attack on a URL": sarif(reported(HARM, verb="attack", target=Target(url="https://mcp.example.com/mcp?key=x"))),
    "an attack on a client": sarif(reported(HARM, verb="attack", target=Target(client=("/opt/a client",)))),
    "an attack on a command": sarif(reported(HARM, verb="attack", target=Target(("/opt/a server", "--root", "/x y")))),
}


@pytest.mark.parametrize("what", REPORTS)
def test_what_is_written_keeps_the_schema_of_the_standard(what: str, peers: Callable[[str], Installed]) -> None:
    """The schema is that of a reader by others, as it ships it."""
    (file,) = peers("sarif-multitool").root.rglob("sarif-2.1.0.json")
    schema = json.loads(file.read_text(encoding="utf-8"))
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    validator.validate(REPORTS[what])
    assert not validator.is_valid({**REPORTS[what], "version": "2.2.0"})
