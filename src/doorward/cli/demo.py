"""``doorward demo``: attack servers without Doorward and behind it, on this machine, with real processes.

Progress goes to stderr, the matrix to stdout (or the rows as JSON, with ``--json -``). Nothing is installed and no
network is used: a published target that is not there is excluded, which counts as a failure only where ``CI=true``.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from doorward.cli import reporting, terminal
from doorward.cli.playing import CLEAN, exit_code, play_until, require_lab, seed_of
from doorward.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from doorward.lab.report.model import Report, Run
    from doorward.lab.runner import Cell
    from doorward.lab.scenario import Protection

TOPOLOGIES = ("wrap", "serve-command", "serve-url")
"""What stands where, in letters that every keyboard has; the order is that of ``lab.scenario.Topology``."""

_EPILOG = """\
exit: 0 every attack succeeded bare and was prevented behind Doorward (or by the twin), or is listed as open and shown
as such; 1 harm or a broken benign use there, or an attack that does not work on a bare target; 2 environment, or an
inconclusive run

  doorward demo --only path-traversal --json - | jq '.runs[] | {target, outcome, control}'
  doorward demo --guarded --only path-traversal
"""


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "demo",
        parents=[common],
        help="attack servers without Doorward and behind it",
        description="Plays the attacks of the threat document against servers on this machine: bare, behind Doorward\n"
        "as shipped, and configured; over pipes (wrap), and over HTTP in front of a command and of a URL (serve).\n"
        "Everything happens in temporary folders.",
        epilog=_EPILOG,
    )
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="play this scenario; may be repeated")
    parser.add_argument(
        "--topology",
        action="append",
        default=[],
        choices=TOPOLOGIES,
        help="only over this; may be repeated (default: all)",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--neighbours", action="store_true", help="instead of the document's attacks, those next to them"
    )
    instead.add_argument(
        "--guarded",
        action="store_true",
        help="instead of Doorward, twins of the servers, written with doorward.guard: nothing stands in front of them",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and end")
    parser.add_argument(
        "--all-variants",
        action="store_true",
        help="play every variant of each attack (default: one of each, canonical)",
    )
    reporting.add_options(parser)
    parser.add_argument(
        "--seed", type=int, default=None, metavar="N", help="seed of the planted values (default: random)"
    )
    parser.add_argument(
        "--allow-inconclusive", action="store_true", help="inconclusive runs do not change the exit code"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play and report.

    Raises:
        UsageError: the extra ``lab`` is not installed, ``--only`` names no scenario (with ``--guarded`` none with a
            twin), nothing is played over ``--topology``, or a file cannot be written.
    """
    require_lab()
    known = {scenario.id: scenario for scenario in _catalogue(args)}
    for wanted in args.only:
        if wanted not in known:
            kind = "scenario with a twin" if args.guarded else "scenario"
            raise UsageError(f"there is no {kind} {wanted!r}", hint=f"one of: {', '.join(known)}")
    chosen = [scenario for id, scenario in known.items() if not args.only or id in args.only]
    if args.list:
        return _list(chosen, args.json)
    if args.state or args.config:
        terminal.say("every run has a state and a configuration of its own, so --state and -c change nothing here")
    draft = reporting.begun(args, "demo", seed_of(args.seed))
    report = reporting.played(
        draft,
        lambda: _play(
            chosen,
            draft.seed,
            args.topology or TOPOLOGIES,
            whole=args.all_variants or args.neighbours,
            guarded=args.guarded,
        ),
    )
    if not reporting.written(args, report):
        _print(report, chosen, whole=args.all_variants or args.neighbours)
        for line in reporting.compared(report):
            terminal.write(line)
    return exit_code(report, allow_inconclusive=args.allow_inconclusive, in_ci=os.environ.get("CI") == "true")


def _catalogue(args: argparse.Namespace) -> Sequence[Any]:
    """What could be played."""
    from doorward.lab import guarded
    from doorward.lab.catalogue import CATALOGUE
    from doorward.lab.neighbours.catalogue import NEIGHBOURS

    if args.guarded:
        return tuple(dict.fromkeys(cell.scenario for cell in guarded.cells()))
    return NEIGHBOURS if args.neighbours else CATALOGUE


def _play(chosen: Sequence[Any], seed: int, topologies: Sequence[str], *, whole: bool, guarded: bool) -> list[Run]:
    import signal

    from doorward.lab import guarded as twins
    from doorward.lab.runner import canonical, cells, play_all, together
    from doorward.lab.scenario import GATEWAY, Topology

    over = {topology for name, topology in zip(TOPOLOGIES, Topology, strict=True) if name in topologies}
    all_cells = twins.cells(chosen) if guarded else cells(chosen)
    wanted = tuple(cell if whole else canonical(cell) for cell in all_cells if cell.topology in over)
    if not wanted:
        raise UsageError("nothing of it is played over that", hint="leave --topology out")
    progress = _Progress(len(wanted) * (2 if guarded else len(GATEWAY)), seed)

    async def played() -> list[Run]:
        if guarded:
            rest = [run for run in twins.left_out(chosen) if Topology(run.topology) in over]
            return [*await twins.play_all(wanted, progress, seed=seed), *rest]
        return await play_all(together(wanted), progress, seed=seed)

    try:
        return play_until(played, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    finally:
        progress.close()


class _Progress:
    """One line that changes, on a terminal; one line per finished run, elsewhere."""

    def __init__(self, total: int, seed: int) -> None:
        self._total, self._done, self._drawn = total, 0, 0
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._playing: list[str] = []
        self._started = time.monotonic()
        terminal.say(f"{total} runs, seed {seed}")

    def started(self, cell: Cell, protection: Protection) -> None:
        self._playing.append(_label(cell, protection))
        self._draw()

    def finished(self, cell: Cell, run: Run) -> None:
        from doorward.lab.report import matrix

        self._done += 1
        label = _label(cell, run.protection)
        if label in self._playing:  # of several on one stage, it is the first that began
            self._playing.remove(label)
        if not self._live:
            terminal.say(f"{self._done}/{self._total} {label}: {matrix.words(run)}")
        self._draw()

    def close(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def _draw(self) -> None:
        if not self._live:
            return
        filled = self._done * 20 // self._total
        bar = "#" * filled + "." * (20 - filled)
        elapsed = time.monotonic() - self._started
        line = f"[{bar}] {self._done}/{self._total} {elapsed:3.0f} s  {'; '.join(self._playing)}"
        line = line[: max(1, terminal.columns(sys.stderr) - 3)]  # a terminal adds ^C to it
        sys.stderr.write(f"\r\x1b[2K{line}")
        sys.stderr.flush()
        self._drawn = len(line)


def _label(cell: Cell, protection: Protection) -> str:
    return f"{cell.topology.value}: {cell.scenario.id} on {cell.example.id}, {cell.era.value}, {protection.value}"


def _print(report: Report, chosen: Sequence[Any], *, whole: bool) -> None:
    from doorward.lab import guarded
    from doorward.lab.report import matrix
    from doorward.lab.scenario import Exclusion, Protection

    runs = report.runs
    terminal.write(matrix.text(runs, columns=terminal.width() if sys.stdout.isatty() else None))
    for configuration, scenarios in _configurations(runs).items():
        lines = "".join(f"\n  {line}" for line in configuration.splitlines())
        folder = ", {work} being the folder that the run gave it" if "{work}" in configuration else ""
        terminal.write(f"\n{', '.join(scenarios)}: configured with{folder}:{lines}")
    for trouble in matrix.troubles(runs):
        terminal.write(f"\n{trouble}", style=terminal.YELLOW)
    for opening in matrix.openings(runs):
        terminal.write(f"\n{opening}", style=terminal.YELLOW)
    for inside in matrix.insides(runs):
        terminal.write(f"\n{inside}", style=terminal.YELLOW)
    for missing in dict.fromkeys(run.evidence["note"] for run in runs if run.reason is Exclusion.REGISTRY_UNREACHABLE):
        terminal.write(f"\n{missing}; `make demo` does so as well", style=terminal.YELLOW)
    if Protection.GUARDED in matrix.columns_of(runs):
        for missing in guarded.unplayed(chosen):
            terminal.write(f"\n{missing}", style=terminal.YELLOW)
    more = "" if whole else "; one variant of each attack, --all-variants plays every one"
    terminal.write(f"\n{len(runs)} runs in {report.seconds:.0f} s{more}")


def _configurations(runs: Sequence[Run]) -> dict[str, dict[str, None]]:
    """What operators would write, and the scenarios that were played with it, in their order."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        if configuration := run.evidence.get("configuration", ""):
            found.setdefault(configuration, {})[run.id] = None
    return found


def _list(chosen: Sequence[Any], json_file: str | None) -> int:
    if json_file == "-":
        terminal.write_json({"scenarios": [_described(scenario) for scenario in chosen]})
        return CLEAN
    for scenario in chosen:
        terminal.write(
            f"{scenario.id}  {scenario.title}  ({scenario.stride}; {', '.join(scenario.cwe)}; {scenario.owasp})"
        )
        for example in scenario.examples:
            terminal.write(f"  {example.id}: {example.title}; {len(example.variants)} variants")
    return CLEAN


def _described(scenario: Any) -> dict[str, Any]:
    return {
        "id": scenario.id,
        "title": scenario.title,
        "stride": scenario.stride,
        "cwe": scenario.cwe,
        "owasp": scenario.owasp,
        "controls": scenario.controls,
        "examples": [{"id": e.id, "title": e.title, "variants": [v.id for v in e.variants]} for e in scenario.examples],
    }
