"""Variants of attacks that nobody wrote down one by one: small grammars and a seed.

What is written by hand is what its author thought of. A grammar combines the same ideas in ways that nobody looked at,
so that a control which knows our examples, and not the thing itself, is found out. Each grammar draws for the target of
its scenario; a drawn variant that does no harm there when bare is a mistake of the grammar, and a test says so.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

from doorward.lab.generated import commands, log_lines, paths, prompts
from doorward.lab.scenario import Example
from doorward.lab.scenarios import log_leakage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from doorward.lab.scenario import Scenario, Target, Variant

    Draw = Callable[[random.Random, str], Variant]

DRAWS_PER_VARIANT = 50
"""So many draws in a row may repeat what was drawn before; then the grammar is too small for what is asked of it."""


class Grammar(msgspec.Struct, frozen=True):
    """Draws variants for one example. ``least`` is how many different ones `make soak` plays.

    ``target`` is the server, where it is not that of the example with that id.
    """

    scenario: str
    example: str
    least: int
    draw: Draw
    target: Target | None = None


GRAMMARS = (
    Grammar("path-traversal", "workspace-notes", 300, paths.draw),
    Grammar("argument-injection", "script-runner", 200, commands.draw),
    Grammar("log-leakage", "job-logger", 150, log_lines.draw, log_leakage.JOBS),
    Grammar("consent-bypass", "misleading-ui", 60, prompts.draw),
)


def variants(grammar: Grammar, count: int, seed: int) -> tuple[Variant, ...]:
    """``count`` different variants; the same for the same ``seed``, and the first ones of a larger count.

    Raises:
        ValueError: the grammar has not so many.
    """
    return tuple(_drawn(grammar, count, random.Random(f"{grammar.scenario}/{seed}")))  # noqa: S311 - to be repeated


def _drawn(grammar: Grammar, count: int, source: random.Random) -> Iterator[Variant]:
    seen = set[bytes]()
    for number in range(count):
        for _ in range(DRAWS_PER_VARIANT):
            variant = grammar.draw(source, f"drawn-{number:03d}")
            payload = msgspec.json.encode(variant.payload)
            if payload not in seen:
                break
        else:
            raise ValueError(f"the grammar of {grammar.scenario} has fewer than {count} variants")
        seen.add(payload)
        yield variant


def example(grammar: Grammar, scenario: Scenario, drawn: tuple[Variant, ...]) -> Example:
    """The example that the grammar draws for, with ``drawn`` in place of what was written by hand."""
    if grammar.target is not None:
        return Example(id=grammar.example, title=grammar.target.title, target=grammar.target, variants=drawn)
    written = next(each for each in scenario.examples if each.id == grammar.example)
    return msgspec.structs.replace(written, variants=drawn)
