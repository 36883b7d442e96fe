"""A report as one page of HTML that needs nothing beside itself: a verdict, the matrix, then each scenario's story.

Servers wrote part of what stands in it. Every text passes through :func:`said`, which escapes markup and makes visible
what shows nothing; there is no script, the policy of the page forbids any, and nothing is fetched. What opens and
closes is ``<details>``, what leads on is a link: both work by keyboard.
"""

from __future__ import annotations

import base64
from collections import Counter
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from doorward.content.text import reveal
from doorward.lab.report import matrix
from doorward.lab.report.model import Standing, State
from doorward.lab.report.page_story import anchor, stories, told_whole
from doorward.lab.scenario import BEHIND, Kind, Protection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorward.lab.report.model import Report, Run

CLASSES = {
    Standing.GOOD: "good",
    Standing.FINDING: "finding",
    Standing.OPEN: "open",
    Standing.UNKNOWN: "unknown",
    Standing.NOT_PLAYED: "skipped",
}

HEADS = {
    Protection.NAIVE: "without Doorward",
    Protection.SHIPPED: "behind Doorward, as shipped",
    Protection.CONFIGURED: "behind Doorward, configured",
    Protection.GUARDED: "alone, written with doorward.guard",
}

_LEGEND = (
    "Open a cell for what was seen; its link leads to the messages. There, \u2039hidden:KIND:…\u203a was readable on "
    "the wire and is hidden in this report only, what the lab planted too; \u2039masked:KIND:…\u203a arrived masked."
)

MOST_IN_A_CELL = 20
"""Variants that are listed in a cell of the matrix; all are in the JSON."""


def said(text: str) -> str:
    """``text`` for HTML: harmless, and with nothing hidden in it."""
    return escape(reveal(text, keep_newlines=True))


def html(report: Report) -> str:
    """The whole page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = said(_title(report))
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}"><meta name="referrer" content="no-referrer">'
    yield f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
    yield f"<style>{style}</style></head><body>"
    yield f'<a class="skip" href="#matrix">to the matrix</a><header><h1>{title}</h1>'
    yield f'<p class="soft">doorward {said(report.doorward)}, {said(report.started)}, seed {report.seed}, '
    yield f"{len(report.runs)} runs in {report.seconds:.0f} s</p></header><main>"
    yield from _verdict(report)
    yield from _matrix(report)
    yield from stories(report, said)
    yield "</main></body></html>"


def _title(report: Report) -> str:
    if any(run.protection is Protection.GUARDED for run in report.runs):
        return "Attacks on servers, and on their twins written with doorward.guard"
    if report.verb == "demo":
        return "Attacks without Doorward and behind it"
    return f"Attack on {report.target}"


def _verdict(report: Report) -> Iterator[str]:
    states = Counter(finding.state for finding in report.findings())
    standings = Counter(report.standing(run) for run in report.runs)
    new, unknown = states[State.NEW], standings[Standing.UNKNOWN]
    what = "new finding" if report.baseline else "finding"
    parts = [f"{new} {what}{'s' * (new != 1)}" if new else f"No {what}"]
    if states[State.KNOWN]:
        parts.append(f"{states[State.KNOWN]} known from {report.baseline}")
    if states[State.OPEN]:
        parts.append(f"{states[State.OPEN]} listed as open")
    if unknown:
        parts.append(f"{unknown} inconclusive")
    if standings[Standing.NOT_PLAYED]:
        parts.append(f"{standings[Standing.NOT_PLAYED]} not played")
    doubtful = unknown or states or not standings[Standing.GOOD]
    tone = "bad" if new else "" if doubtful else "good"
    yield f'<p class="verdict {tone}">{said("; ".join(parts))}.</p>'
    yield f"<p>{said(' '.join(_sentences(report)))}</p>"
    if unseen := report.unseen():
        items = "".join(f"<li>{said(str(one))}</li>" for one in unseen)
        summary = f"{len(unseen)} of {report.baseline} not seen any more: mended, or not played"
        yield f"<details><summary>{said(summary)}</summary><ul>{items}</ul></details>"


def _sentences(report: Report) -> Iterator[str]:
    played = [run for run in report.runs if report.standing(run) is not Standing.NOT_PLAYED]
    said_of = (
        ("Without Doorward", (Protection.NAIVE,)),
        ("Behind Doorward", BEHIND),
        ("Written with doorward.guard, and without Doorward", (Protection.GUARDED,)),
    )
    for name, protections in said_of:
        runs = [run for run in played if run.protection in protections]
        counts = Counter(run.outcome.value for run in runs)
        if runs:
            yield f"{name}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()) + "."
    yield "What was inconclusive, excluded or not applicable says nothing about safety."


def _matrix(report: Report) -> Iterator[str]:
    demo = report.verb == "demo"
    compared = matrix.columns_of(report.runs)
    columns = [column for column in compared if demo or any(run.protection is column for run in report.runs)]
    names = ("topology", "scenario", "target", "era") if demo else ("scenario", "place", "era")
    heads = "".join(f'<th scope="col">{said(name)}</th>' for name in (*names, *(HEADS[column] for column in columns)))
    whole = {id(run) for run in told_whole(report)}
    yield '<h2 id="matrix">Matrix</h2><div class="scroll" role="region" aria-label="matrix" tabindex="0"><table>'
    yield f"<caption>{said(_LEGEND)}</caption>"
    yield f"<thead><tr>{heads}</tr></thead><tbody>"
    for key, runs in _lines(report):
        cells = "".join(f'<td class="name">{said(name)}</td>' for name in key)
        for column in columns:
            found = [(n, run) for n, run in runs if run.protection is column]
            cells += "".join(_cell(report, n, run, id(run) in whole) for n, run in found[:1]) or "<td>-</td>"
        yield f"<tr>{cells}</tr>"
    yield "</tbody></table></div>"


def _lines(report: Report) -> Iterator[tuple[tuple[str, ...], Sequence[tuple[int, Run]]]]:
    """The rows of the matrix. A target of an attack is bare in one topology and behind Doorward in another."""
    found: dict[tuple[str, ...], list[tuple[int, Run]]] = {}
    for number, run in enumerate(report.runs):
        where = (run.topology,) if report.verb == "demo" else ()
        found.setdefault((*where, run.id, run.example, run.era), []).append((number, run))
    yield from found.items()


def _cell(report: Report, number: int, run: Run, whole: bool) -> str:
    variants = run.evidence.get("variants", ())
    items = [
        f"<li><code>{said(one['variant'])}</code> {said(one['outcome'].lower())}: {said(one['saw'])}</li>"
        for one in variants[:MOST_IN_A_CELL]
    ]
    if len(variants) > MOST_IN_A_CELL:
        items.append(f"<li>and {len(variants) - MOST_IN_A_CELL} more</li>")
    items += [f"<li>{said(run.evidence[key])}</li>" for key in ("benign", "note", "open") if run.evidence.get(key)]
    words = said(_words(report, run))
    if items and run.outcome != Kind.EXCLUDED:
        words = f"<details><summary>{words}</summary><ul>{''.join(items)}</ul></details>"
    link = f' <a href="#{anchor(number)}">messages</a>' if whole else ""
    return f'<td class="{_class(report, run)}">{words}{link}</td>'


def _class(report: Report, run: Run) -> str:
    findings = report.findings_of(run)
    known = findings and all(finding.state is State.KNOWN for finding in findings)
    if report.verb == "demo" and run.outcome == Kind.SUCCEEDED and not findings:
        return "harm"  # as it should be on a bare target, and harm all the same
    return "known" if known else CLASSES[report.standing(run)]


def _words(report: Report, run: Run) -> str:
    if report.verb == "demo":
        return matrix.words(run)
    by = f" by {run.control}" if run.control else ""
    return f"{run.outcome.value}{by}" + (f": {run.reason}" if run.reason else "")
