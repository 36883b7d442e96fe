"""`doorward.policy.profiles`, the table of docs/architecture.md §7 and README say the same, in both directions."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from doorward.errors import UsageError
from doorward.policy.amounts import Sizes
from doorward.policy.profiles import PROFILES, ROWS, STANDARD, STRICT, describe_sizes, values

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
UNITS = {"B": 1, "KiB": 1024, "MiB": 1024 * 1024}


def documented() -> dict[str, tuple[str, str]]:
    """Title -> words for standard and strict, from the first table of §7, without Markdown's marks."""
    section = ARCHITECTURE.read_text(encoding="utf-8").partition("\n## 7. Defaults\n")[2].partition("\n## 8.")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [tuple(re.sub(r"[`*]", "", cell).strip() for cell in line.strip("|").split("|")) for line in lines]
    assert cells[0] == ("", "standard (default)", "strict")
    return {title: (standard, strict) for title, standard, strict in cells[2:]}


def test_each_row_has_the_words_of_the_architecture() -> None:
    told = documented()
    assert {row.title: (row.standard, row.strict) for row in ROWS} == told
    assert [row.title for row in ROWS] == list(told)


def unenforced() -> tuple[list[tuple[str, str]], dict[str, str]]:
    """README's rows (title, what it means), and title -> what is missing of those that are enforced in part."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Not enforced yet\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert head == ["default", "until then"]
    in_part = " ".join(section.partition("\nIn part: ")[2].split())
    return [(title, meaning) for title, meaning in rows], dict(re.findall(r"\*([^*]+)\* without ([^;]+)[;.]", in_part))


def test_the_readme_names_each_row_without_a_control_once_and_no_other() -> None:
    told, _ = unenforced()
    assert sorted(title for title, _ in told) == sorted(row.title for row in ROWS if not row.controls)
    assert all(meaning for _, meaning in told)


def test_the_readme_names_what_is_missing_of_each_row_that_is_enforced_in_part() -> None:
    _, in_part = unenforced()
    assert in_part == {row.title: row.not_yet for row in ROWS if row.not_yet}


def test_rows_have_distinct_ids() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS) == 19


def test_words_that_refer_to_the_other_profile_are_spelt_out_where_they_stand_alone() -> None:
    for row in ROWS:
        alone = row.words(STRICT)
        assert alone not in ("same", "a quarter", "a tenth")
        assert not alone.startswith("also ")
        assert row.words(STANDARD) == row.standard


def test_strict_sizes_are_a_quarter() -> None:
    standard, strict = (msgspec.structs.asdict(values(profile).sizes) for profile in PROFILES)
    assert {name: 4 * size for name, size in strict.items()} == standard


def test_the_words_for_sizes_give_back_the_numbers() -> None:
    for profile in PROFILES:
        sizes = values(profile).sizes
        found = re.findall(r"([\d,]+)(?: (B|KiB|MiB))?\b", describe_sizes(sizes))
        numbers = [int(number.replace(",", "")) * UNITS.get(unit, 1) for number, unit in found]
        assert numbers == list(msgspec.structs.astuple(sizes))


def test_a_size_that_is_no_round_number_is_told_in_bytes() -> None:
    sizes = Sizes(*range(1001, 1012))
    assert describe_sizes(sizes).startswith("to server 1001 B, from server 1002 B")


def test_strict_never_decides_more_loosely_than_standard() -> None:
    standard, strict = values(STANDARD), values(STRICT)
    for asks in ("ask_first_use", "ask_every_tool_call", "undeclared_always_refused", "safe_environment_only"):
        assert getattr(strict, asks) >= getattr(standard, asks)
    for lets in ("official_extensions_pass", "folders_from_arguments"):
        assert getattr(strict, lets) <= getattr(standard, lets)


def test_there_is_no_third_profile() -> None:
    with pytest.raises(UsageError, match="no profile is called 'paranoid'"):
        values("paranoid")
