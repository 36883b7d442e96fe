"""Of the page: each scenario that was played, with its goal, its remedy, and the exchanges that show what happened.

Not every run is told whole, since runs of one target in another topology or era read alike: told are those with a
finding, and of each target and protection the first that was played. The matrix and the JSON have all.
"""

from __future__ import annotations

import datetime
import shlex
from typing import TYPE_CHECKING, Any

from doorward.controls import CONTROLS
from doorward.lab.ablated import GROUPS
from doorward.lab.report.model import Standing
from doorward.lab.report.rules import rules
from doorward.lab.scenario import Kind, Protection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from doorward.lab.report.model import Report, Run
    from doorward.lab.report.rules import Rule

    Said = Callable[[str], str]

_WHERE = {Protection.NAIVE: "without Doorward", Protection.GUARDED: "alone, written with doorward.guard"}

MOST_VARIANTS = 40
"""Of one run that is told whole; those with a finding first."""


def anchor(number: int) -> str:
    """The fragment of a run that is told whole."""
    return f"run-{number}"


def told_whole(report: Report) -> Sequence[Run]:
    """The runs that are told with their messages."""
    chosen: dict[tuple[str, ...], Run] = {}
    more = []
    for run in report.runs:
        if report.standing(run) is Standing.NOT_PLAYED:
            continue
        if chosen.setdefault((run.id, run.example, run.protection.value), run) is not run and report.findings_of(run):
            more.append(run)
    return (*chosen.values(), *more)


def stories(report: Report, said: Said) -> Iterator[str]:
    """A section for each scenario, in the order in which they were played."""
    known = {rule.id: rule for rule in rules()}
    whole = {id(run) for run in told_whole(report)}
    for name in dict.fromkeys(run.id for run in report.runs):
        runs = [(number, run) for number, run in enumerate(report.runs) if run.id == name]
        yield f'<section aria-label="{said(name)}"><h2>{said(name)}</h2>'
        if name in known:
            yield from _story(known[name], report, [run for _, run in runs], said)
        for number, run in runs:
            if id(run) in whole:
                yield from _run(report, number, run, said)
        yield "</section>"


def _story(rule: Rule, report: Report, runs: Sequence[Run], said: Said) -> Iterator[str]:
    facts = (*rule.cwe, f"OWASP {rule.owasp}", f"STRIDE {rule.stride}", f"attacker: {rule.attacker}")
    yield f"<p>{said(rule.title)}</p>"
    yield f'<p class="soft">{said(" · ".join(facts))}</p>'
    for heading in ("Goal", "Impact"):
        yield _paragraphs(heading, rule.story[heading], said)
    rest = "".join(_paragraphs(heading, rule.story[heading], said) for heading in ("Attacker", "Steps"))
    yield f"<details><summary>How it goes</summary>{rest}</details>"
    yield '<h3>How to fix it</h3><div class="fix"><div>'
    yield _paragraphs("Without Doorward, in the server or client itself", rule.story["Remedy"], said)
    yield from _with_the_guard(runs, said)
    yield f"</div><div><h4>With Doorward</h4>{''.join(_with_doorward(rule, report, runs, said))}</div></div>"


def _paragraphs(heading: str, paragraphs: Sequence[str], said: Said) -> str:
    told = "".join(f"<p>{said(paragraph)}</p>" for paragraph in paragraphs)
    return f"<h4>{said(heading)}</h4>{told}" if told else ""


def _stopped(runs: Sequence[Run], *, guarded: bool) -> tuple[str, ...]:
    """What stopped a variant in ``runs``, in the servers themselves or in front of them, each once."""
    meant = [run for run in runs if (run.protection is Protection.GUARDED) is guarded]
    told = [one for run in meant for one in run.evidence.get("variants", ())]
    return tuple(dict.fromkeys(one["control"] for one in told if one["outcome"] == Kind.PREVENTED))


def _with_the_guard(runs: Sequence[Run], said: Said) -> Iterator[str]:
    if stopped := _stopped(runs, guarded=True):
        items = "".join(f"<li><code>{said(part)}</code></li>" for part in stopped)
        yield f"<p>What of <code>doorward.guard</code> stopped it here, by its rule or its name:</p><ul>{items}</ul>"


def _with_doorward(rule: Rule, report: Report, runs: Sequence[Run], said: Said) -> Iterator[str]:
    target = report.target
    if target.client:
        yield "<p>Start each server of this client through it:</p>"
        yield '<pre tabindex="0">doorward wrap -- COMMAND\ndoorward wrap --url URL</pre>'
    elif report.verb == "attack":
        server = f"--url {shlex.quote(target.url)}" if target.url else f"-- {shlex.join(target.command)}"
        yield f'<p>Put it in front:</p><pre tabindex="0">{said(f"doorward wrap {server}")}</pre>'
    stopped = _stopped(runs, guarded=False)
    if stopped:
        yield "<p>What stopped it here:</p>"
    else:
        yield "<p>Behind Doorward nothing of it was played to the end here. What is made for it:</p>"
    yield "<ul>"
    for control in stopped or rule.controls:
        title = CONTROLS[control].title if control in CONTROLS else GROUPS.get(control, "")
        yield f"<li><code>{said(control)}</code>{said(f': {title}' if title else '')}</li>"
    yield "</ul>"
    for example, text in {run.example: run.evidence.get("configuration", "") for run in runs}.items():
        if text:
            yield f"<p>Configured for <code>{said(example)}</code>; <code>{{work}}</code> is the server's folder:</p>"
            yield f'<pre tabindex="0">{said(text)}</pre>'


def _run(report: Report, number: int, run: Run, said: Said) -> Iterator[str]:
    where = _WHERE.get(run.protection, f"behind Doorward, {run.protection.value}")
    yield f'<article id="{anchor(number)}"><h3>{said(f"{run.example}: {run.outcome.value} {where}")}</h3>'
    yield f'<p class="soft">{said(f"{run.topology}, {run.era}")} · <a href="#matrix">matrix</a></p>'
    for label, key in (("Listed as open", "open"), ("Note", "note"), ("An honest user", "benign")):
        if run.evidence.get(key):
            yield f"<p>{label}: {said(run.evidence[key])}</p>"
    if run.reason:
        yield f"<p>{said(run.reason)}</p>"
    findings = {finding.variant: finding for finding in report.findings_of(run)}
    variants = sorted(run.evidence.get("variants", ()), key=lambda one: one["variant"] not in findings)
    for one in variants[:MOST_VARIANTS]:
        state = f" [{findings[one['variant']].state.value}]" if one["variant"] in findings else ""
        yield from _variant(one, f"{_name(run, one)}: {one['outcome']}{state}", said)
    if len(variants) > MOST_VARIANTS:
        yield f"<p>{len(variants) - MOST_VARIANTS} more are in the JSON.</p>"
    yield "</article>"


def _name(run: Run, one: dict[str, Any]) -> str:
    title = one.get("title", "")
    # The ids of an attack's probes repeat the place and the title.
    return (
        title if title and one["variant"].startswith(run.example) else ": ".join(filter(None, (one["variant"], title)))
    )


def _variant(one: dict[str, Any], summary: str, said: Said) -> Iterator[str]:
    yield f"<details><summary>{said(summary)}</summary>"
    why = {Kind.SUCCEEDED.value: "Why it worked", Kind.PREVENTED.value: "What stopped it"}
    yield f"<h4>{why.get(one['outcome'], 'What was seen')}</h4><p>{said(one['saw'])}</p>"
    if one.get("alone"):
        yield f"<p>Without Doorward: {said(one['alone'])}</p>"
    yield from _records(one.get("records", ()), said)
    if exchange := one.get("exchange", ()):
        yield "<h4>Messages</h4>"
        for message in exchange:
            yield from _message(message, said)
    yield "</details>"


def _records(records: Sequence[dict[str, Any]], said: Said) -> Iterator[str]:
    if not records:
        return
    yield "<h4>What the audit log says</h4><ul>"
    for record in records:
        at = datetime.datetime.fromtimestamp(record["at"] / 1_000_000, datetime.UTC).strftime("%H:%M:%S.%f")
        evidence = f" ({record['evidence']})" if record["evidence"] else ""
        what = f"{at} {record['method']}: {record['effect']} by "
        yield f"<li>{said(what)}<code>{said(record['control'])}</code>: {said(record['reason'] + evidence)}</li>"
    yield "</ul>"


def _message(message: dict[str, Any], said: Said) -> Iterator[str]:
    if message["omitted"]:
        yield f'<p class="soft">{message["omitted"]} messages left out</p>'
    sent = message["from"] == "client"
    label = f"{'sent' if sent else 'received'}, {message['size']:,} bytes{': the beginning' if message['cut'] else ''}"
    yield f'<figure class="message {"client" if sent else "server"}"><figcaption>{label}</figcaption>'
    yield f'<pre tabindex="0">{said(message["text"])}</pre></figure>'
