"""What judging one call costs: CPU microseconds of single controls, and milliseconds that a large argument adds.

The figures that are promised stand beside those that were measured; a promise that is missed ends this with 1. Each
figure is the least of many short runs, so that a machine that others use says nearly the same as an idle one. It
asserts that what should pass passes and what should not does not.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from doorward.content.arguments import Constraint
from doorward.content.constraints import read_only_sql
from doorward.gateway.foresight import Foresight
from doorward.gateway.metering import Meter
from doorward.judge.checks.argument_constraints import require_constraints
from doorward.judge.checks.argument_schema import ValidateArguments
from doorward.judge.checks.hold_secrets import hold_secrets
from doorward.judge.checks.paths import confine_paths
from doorward.judge.checks.prompt_arguments import require_listed_arguments
from doorward.judge.validators import Validators
from doorward.judge.vocabulary import Context, Effect, RealPath
from doorward.policy.load import load
from doorward.policy.model import ServerPolicy, ToolPolicy
from doorward.protocol import definitions
from doorward.protocol.actions import CallTool, GetPrompt
from doorward.relay import context as contexts
from doorward.wire.jsonrpc import Request, encode_value
from relay import NOW_US, TEXTS, Link, cut, words

FOLDER: Final = "/srv/project"
TEN: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 200},
        "kind": {"type": "string", "enum": ["bug", "feature", "question"]},
        "mail": {"type": "string", "format": "email"},
        "number": {"type": "integer", "minimum": 1},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "open": {"type": "boolean"},
        "branch": {"type": "string", "pattern": "^[A-Za-z0-9._/-]+$"},
        "labels": {"type": "array", "items": {"type": "string"}},
        "owner": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        "note": {"type": ["string", "null"]},
    },
    "required": ["title", "kind"],
}
CALL: Final = CallTool(
    "issue",
    {
        "title": "the title of an issue",
        "kind": "bug",
        "mail": "ada@example.org",
        "number": 7,
        "share": 0.5,
        "open": True,
        "branch": "feature/x",
        "labels": ["one", "two"],
        "owner": {"name": "ada"},
        "note": None,
    },
)
PATHS: Final = tuple(f"{FOLDER}/src/part{number}/main.py" for number in range(2_000))
READ: Final = CallTool("read", {"path": PATHS[0]})
GET: Final = GetPrompt("summary", {"topic": "rain", "language": "en"})
SQL: Final = (
    "SELECT u.name, count(*) AS n FROM users u JOIN orders o ON o.user_id = u.id WHERE o.created_at > '2026-01-01' "
    "GROUP BY u.name HAVING count(*) > 3 ORDER BY n DESC LIMIT 20"
)


class Promised(NamedTuple):
    """One figure. ``most`` is the promise, 0 where there is none."""

    title: str
    unit: str
    measured: float
    most: float = 0


def least(work: Callable[[], object], runs: int, each: int = 200) -> float:
    """Microseconds of the processor's time for ``work``."""
    best = float("inf")
    for _ in range(runs):
        began = time.process_time_ns()
        for _ in range(each):
            work()
        best = min(best, time.process_time_ns() - began)
    return best / each / 1e3


def context_for(action: CallTool | GetPrompt, server: ServerPolicy) -> Context:
    link = Link()
    items = ({"name": "issue", "inputSchema": TEN}, {"name": "read", "inputSchema": {"type": "object"}})
    known = definitions.record(definitions.NOTHING, items, first=True, last=True)
    prompt = {"name": "summary", "arguments": [{"name": "topic", "required": True}, {"name": "language"}]}
    known = definitions.record_prompts(known, (prompt,), first=True, last=True)
    facts = msgspec.structs.replace(link.facts(), answers={RealPath(path): path for path in PATHS})
    context = contexts.of_link(link.relay.state, facts, NOW_US)
    body = encode_value({"method": "tools/call", "params": {"name": action.name, "arguments": action.arguments}})
    return msgspec.structs.replace(context, definitions=known, folders=(FOLDER,), server=server, body=body)


def rate_decision() -> Callable[[], object]:
    """A call is counted by address, principal, session, server and tool, a second after the one before."""
    meter = Meter(load(None), itertools.count(1.0).__next__)
    message = Request(1, "tools/call", {"name": "issue"})

    def decide() -> object:
        source = meter.source("session", principal="ada", address="127.0.0.1", server="bench", session=True)
        return meter.take(source, "bench", message)

    return decide


def kernel_asked(runs: int) -> float:
    """Microseconds until the door knows where a path leads, its threads' time included."""
    foresight, question = Foresight(), (RealPath(__file__),)

    async def once(looks: int) -> float:
        began = time.process_time_ns()
        for _ in range(looks):
            assert await foresight.answer(question)
        return (time.process_time_ns() - began) / looks / 1e3

    return min(asyncio.run(once(100)) for _ in range(runs))


def figures(runs: int) -> list[Promised]:
    plain = ServerPolicy("bench")
    demands = {
        "branch": (Constraint("no_leading_dash"), Constraint("single_line"), Constraint("max_length", 200)),
        "kind": (Constraint("enum", ("bug", "feature", "question")),),
        "number": (Constraint("integer"), Constraint("minimum", 1)),
    }
    demanding = ServerPolicy("bench", tools={"issue": ToolPolicy(arguments=demands)})
    validate = ValidateArguments(Validators())
    call, read, get = context_for(CALL, plain), context_for(READ, plain), context_for(GET, plain)
    held = context_for(CALL, demanding)
    unread = itertools.cycle([CallTool("read", {"path": path}) for path in PATHS])

    def no_secret() -> object:
        call.seen.clear()
        return hold_secrets(CALL, call)

    passing: list[tuple[str, Callable[[], object], float]] = [
        ("a rate decision, over all buckets", rate_decision(), 1),
        ("schema of ten properties", lambda: validate(CALL, call), 15),
        ("path among the arguments, below a folder", lambda: confine_paths(READ, read), 10),
        ("... a path that nobody named before", lambda: confine_paths(next(unread), read), 10),
        ("six demands on three arguments", lambda: require_constraints(CALL, held), 0),
        ("arguments of a prompt", lambda: require_listed_arguments(GET, get), 0),
        ("no secret to hold", no_secret, 0),
        ("SQL that only reads, 180 bytes", lambda: read_only_sql(SQL, "postgres"), 0),
    ]
    assert [title for title, work, _ in passing if work() is not None] == []
    refused = validate(CallTool("issue", {**CALL.arguments, "more": 1}), call)
    assert refused is not None
    assert refused.effect is Effect.DENY
    found = [Promised(title, "µs", least(work, runs), most) for title, work, most in passing]
    found.append(Promised("where a path leads, asked of the kernel", "µs", kernel_asked(runs)))
    return found + [_large(kind, runs) for kind in TEXTS]


def _large(kind: str, runs: int) -> Promised:
    """What 1 MB of an argument adds to a call in the relay, decoding included."""
    link, few = Link(), words(100)
    text = cut(TEXTS[kind](1 << 20), (1 << 20) - 64)

    def once(asked: str) -> float:
        call, answer, exchange = link.frames(asked, few)
        began = time.process_time_ns()
        assert link.arrive(call, "client", exchange)
        taken = time.process_time_ns() - began
        link.arrive(answer, "server", exchange)
        return taken

    few_runs = max(3, runs // 5)
    added = min(once(text) for _ in range(few_runs)) - min(once(few) for _ in range(few_runs))
    return Promised(f"1 MB of {kind} as an argument adds", "ms", added / 1e6, 10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=40, help="runs of two hundred judgments, each")
    given = parser.parse_args()
    missed = False
    print(f"{'CPU time':<44}{'measured':>12}{'promised':>12}")
    for one in figures(given.runs):
        promise = f"≤ {one.most:g} {one.unit}" if one.most else ""
        over = bool(one.most) and one.measured > one.most
        missed = missed or over
        print(f"{one.title:<44}{one.measured:>9.2f} {one.unit}{promise:>12}{'  missed' if over else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
