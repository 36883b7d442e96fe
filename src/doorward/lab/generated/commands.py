"""Ways to put a command behind the name of a script: the joint, the command, its spelling, the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.lab.scenario import Variant
from doorward.lab.scenarios.argument_injection import LEGIT, SHIPPED

if TYPE_CHECKING:
    import random

MISSING = "missing_script.py"
COMMANDS = (
    "touch {marker}",
    "/usr/bin/touch {marker}",
    "t''ouch {marker}",
    't""ouch {marker}',
    "t\\ouch {marker}",
    "touch${IFS}{marker}",
    "touch\t{marker}",
    "command touch {marker}",
    "env touch {marker}",
    "mkdir {marker}",
    ": > {marker}",
    "echo x >{marker}",
    "printf x >> {marker}",
    "cp /dev/null {marker}",
    "ln -s /dev/null {marker}",
    "tee {marker} < /dev/null",
    "dd if=/dev/null of={marker}",
    "sh -c 'touch {marker}'",
    "eval touch {marker}",
    "X=touch; $X {marker}",
    " (touch {marker})",
    "{ touch {marker}; }",
    "if true; then touch {marker}; fi",
)
AFTER = ("; ", ";", ";\t", "\n", " \n ", " && ", "&&", " | ", "|", " & wait; ", "&wait;")
AFTER_FAILURE = (" || ", "||")
INSIDE = (" $(%s)", " `%s`", ' "$(%s)"', ' "`%s`"', " ${NOTHING:-$(%s)}", " $(%s) $(true)")
REDIRECTIONS = (" > %s", ">%s", " >> %s", " 2> %s", " >| %s", " 1>%s", " <> %s", " 3>%s")
TAILS = ("", "", "", " #", "; true", "\n", " && true")


def draw(source: random.Random, id: str) -> Variant:
    """One call: the line alone, as a step among others, or as the last step."""
    line = _line(source)
    where = source.choice(("alone", "alone", "step", "last"))
    if where == "alone":
        call = {"name": "execute_script", "arguments": {"script_path": line}}
    elif where == "step":
        steps = [LEGIT] * source.randint(0, 2)
        steps.insert(source.randint(0, len(steps)), line)
        call = {"name": "execute_plan", "arguments": {"steps": steps}}
    else:
        steps = [LEGIT] * source.randint(0, 2)
        call = {"name": "execute_plan", "arguments": {"steps": steps, "finally": {"script_path": line}}}
    return Variant(id, f"{where}: {line!r}", call, SHIPPED)


def _line(source: random.Random) -> str:
    command, tail = source.choice(COMMANDS), source.choice(TAILS)
    kind = source.choice(("after", "after", "after-failure", "inside", "redirection"))
    if kind == "inside":
        return LEGIT + source.choice(INSIDE) % command
    if kind == "redirection":
        return LEGIT + source.choice(REDIRECTIONS) % "{marker}" + tail
    if kind == "after-failure":
        return MISSING + source.choice(AFTER_FAILURE) + command + tail
    return LEGIT + source.choice(AFTER) + command + tail
