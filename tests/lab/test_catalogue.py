"""The contract that every scenario keeps."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import pytest

import doorward
from doorward.lab import open_cells
from doorward.lab.catalogue import CATALOGUE
from doorward.lab.generated import GRAMMARS
from doorward.lab.lines import Line
from doorward.lab.neighbours.catalogue import NEIGHBOURS
from doorward.lab.scenario import BEHIND, CONFIGURATION_LINES, HEADINGS, Example, Scenario
from doorward.lab.scenarios.lines import LINES
from doorward.policy import known_servers
from doorward.policy.load import load

SOURCE = Path(doorward.__file__).parent
THREATS = SOURCE.parents[1] / "docs" / "threats.md"
EVERYTHING = (*CATALOGUE, *NEIGHBOURS)
EXAMPLES = [(scenario, example) for scenario in EVERYTHING for example in scenario.examples]

every_scenario = pytest.mark.parametrize("scenario", EVERYTHING, ids=lambda s: s.id)
every_example = pytest.mark.parametrize(
    "example", [e for _, e in EXAMPLES], ids=[f"{s.id}-{e.id}" for s, e in EXAMPLES]
)

PAYLOADS = ("legit_script", "work-evil", "attacker.example", "trusted.com", "kestrel", "Summarize the previous email")


def payload_words() -> list[str]:
    tools = {tool for _, example in EXAMPLES for tool in example.target.tools}
    drawn_for = [grammar.target for grammar in GRAMMARS if grammar.target]
    tools |= {tool for target in drawn_for for tool in target.tools}
    targets = {example.target.id for _, example in EXAMPLES} - {"filesystem"}  # a word of everybody's
    targets |= {target.id for target in drawn_for}
    return sorted(tools | targets | set(PAYLOADS))


@every_scenario
def test_a_scenario_tells_its_story_under_the_fixed_headings(scenario: Scenario) -> None:
    text = inspect.cleandoc(type(scenario).__doc__ or "")  # Python 3.13 does that by itself
    found = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert tuple(found) == HEADINGS
    for section in re.split(r"^\w+:$", text, flags=re.MULTILINE)[1:]:
        assert len(section.split()) >= 3


@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_a_scenario_is_an_entry_of_the_threat_document(scenario: Scenario) -> None:
    assert re.search(rf"^\*\*`{re.escape(scenario.id)}`:", THREATS.read_text(encoding="utf-8"), re.MULTILINE)


@every_scenario
def test_a_scenario_is_classified(scenario: Scenario) -> None:
    assert all(re.fullmatch(r"CWE-\d+", cwe) for cwe in scenario.cwe)
    assert scenario.cwe
    assert re.fullmatch(r"MCP(0[1-9]|10):2025", scenario.owasp)
    assert scenario.controls or {v.id for e in scenario.examples for v in e.variants} <= open_variants(scenario)
    assert scenario.attacker


def open_variants(scenario: Scenario) -> set[str]:
    """What is listed as open, as shipped and configured."""
    listed = [cell for cell in open_cells.listed() if cell.scenario == scenario.id]
    assert all(set(cell.protections) == set(BEHIND) for cell in listed if not scenario.controls)
    return {variant for cell in listed for variant in cell.variants}


def test_ids_are_unique() -> None:
    ids = [scenario.id for scenario in EVERYTHING]
    assert len(set(ids)) == len(ids)
    for scenario in EVERYTHING:
        assert len({example.id for example in scenario.examples}) == len(scenario.examples)
        for example in scenario.examples:
            assert len({variant.id for variant in example.variants}) == len(example.variants) > 0


@every_example
def test_a_configuration_is_short_and_one_that_the_product_takes(example: Example, tmp_path: Path) -> None:
    text = example.target.configuration.replace("{work}", str(tmp_path))
    assert 0 < len(text.splitlines()) <= CONFIGURATION_LINES
    tomllib.loads(text)
    file = tmp_path / "doorward.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    policy = load(file)
    named = set(policy.servers)
    assert named <= {example.target.id}
    assert all(set(policy.servers[name].tools) <= set(example.target.tools) for name in named)
    assert not policy.observe_until


def test_no_code_outside_the_lab_knows_a_target() -> None:
    pattern = re.compile(r"\b(" + "|".join(re.escape(word) for word in payload_words()) + r")\b")
    # What is demanded of well-known servers names tools of published ones, which some targets are.
    published = known_servers.FOLDER
    found = [
        f"{path.relative_to(SOURCE)}: {match.group()}"
        for path in sorted(SOURCE.rglob("*"))
        if path.suffix in {".py", ".toml", ".json"} and "lab" not in path.relative_to(SOURCE).parts
        if path.parent != published
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("script", sorted((SOURCE / "lab" / "targets").glob("*.py")), ids=lambda p: p.name)
def test_our_targets_import_nothing_of_doorward(script: Path) -> None:
    assert not re.search(r"^\s*(from|import) doorward", script.read_text(encoding="utf-8"), re.MULTILINE)


TESTS = Path(__file__).parents[1]
EVERY_LINE = [(scenario, line) for scenario, lines in LINES.items() for line in lines]


def section(scenario: str) -> str:
    """What docs/threats.md says of one scenario, in one line."""
    text = THREATS.read_text(encoding="utf-8").partition(f"**`{scenario}`:")[2]
    return " ".join(re.split(r"\n\*\*`|\n##", text, maxsplit=1)[0].split())


@pytest.mark.parametrize(("scenario", "line"), EVERY_LINE, ids=lambda v: getattr(v, "words", v))
def test_a_form_is_one_of_the_document_and_is_played_or_says_why_not(scenario: str, line: Line) -> None:
    assert " ".join(line.words.split()) in section(scenario)
    assert set(line.runs) <= variants_of(scenario)
    assert bool(line.runs) is (line.unplayed is None)
    assert line.unplayed is None or line.issue in "BCDEFGHI"
    for named in re.findall(r"\b[a-z]+/test_[a-z_]+", line.why + line.missing):
        assert (TESTS / f"{named}.py").exists()


@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_every_variant_plays_a_form_of_the_document(scenario: Scenario) -> None:
    assert {run for line in LINES[scenario.id] for run in line.runs} == variants_of(scenario.id)


PROSE = (
    *("The user means", "gets `trustecl.internal`", "Variants the lab plays", "on stdio"),
    *("it may not use or does not support", "A real man in the middle", "between client and server"),
    *("rewrites the content", "On stdio", "legit_script.py", "rm -rf", "in nested objects"),
    *("deletes a file through a tool", "later denies it", "or the operator", "a consent record is forged"),
    *("Clients' URL types", "the lab must send", "sends it as", "Many clients", "one honest client"),
    *("to a schema without", "Also", "`manage_service` builds", "misleading UI", "the rest of the prompt"),
    "auto-approval",
)
"""Parts of the document's sentences that tell a story or belong to a form that is a line by other words."""


@pytest.mark.parametrize("scenario", CATALOGUE, ids=lambda s: s.id)
def test_every_form_that_the_document_lists_is_a_line(scenario: Scenario) -> None:
    listed = re.split(r" - (?:Primary|What|The measure|Oracle|Naive)", section(scenario.id), maxsplit=1)[0]
    lines = [" ".join(line.words.split()) for line in LINES[scenario.id]]
    forms = [form.strip(" .()") for form in re.split(r"[,;] | and |\. |: ", listed)]
    unknown = [form for form in forms if len(form) > 3 and not any(w in form or form in w for w in (*lines, *PROSE))]
    assert unknown == []


def variants_of(scenario: str) -> set[str]:
    return {v.id for one in CATALOGUE if one.id == scenario for e in one.examples for v in e.variants}
