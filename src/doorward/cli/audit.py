"""``doorward audit``: what happened and why, and whether the record is still what was signed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from doorward.cli import terminal
from doorward.cli.places import kept_state
from doorward.errors import AuditError, UsageError, VerificationError

if TYPE_CHECKING:
    from pathlib import Path

    from doorward.audit.entry import Entry
    from doorward.audit.reader import Found, Search
    from doorward.audit.verify import Verified

_SHOWN_BODY_CHARACTERS: Final = 4_000

_EXAMPLE: Final = """\
examples:
  doorward audit show                     the last entries, newest last
  doorward audit show REFERENCE           what a client was told as "reference", or a ticket, or LOG/INDEX
  doorward audit verify
  doorward audit verify --witnessed yesterday.note
"""


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add ``audit`` and its two verbs to the command line."""
    audit = verbs.add_parser("audit", description="what happened and why; whether the record holds", epilog=_EXAMPLE)
    actions = audit.add_subparsers(dest="action", metavar="show|verify", required=True)

    show = actions.add_parser("show", parents=[common], description="show entries of the audit logs", epilog=_EXAMPLE)
    show.add_argument("id", nargs="?", metavar="ID", help="a reference, a ticket, or LOG/INDEX; else the last 20")
    show.set_defaults(run=_show)

    verify = actions.add_parser(
        "verify",
        parents=[common],
        description="check every log against the signing key; exit 1 if one does not hold",
        epilog=_EXAMPLE,
    )
    verify.add_argument("--key", metavar="FILE", help="the public key, kept elsewhere; else STATE/audit.pub")
    verify.add_argument(
        "--witnessed",
        metavar="FILE",
        action="append",
        default=[],
        help="a checkpoint that was kept elsewhere (from verify --json); may be repeated",
    )
    verify.set_defaults(run=_verify)


def _show(args: argparse.Namespace) -> int:
    from doorward.audit import reader

    state = kept_state(args)
    result = reader.show(state, args.id) if args.id else reader.last(state)
    if args.id and not result.found:
        _say_nothing_found(args.id, result)
    if args.json:
        unreadable = [{"log": one.log, "why": one.why} for one in result.unreadable]
        terminal.write_json({"entries": [_as_json(one) for one in result.found], "unreadable": unreadable})
        return 0
    for found in result.found:
        if args.id:
            _write_whole(found)
        else:
            terminal.write(_one_line(found))
    for one in result.unreadable:
        terminal.error(f"log {_flat(one.log)} cannot be read: {_flat(one.why)}", "doorward audit verify")
    if not result.found and not result.unreadable:
        terminal.say(f"nothing is recorded in {state}")
    return 0


def _say_nothing_found(name: str, result: Search) -> None:
    if result.unreadable:
        logs = ", ".join(one.log for one in result.unreadable)
        raise AuditError(f"{name!r} was not found, and these logs cannot be read: {logs}", hint="doorward audit verify")
    raise UsageError(f"nothing is recorded under {name!r}", hint="doorward audit show lists the last entries")


def _one_line(found: Found) -> str:
    entry = found.entry
    what = " ".join(filter(None, (entry.method, entry.subject))) or entry.detail.get("label", "")
    ends = (entry.decision, entry.outcome, f"reference {entry.reference}" if entry.reference else "")
    words = (_time(entry.at), found.place, f"{entry.kind:<11}", what, *ends, entry.principal)
    return "  ".join(_flat(word) for word in words if word)


def _write_whole(found: Found) -> None:
    entry = found.entry
    terminal.write(f"{_time(entry.at)}  {_flat(found.place)}  {_flat(entry.kind)}", style=terminal.BOLD)
    for title, text in _rows(entry):
        terminal.write(f"    {title:<10} {_flat(text)}")
    for finding in entry.findings:
        terminal.write(
            f"    {'finding':<10} {_flat(finding.effect)} by {_flat(finding.control)}: {_flat(finding.reason)}"
        )
        if finding.evidence:
            terminal.write(f"    {'evidence':<10} {_flat(finding.evidence)}")
    for name, value in sorted(entry.detail.items()):
        terminal.write(f"    {_flat(name):<10} {_flat(value)}")
    if found.body:
        rest = len(found.body) - _SHOWN_BODY_CHARACTERS
        terminal.write(f"    {'body':<10} {_flat(found.body[:_SHOWN_BODY_CHARACTERS])}")
        if rest > 0:
            terminal.write(f"    {'':<10} and {rest} characters more, which --json shows")


def _rows(entry: Entry) -> list[tuple[str, str]]:
    """Titles and texts of the plain fields that say something."""
    rows = [
        ("principal", entry.principal),
        ("server", entry.server),
        ("sender", entry.sender),
        ("link", entry.link),
        ("exchange", str(entry.exchange or "")),
        ("method", entry.method),
        ("subject", entry.subject),
        ("request", entry.request),
        ("trace", entry.trace),
        ("decision", entry.decision),
        ("outcome", entry.outcome),
        ("duration", f"{entry.duration_us} µs" if entry.duration_us else ""),
        ("messages", f"{entry.count} (running hash {entry.running})" if entry.count and entry.running else ""),
        ("count", str(entry.count) if entry.count and not entry.running else ""),
        ("reference", entry.reference),
        ("ticket", entry.ticket),
        ("spends", entry.spends),
        ("policy", entry.policy),
        ("digest", f"{entry.body_digest} ({entry.body_size} bytes)" if entry.body_digest else ""),
        ("commitment", entry.commitment),
    ]
    return [(title, text) for title, text in rows if text]


def _as_json(found: Found) -> dict[str, Any]:
    import msgspec

    entry: dict[str, Any] = msgspec.to_builtins(found.entry)
    if found.body:
        entry["body"] = found.body
    if found.salt:
        entry["salt"] = found.salt.hex()
    return {"log": found.log, **entry, "index": found.index}


def _time(at_us: int) -> str:
    from datetime import UTC, datetime, timedelta

    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    except OverflowError:
        return f"{at_us} µs"
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _flat(text: str) -> str:
    """``text`` as one visible line: an entry must not be able to write lines that look like ours."""
    return terminal.visible(text).replace("\n", "\\x0a")


def _verify_nothing(state: Path, *, as_json: bool) -> int:
    """No log at all: as it should be where nothing ever ran, and not where a key was made to sign one."""
    lost = (state / "audit.key").exists()
    if as_json:
        terminal.write_json({"logs": [], "logs_missing": lost})
    elif lost:
        terminal.error(f"no log is in {state}, though a key was made to sign one: all logs are missing")
    else:
        terminal.say(f"nothing is recorded in {state}")
    return 1 if lost else 0


def _verify(args: argparse.Namespace) -> int:
    from doorward.audit.reader import logs

    state = kept_state(args)
    paths = logs(state)
    notes = _witnessed(args.witnessed)
    if not paths and not notes:
        return _verify_nothing(state, as_json=args.json)
    key = _read(args.key or state / "audit.pub")
    results = [_verify_one(path, key, notes.pop(path.stem, [])) for path in paths]
    results += [_missing(log) for log in notes]
    if args.json:
        terminal.write_json({"logs": results})
    else:
        for result in results:
            _write_verdict(result)
    return 0 if all(result["verified"] for result in results) else 1


def _witnessed(files: list[str]) -> dict[str, list[str]]:
    """The checkpoints in these files by the log they are of, which is the last part of their origin."""
    notes: dict[str, list[str]] = {}
    for file in files:
        note = _read(file)
        if note[:1] in "{[" or "\n\n\u2014 " not in note:  # JSON around it, or nothing that a signed note has
            raise UsageError(f"{file} is no checkpoint", hint="keep what verify --json calls checkpoint, one in a file")
        notes.setdefault(note.partition("\n")[0].rpartition("/")[2], []).append(note)
    return notes


def _read(file: str | Path) -> str:
    from pathlib import Path

    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not text"
        raise UsageError(f"cannot read {file}: {reason.lower()}") from problem


def _verify_one(path: Path, key: str, witnessed: list[str]) -> dict[str, Any]:
    from doorward.audit.verify import verify_log

    try:
        held: Verified = verify_log(path, key, witnessed=witnessed)
    except VerificationError as problem:
        return {
            "log": path.stem,
            "verified": False,
            "problem": str(problem),
            "index": problem.index,
            "expected": problem.expected,
            "actual": problem.actual,
        }
    return {"verified": True, **held._asdict()}


def _missing(log: str) -> dict[str, Any]:
    problem = "missing: a checkpoint of this log was kept, and the log is not here"
    return {"log": log, "verified": False, "problem": problem, "index": None, "expected": log, "actual": ""}


def _write_verdict(result: dict[str, Any]) -> None:
    log = _flat(result["log"])
    if not result["verified"]:
        terminal.write(f"{log}  DOES NOT VERIFY  {_flat(result['problem'])}", style=terminal.RED)
        for name in ("expected", "actual"):
            if result[name]:
                terminal.write(f"    {name:<10} {_flat(result[name])}")
        return
    end = "closed" if result["closed"] else f"not closed, {result['unsigned_tail']} not yet signed"
    signed = f"{result['checkpoints']} checkpoint{'' if result['checkpoints'] == 1 else 's'}"
    terminal.write(f"{log}  verified  {result['size']} entries, {signed}, {end}", style=terminal.GREEN)
