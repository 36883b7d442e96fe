"""``doorward doctor``: whether what Doorward promises of servers holds on this machine, by trying it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from doorward.cli import terminal
from doorward.errors import ConfinementError

if TYPE_CHECKING:
    from doorward.confine.probe import Holds, Way

CLEAN, FINDING = 0, 1

_EXAMPLE = """\
exit: 0 every wall that Doorward promises holds here; 1 one does not, or servers cannot be confined at all

  doorward doctor
  doorward doctor --json | jq '.ways[] | select(.state == "open")'
"""

Tried = dict[str, "Holds | ConfinementError"]
"""By mechanism: what it holds, or why it does not stand on this machine."""


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "doctor",
        parents=[common],
        description="Starts a program inside the walls that servers get, and once without them; it tries to get out.\n"
        "What holds on this machine is said of what was tried, and not of a version number.",
        epilog=_EXAMPLE,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Try every way out of every mechanism and say which is closed."""
    from doorward.confine import probe

    tried: Tried = {}
    for mechanism in probe.MECHANISMS:
        try:
            tried[mechanism] = probe.probe(mechanism)
        except ConfinementError as problem:
            tried[mechanism] = problem
    groups = probe.held()
    chosen = next((found for found in tried.values() if not isinstance(found, ConfinementError)), None)
    if args.json:
        terminal.write_json(_document(tried, chosen) | {"groups": groups})
    if chosen is None:
        for why in tried.values():
            if isinstance(why, ConfinementError):
                terminal.error(str(why), why.hint)
    elif not args.json:
        _print(tried, chosen, groups)
    return CLEAN if chosen is not None and chosen.as_promised else FINDING


def _document(tried: Tried, chosen: Holds | None) -> dict[str, Any]:
    mechanisms = [
        {"mechanism": name, "holds": False, "why": str(found), "ways": []}
        if isinstance(found, ConfinementError)
        else {"mechanism": name, "holds": found.as_promised, "abi": found.abi, "ways": _ways(found)}
        for name, found in tried.items()
    ]
    return {
        "mechanism": chosen.mechanism if chosen else "",
        "abi": chosen.abi if chosen else 0,
        "holds": chosen is not None and chosen.as_promised,
        "ways": _ways(chosen) if chosen else [],
        "mechanisms": mechanisms,
    }


def _ways(holds: Holds) -> list[dict[str, str]]:
    from doorward.confine.probe import WAYS

    return [{"id": way.id, "what": way.what, "control": way.control, "state": _state(way, holds)} for way in WAYS]


def _state(way: Way, holds: Holds) -> str:
    if way.id in holds.open:
        return "open"
    return "untried" if way.id in holds.untried else "closed"


def _print(tried: Tried, chosen: Holds, groups: tuple[str, ...]) -> None:
    from doorward.confine.probe import WAYS

    standing = [found for found in tried.values() if not isinstance(found, ConfinementError)]
    for holds in standing:
        landlock = f"landlock ABI {holds.abi}" if holds.abi else "no landlock"
        by = landlock if holds.mechanism == "landlock" else f"namespaces, {landlock}"
        terminal.write(f"{holds.mechanism}: {by}, seccomp{', which servers get here' if holds is chosen else ''}")
    for name, problem in tried.items():
        if isinstance(problem, ConfinementError):
            terminal.write(f"{name}: does not stand here: {problem}", style=terminal.YELLOW)
    terminal.write("\nwhat a confined server does:\n")
    terminal.write("  " + "".join(f"{holds.mechanism:12}" for holds in standing))
    for way in WAYS:
        states = [_state(way, holds) for holds in standing]
        line = "".join(f"{_WORDS[state]:12}" for state in states)
        style = terminal.RED if states[0] == "open" else terminal.GREEN if states[0] == "closed" else ""
        proof = ", also without walls: not proven to be ours" if "untried" in states else ""
        terminal.write(f"  {line}{way.what}  ({way.control}{proof})", style=style)
    _print_caps(groups)
    terminal.write()
    if chosen.as_promised:
        terminal.write(f"{len(WAYS)} ways out, none open: servers are confined as promised")
    else:
        terminal.write("servers are not confined as promised on this machine", style=terminal.RED)


def _print_caps(groups: tuple[str, ...]) -> None:
    from doorward.confine.caps import bound_of_user

    each = "each process of a server has its own cap: no control group can be had here"
    bound = "the processes of the user are bounded" if bound_of_user(1) else "processes are not bounded"
    for resource, whole, instead in (
        ("memory", "memory is capped for a server's whole tree", f"memory: {each}"),
        ("pids", "processes are capped for a server's whole tree", f"{bound}: no control group can be had here"),
        ("cpu", "processors are a share for a server's whole tree", "processors are not bounded: a server only yields"),
    ):
        if resource in groups:
            terminal.write(f"  capped  {whole}  (child-caps)", style=terminal.GREEN)
        else:
            terminal.write(f"  partly  {instead}", style=terminal.YELLOW)


_WORDS = {"open": "OPEN", "closed": "closed", "untried": "closed"}
