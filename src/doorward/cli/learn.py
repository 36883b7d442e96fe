"""``doorward learn``: from what passed, as the log has it, to a proposal for a policy."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from doorward.cli import terminal
from doorward.cli.places import kept_state
from doorward.errors import UsageError

if TYPE_CHECKING:
    from doorward.audit.entry import Entry
    from doorward.policy.learning import Lessons
    from doorward.policy.model import Policy

_DESCRIPTION: Final = """\
Propose the tightest policy for one server that would have let pass what passed, as the log has it. The proposal is text
for you to read, cut and keep: each line says from how many calls it was learnt. Nothing of yours is changed; --write
makes a file only where there is none. Let the server work for a while first, with `unsafe_observe_until` where
a policy refuses too much, or give a command and --unsafe-observe.
"""

_EXAMPLE: Final = """\
with a COMMAND it is `doorward wrap --name NAME -- COMMAND` first, under the policy in force, and learns at the end from
what passed meanwhile; it exits with the server's code. --unsafe-observe is `unsafe_observe_until` for that run only:
argument constraints and rates of the policy report, and refuse nothing

examples:
  doorward learn --server notes --since 7d --write notes.toml
  doorward learn --server notes --write notes.toml -- npx -y @modelcontextprotocol/server-filesystem /home/me/notes
  doorward policy check notes.toml

what the log masks (credentials), and bodies that it does not keep, cannot be learnt; the proposal says where
"""
_SINCE: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "learn",
        parents=[common],
        help="propose a policy from what the log has seen",
        usage="doorward learn --server NAME [options]\n"
        "       doorward learn --server NAME --write FILE -- COMMAND [ARGUMENT…]",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--server", required=True, metavar="NAME", help="the server, as policy, pins and log name it")
    add("--since", default="", metavar="WHEN", help="only what came after: 30m, 12h, 7d, or 2026-11-26[T08:00]")
    add("--write", default="", metavar="FILE", help="write the proposal to FILE, which is not there yet")
    add(
        "--unsafe-observe",
        action="store_true",
        help="with a command: argument constraints and rates refuse nothing in this run",
    )
    parser.set_defaults(run=run, takes_command=True)


def run(args: argparse.Namespace) -> int:
    """Print the proposal, or write it; 0, or with a command the code of that."""
    from doorward.policy.identity import name_problem

    if problem := name_problem(args.server):
        raise UsageError(f"--server: {problem}")
    if args.unsafe_observe and not args.command:
        raise UsageError("--unsafe-observe is for a command", hint="the log has what passed; put the command after --")
    if not args.command:
        return _propose(args, _since(args.since))
    if not args.write or args.since or os.path.lexists(args.write):
        raise UsageError(
            "a command needs --write FILE, which is not there yet, and no --since",
            hint="its stdout is its client's, so the proposal goes to a file",
        )
    return _wrap_and_propose(args)


def _wrap_and_propose(args: argparse.Namespace) -> int:
    import time

    from doorward.cli import wrap

    began_us = time.time_ns() // 1000
    if not args.unsafe_observe:
        terminal.say("what the policy in force refuses is not learnt from; --unsafe-observe lets much of it pass")
    amend = observing if args.unsafe_observe else None
    code = wrap.run(argparse.Namespace(**{**vars(args), **wrap.defaults(), "name": args.server}), amend)
    _propose(args, began_us)
    return code


def observing(policy: Policy) -> Policy:
    """``policy`` with observe mode, until the end of tomorrow at the latest."""
    import datetime

    import msgspec

    from doorward.policy.model import sealed

    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)
    return sealed(msgspec.structs.replace(policy, observe_until=until.isoformat()))


def _propose(args: argparse.Namespace, since_us: int) -> int:
    from doorward.audit import reader
    from doorward.policy.learning import Lessons

    state = kept_state(args)
    lessons = Lessons(args.server, folder_of)
    for found in reader.each(state, since_us):
        if isinstance(found, reader.Unreadable):
            terminal.error(f"log {terminal.visible(found.log)} cannot be read", "doorward audit verify")
        elif found.entry.server.partition(" (")[0] == args.server and found.entry.sender == "client":
            lessons.elsewhere = lessons.elsewhere or f"{args.server} (command," not in found.entry.server
            _learn(lessons, found.entry, found.body)
    if not lessons.total:
        when = " in this run" if args.command else f" since {args.since}" if args.since else ""
        raise UsageError(
            f"nothing that {args.server!r} was asked for{when} is recorded in {state}",
            hint="doorward audit show lists the last entries; give wrap the same --name",
        )
    text = lessons.proposal()
    if args.json and not args.command:
        terminal.write_json({"server": args.server, "requests": lessons.total, "policy": text})
    elif not args.write:
        for line in text.splitlines():
            terminal.write(line)
    if args.write:
        from doorward.cli.policy_file import write_new

        write_new(Path(args.write).absolute(), text)
        terminal.say(f"wrote {args.write}: read it, then doorward policy check {args.write}")
    return 0


def _learn(lessons: Lessons, entry: Entry, body: str) -> None:
    import msgspec

    from doorward.judge.checks import known_resources
    from doorward.judge.checks.paths import named_paths
    from doorward.protocol.actions import interpret
    from doorward.wire.jsonrpc import Request

    about_resources = any(finding.control == known_resources.CONTROL for finding in entry.findings)
    if entry.kind == "refusal":
        lessons.refused += 1
        if about_resources:
            lessons.refused_resource(entry.subject)
    lessons.came(entry.principal, entry.at, entry.subject if entry.method == "tools/call" else "")
    if entry.kind != "intent":
        return
    try:
        tree = msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        tree = None
    params = tree.get("params", {}) if isinstance(tree, dict) else None
    if not isinstance(params, dict):
        lessons.unreadable(entry.method, entry.subject)
        return
    lessons.request(entry.method, params, entry.body_size, by_policy=about_resources)
    for action in interpret(Request(0, entry.method, params), "legacy"):
        lessons.named(text for _, text in named_paths(action))


def folder_of(path: str) -> str:
    """The real folder that ``path`` is, or is in: what a constraint ``path_below`` will be held against."""
    real = os.path.realpath(path)
    return real if os.path.isdir(real) else os.path.dirname(real)


def _since(given: str) -> int:
    """Microseconds since the epoch; 0 without a time."""
    import datetime

    if not given:
        return 0
    now = datetime.datetime.now(datetime.UTC)
    if found := _SINCE.fullmatch(given):
        return int(now.timestamp() - int(found[1]) * _SECONDS[found[2]]) * 1_000_000
    try:
        return int(datetime.datetime.fromisoformat(given).timestamp() * 1_000_000)
    except ValueError:
        raise UsageError(f"--since {given!r} is no time", hint="30m, 12h, 7d, or 2026-11-26T08:00") from None
