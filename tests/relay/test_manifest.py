"""The plan, the table of proofs and the tests say the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.relay.manifest import ABOUT_THE_DRIVER, ELSEWHERE, ITEMS, Later

HERE = Path(__file__).parent
PLAN = HERE.parents[1] / "docs" / "architecture.md"


def sentences() -> str:
    """The bullets of §4 that have to have tests, as one line without their dashes."""
    section = PLAN.read_text(encoding="utf-8").split("## 4. ")[1].split("## 5. ")[0]
    bullets = section.split("each with a test:")[1].split("**Ablation**")[0]
    lines = (line.strip().removeprefix("- ") for line in bullets.splitlines())
    return " ".join(line for line in lines if line)


def functions(module: str) -> dict[str, ast.FunctionDef]:
    tree = ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))
    return {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def named() -> set[str]:
    return {test for _, proof in ITEMS if not isinstance(proof, Later) for test in proof}


def test_every_sentence_of_the_plan_is_in_the_table_and_the_table_says_nothing_else() -> None:
    assert " ".join(sentence for sentence, _ in ITEMS) == sentences()


def test_every_item_has_a_test_or_a_reason_to_wait() -> None:
    assert [sentence for sentence, proof in ITEMS if not proof] == []


@pytest.mark.parametrize("test", sorted(named()))
def test_every_test_in_the_table_exists(test: str) -> None:
    module, _, name = test.partition("::")
    assert name in functions(module)


@pytest.mark.parametrize("module", sorted(path.stem for path in HERE.glob("test_*.py") if path.stem not in ELSEWHERE))
def test_every_test_of_this_room_stands_for_an_item(module: str) -> None:
    known = named() | set(ABOUT_THE_DRIVER)
    assert [name for name in functions(module) if f"{module}::{name}" not in known] == []


def test_no_test_of_this_room_is_empty() -> None:
    """Each function asserts something, or is held to a failure by ``pytest.raises``."""
    empty = [
        f"{path.stem}::{name}"
        for path in HERE.glob("test_*.py")
        for name, node in functions(path.stem).items()
        if not any(isinstance(part, ast.Assert | ast.With) for part in ast.walk(node))
        and not any(isinstance(part, ast.Name) and part.id == "play" for part in ast.walk(node))
    ]
    assert empty == []
