"""Check: what the operator demands of an argument holds (threat ``argument-injection``).

Constraints stand in ``doorward.toml`` per server, tool and argument. A constraint on a container holds for every
string in it, so nothing hides in nested objects or lists. ``path_below`` is judged on real paths, as in
``judge.checks.paths``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from doorward.content.arguments import Constraint, outside, path_readings, select, text_of, violates
from doorward.content.credentials import sensitive_kind
from doorward.content.pointers import split
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, RealPath
from doorward.policy.model import ServerPolicy
from doorward.protocol.actions import Action, CallTool

CONTROL: Final = "argument-constraints"


def require_constraints(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, CallTool):
        return None
    for pointer, constraint, leaf in constrained(action, context.server):
        text = text_of(leaf)
        why = violates(constraint, leaf) or _misplaced(constraint, text, context)
        if why is not None:
            evidence = f"{constraint.kind}: {_shown(pointer, text)}"[:MAX_EVIDENCE]
            return Finding(CONTROL, Effect.DENY, f"{pointer} {why}", evidence)
    return None


def _shown(pointer: str, text: str) -> str:
    """``text`` as evidence. What stands below a sensitive name is told by that name, which evidence does not have."""
    return "(not shown)" if any(map(sensitive_kind, split(pointer))) else text


def constrained(action: CallTool, server: ServerPolicy) -> Iterator[tuple[str, Constraint, object]]:
    """(pointer, constraint, leaf) of everything in the call that a constraint speaks of."""
    for key, constraints in server.tool(action.name).arguments.items():
        for pointer, leaf in select(action.arguments, key):
            for constraint in constraints:
                yield pointer, constraint, leaf


def _misplaced(constraint: Constraint, text: str, context: Context) -> str | None:
    if constraint.kind != "path_below":
        return None
    found = path_readings(constraint, text, context.folders)
    if found.problem:
        return f"is no path to trust: {found.problem}"
    real = [context.facts.answers.get(RealPath(path)) for path in found.paths]
    return outside(constraint, real, context.folders)
