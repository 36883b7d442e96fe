"""The reports of the verbs that attack, beside what they print: one option for each format, all of one play."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.cli import terminal
from doorward.cli.playing import require_writable, write_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from doorward.lab.report.model import Report, Run, Verb


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; ``--json FILE`` is one of every verb."""
    parser.add_argument("--junit", metavar="FILE", help="write the result as JUnit XML")
    parser.add_argument("--sarif", metavar="FILE", help="write the findings as SARIF 2.1.0")
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="an earlier report (JSON): what stands there is known, and only what is new decides the exit code",
    )
    parser.add_argument("--html", metavar="FILE", help="write the result as a page of HTML")


def begun(args: argparse.Namespace, verb: Verb, seed: int, **target: tuple[str, ...]) -> Report:
    """A report without its runs and its time, made before anything is played: what cannot be written is said now.

    ``target`` is a member of ``report.baseline.Target`` with the words that name it.

    Raises:
        UsageError: a file cannot be written, or the baseline is none.
    """
    import datetime

    import msgspec

    from doorward import __version__
    from doorward.gateway.identity.command import shown
    from doorward.lab.report import baseline
    from doorward.lab.report.baseline import Target
    from doorward.lab.report.model import Report

    for file in ("" if args.json == "-" else args.json, args.junit, args.sarif, args.html):
        if file:
            require_writable(Path(file))
    masked = {name: shown(words) for name, words in target.items()}
    about = Target(masked.get("command", ()), "".join(masked.get("url", ())), masked.get("client", ()))
    earlier = baseline.read(Path(args.baseline), verb) if args.baseline else None
    known = earlier.known if earlier else ()
    if earlier and not earlier.target.is_like(about):
        terminal.say(f"{args.baseline} is about another target, so nothing in it counts as known: {earlier.target}")
        known = ()
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    draft = Report(verb, __version__, seed, now, 0.0, (), about)
    return msgspec.structs.replace(draft, baseline=args.baseline or "", known=known)


def played(draft: Report, play: Callable[[], Sequence[Run]]) -> Report:
    """The whole report, of what ``play`` brings and how long it takes; its words are masked."""
    import msgspec

    from doorward.content.redaction import Masker
    from doorward.lab.report.model import masked

    started = time.monotonic()
    runs = play()
    seconds = time.monotonic() - started
    masker = Masker(os.urandom(32))
    return msgspec.structs.replace(draft, runs=tuple(masked(run, masker) for run in runs), seconds=seconds)


def written(args: argparse.Namespace, report: Report) -> bool:
    """Write what was asked for. Whether that took stdout, which then holds nothing else.

    Raises:
        UsageError: the system refuses.
    """
    from doorward.lab.report import junit, page
    from doorward.lab.report.sarif import sarif

    if args.junit:
        write_file(args.junit, junit.xml(report))
    if args.sarif:
        write_file(args.sarif, _text(sarif(report)))
    if args.html:
        write_file(args.html, page.html(report))
    if not args.json:
        return False
    from doorward.lab.report.document import document

    if args.json == "-":
        terminal.write_json(document(report))
        return True
    write_file(args.json, _text(document(report)))
    return False


def compared(report: Report) -> Iterator[str]:
    """What the baseline changed, said aloud: nothing where there is none."""
    from doorward.lab.report.model import State

    if not report.baseline:
        return
    findings = report.findings()
    known = [finding for finding in findings if finding.state is State.KNOWN]
    new = sum(finding.state is State.NEW for finding in findings)
    yield f"compared with {report.baseline}: {new} new, {len(known)} known, {len(report.unseen())} not seen any more"
    for finding in known:
        yield f"  known: {finding.kept()}"
    for earlier in report.unseen():
        yield f"  not seen, so mended or not played: {earlier}"


def _text(value: dict[str, Any]) -> str:
    import json

    return json.dumps(value, indent=2, sort_keys=True) + "\n"
