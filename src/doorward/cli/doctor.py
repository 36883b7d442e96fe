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
    """Try every way out and say which is closed."""
    from doorward.confine import cgroups, probe
    from doorward.confine.process import gaps

    try:
        holds = probe.probe()
    except ConfinementError as problem:
        return _unconfined(args, problem)
    groups = cgroups.held()
    if args.json:
        ways = [_as_json(way, holds) for way in probe.WAYS]
        told = {"mechanism": "landlock", "abi": holds.abi, "holds": holds.as_promised, "ways": ways, "groups": groups}
        terminal.write_json(told)
    else:
        terminal.write(f"landlock ABI {holds.abi}, seccomp; what a confined server does:\n")
        for way in probe.WAYS:
            _print(way, holds)
        for gap in gaps(holds.abi):
            terminal.write(f"this kernel: {gap}", style=terminal.YELLOW)
        _print_caps(groups)
        terminal.write()
        _conclude(holds)
    return CLEAN if holds.as_promised else FINDING


def _unconfined(args: argparse.Namespace, problem: ConfinementError) -> int:
    if args.json:
        terminal.write_json({"mechanism": "", "abi": 0, "holds": False, "ways": [], "why": str(problem)})
    terminal.error(str(problem), problem.hint)
    return FINDING


def _as_json(way: Way, holds: Holds) -> dict[str, str]:
    return {"id": way.id, "what": way.what, "control": way.control, "state": _state(way, holds)}


def _state(way: Way, holds: Holds) -> str:
    if way.id in holds.open:
        return "open" if way.control else "not enforced yet"
    return "untried" if way.id in holds.untried else "closed"


def _print(way: Way, holds: Holds) -> None:
    state = _state(way, holds)
    if state == "closed":
        terminal.write(f"  closed  {way.what}  ({way.control})", style=terminal.GREEN)
    elif state == "untried":
        terminal.write(f"  closed  {way.what}  (also without walls: not proven to be ours)")
    elif state == "open":
        terminal.write(f"  OPEN    {way.what}  ({way.control} does not hold here)", style=terminal.RED)
    else:
        terminal.write(f"  open    {way.what}  (not enforced yet)", style=terminal.YELLOW)


def _print_caps(groups: tuple[str, ...]) -> None:
    from doorward.confine.caps import bound_of_user

    each = "each process of a server has its own cap: no control group can be had here"
    bound = "the processes of the user are bounded" if bound_of_user(1) else "processes are not bounded"
    for resource, whole, instead in (
        ("memory", "memory is capped for a server's whole tree", f"memory: {each}"),
        ("pids", "processes are capped for a server's whole tree", f"{bound}: no control group can be had here"),
    ):
        if resource in groups:
            terminal.write(f"  capped  {whole}  (child-caps)", style=terminal.GREEN)
        else:
            terminal.write(f"  partly  {instead}", style=terminal.YELLOW)


def _conclude(holds: Holds) -> None:
    closed = len(holds.closed) + len(holds.untried)
    if holds.as_promised:
        terminal.write(f"{closed} closed, {len(holds.open)} not enforced yet: servers are confined as promised")
    else:
        terminal.write("servers are not confined as promised on this machine", style=terminal.RED)
