"""The matrix as one page of HTML: no script, no font, no address; everything from a run is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from doorward.lab.report import matrix
from doorward.lab.scenario import Kind, Protection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorward.lab.report.model import Report, Run

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; --odd: #b26a00; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .5rem .6rem; text-align: left; vertical-align: top; }
th { font-weight: 600; } td:nth-child(4) { white-space: nowrap; } td small { display: block; opacity: .75; }
.SUCCEEDED { color: var(--bad); font-weight: 600; } .PREVENTED { color: var(--good); }
.OBSTRUCTED, .INCONCLUSIVE, .OPEN { color: var(--odd); font-weight: 600; } .EXCLUDED { opacity: .7; }
summary { cursor: pointer; } details ul { margin: .3rem 0; padding-left: 1.1rem; }
pre { border: 1px solid var(--line); border-radius: 4px; overflow-x: auto; padding: .6rem; }
code { font-size: .9em; }
"""


def html(report: Report) -> str:
    """The whole page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    runs = report.runs
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Doorward demo</title>'
    yield '<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">'
    yield f"<style>{_STYLE}</style></head><body><h1>Doorward demo</h1>"
    yield f"<p>{len(runs)} runs of doorward {escape(report.doorward)} in {report.seconds:.0f} s.</p>"
    heads = "".join(f"<th>{escape(column.value)}</th>" for column in matrix.COLUMNS)
    yield f"<table><thead><tr><th>topology</th><th>scenario</th><th>target</th><th>era</th>{heads}</tr></thead><tbody>"
    for line in matrix.lines(runs):
        cells = "".join(_cell(line.runs.get(column)) for column in matrix.COLUMNS)
        names = (line.topology, line.id, line.example, line.era)
        yield f"<tr>{''.join(f'<td>{escape(name)}</td>' for name in names)}{cells}</tr>"
    yield "</tbody></table>"
    yield from _configurations(runs)
    yield "</body></html>"


def _cell(run: Run | None) -> str:
    if run is None:
        return "<td>-</td>"
    inner = escape(matrix.words(run))
    details = [_detail(v["variant"], v["outcome"], v["saw"]) for v in run.evidence.get("variants", ())]
    details += [f"<li>{escape(run.evidence[key])}</li>" for key in ("benign", "note", "open") if run.evidence.get(key)]
    if details and run.outcome is not Kind.EXCLUDED:
        inner = f"<details><summary>{inner}</summary><ul>{''.join(details)}</ul></details>"
    cell = "OPEN" if run.issue else run.outcome.value
    return f'<td class="{cell}">{inner}</td>'


def _detail(variant: str, outcome: str, saw: str) -> str:
    return f"<li><code>{escape(variant)}</code> {escape(outcome.lower())}<small>{escape(saw)}</small></li>"


def _configurations(runs: Sequence[Run]) -> Iterator[str]:
    said = {
        run.example: run.evidence["configuration"]
        for run in runs
        if run.protection is Protection.CONFIGURED and run.evidence.get("configuration")
    }
    if said:
        yield "<h2>Configured with</h2>"
    for example, configuration in said.items():
        yield f"<h3>{escape(example)}</h3><pre>{escape(configuration)}</pre>"
