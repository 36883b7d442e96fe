"""``doorward attack``: the lab's attacks on a server that you own, bare or also behind Doorward.

Progress goes to stderr, the result to stdout (as JSON with ``--json -``). What is planted and started is gone at the
end, also after ctrl-c.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doorward.cli import reporting, terminal
from doorward.cli.playing import CLEAN, exit_code, play_until, seed_of
from doorward.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from doorward.lab.attack.aim import Aim
    from doorward.lab.attack.families import Family
    from doorward.lab.attack.run import Orders
    from doorward.lab.report.model import Report, Run

_DESCRIPTION = """\
Attack an MCP server that you own. Probes are made from what it lists: its tools with their schemas, its resources and
templates. Harm is a planted value that arrives, or a mark that only an injected command makes, and never words.

SUCCEEDED: harm was seen. RESISTED: these probes did no harm while honest calls were served before and after; it says
nothing about others. INCONCLUSIVE, NOT APPLICABLE and EXCLUDED: nothing is known, and nothing is called safe.
"""

_EPILOG = """\
examples:
  doorward attack --plant ~/notes --stdio -- npx -y @modelcontextprotocol/server-filesystem@2025.3.28 ~/notes
  doorward attack --plant ~/notes --through-doorward --stdio -- my-server ~/notes
  doorward attack --url https://mcp.example.com/mcp --header-env Authorization=MY_VARIABLE --i-own-this-target

exit: 0 no harm, and something was tried; 1 harm, or honest calls that were served are not any more; 2 usage,
environment, something inconclusive (0 with --allow-inconclusive), or nothing could be tried
"""


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "attack",
        parents=[common],
        help="attack a server that you own",
        usage="doorward attack [options] --stdio -- COMMAND [ARGUMENT…]\n       doorward attack [options] --url URL",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--stdio", action="store_true", help="the target is the command after --")
    add("--url", default="", metavar="URL", help="the target is reached by this URL (Streamable HTTP)")
    add("--header", action="append", default=[], metavar="NAME=VALUE", help="a header for the URL; may be repeated")
    add(
        "--header-env",
        action="append",
        default=[],
        metavar="NAME=VARIABLE",
        help="a header whose value stands in a variable of the environment, for secrets; may be repeated",
    )
    add(
        "--plant",
        metavar="DIR",
        help="a folder that the server may see: while this runs, secrets lie beside it and links in it",
    )
    add("--only", action="append", default=[], metavar="FAMILY", help="play this family; may be repeated")
    add("--list", action="store_true", help="list the families and end")
    add("--seed", type=int, default=None, metavar="N", help="seed of what is planted and sent (default: random)")
    add("--allow-side-effects", action="store_true", help="also call what may change something, and what may end it")
    add("--i-own-this-target", action="store_true", help="needed where the URL is not on this machine")
    add("--through-doorward", action="store_true", help="play it again behind `doorward wrap`, and show the difference")
    reporting.add_options(parser)
    add("--allow-inconclusive", action="store_true", help="what is inconclusive does not change the exit code")
    parser.set_defaults(run=run, takes_command=True)


def run(args: argparse.Namespace) -> int:
    """Attack and report.

    Raises:
        UsageError: there is no target, it is not on this machine and nobody says whose it is, or something that was
            asked for does not exist or may not be done.
    """
    from doorward.lab.attack.families import FAMILIES

    known = {family.id: family for family in FAMILIES}
    for wanted in args.only:
        if wanted not in known:
            raise UsageError(f"there is no family {wanted!r}", hint=f"one of: {', '.join(known)}")
        if known[wanted].side_effects and not args.allow_side_effects and not args.list:
            raise UsageError(f"{wanted} may change what it touches", hint="add --allow-side-effects if you want that")
    chosen = tuple(family for id, family in known.items() if not args.only or id in args.only)
    if args.list:
        return _list(chosen, args.json)
    orders = _orders(args, chosen)
    draft = reporting.begun(args, "attack", orders.seed, command=orders.aim.command, url=orders.aim.url)
    terminal.say(f"attacking {orders.aim.title}, seed {orders.seed}")
    report = reporting.played(draft, lambda: _play(orders))
    if not reporting.written(args, report):
        _print(report)
        for line in reporting.compared(report):
            terminal.write(line)
    return exit_code(report, allow_inconclusive=args.allow_inconclusive)


def _orders(args: argparse.Namespace, chosen: tuple[Family, ...]) -> Orders:
    import importlib.util

    if importlib.util.find_spec("mcp") is None:
        raise UsageError("the lab needs the MCP SDK", hint="install doorward with its extra: doorward[lab]")
    from doorward.lab.attack.run import Orders

    aim = _aim(args)
    if not aim.local and not args.i_own_this_target:
        raise UsageError(
            f"{aim.url} is not on this machine",
            hint="attack only what is yours: add --i-own-this-target if it is",
        )
    if args.through_doorward and aim.headers:
        raise UsageError("`doorward wrap` has no headers of its own yet", hint="leave out --through-doorward")
    return Orders(
        aim=aim,
        families=chosen,
        seed=seed_of(args.seed),
        plant=Path(args.plant) if args.plant else None,
        side_effects=args.allow_side_effects,
        through=args.through_doorward,
        policy=Path(args.config).absolute() if args.config else None,
    )


def _aim(args: argparse.Namespace) -> Aim:
    from doorward.lab.attack.aim import Aim, located
    from doorward.policy.addresses import url_problem

    if bool(args.url) == bool(args.stdio):
        wrong = "a URL and a command" if args.url else "no target"
        raise UsageError(wrong, hint="doorward attack --stdio -- COMMAND…, or doorward attack --url URL")
    if args.stdio:
        if not args.command:
            raise UsageError("no command to attack", hint="doorward attack --stdio -- COMMAND [ARGUMENT…]")
        if args.header or args.header_env:
            raise UsageError("headers are for a URL", hint="give --url, or leave them out")
        return Aim(command=located(args.command))
    if args.command:
        raise UsageError("a URL and a command", hint="give one of them")
    if problem := url_problem(args.url):
        raise UsageError(f"--url {problem[0]}", hint=problem[1])
    return Aim(url=args.url, headers=(*_pairs(args.header, "--header"), *_from_environment(args.header_env)))


def _pairs(given: Sequence[str], option: str) -> list[tuple[str, str]]:
    found = []
    for one in given:
        name, separator, value = one.partition("=")
        if not separator or not name or not value.isprintable() or not value.isascii():
            raise UsageError(f"{option} {name!r} is no NAME=VALUE of printable ASCII", hint=f"{option} X-Team=tests")
        found.append((name, value))
    return found


def _from_environment(given: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for name, variable in _pairs(given, "--header-env"):
        if not os.environ.get(variable):
            raise UsageError(f"the variable {variable} is not set", hint=f"export {variable}, then run this again")
        found += _pairs([f"{name}={os.environ[variable]}"], "--header-env")
    return found


def _play(orders: Orders) -> list[Run]:
    import signal

    from doorward.lab.attack.run import attack

    progress = _Progress()
    try:
        return play_until(lambda: attack(orders, progress), signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    except BaseExceptionGroup as problems:
        raise _first(problems) from None


def _first(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


class _Progress:
    def says(self, words: str) -> None:
        terminal.say(words)


def _print(report: Report) -> None:
    from doorward.lab.attack import text
    from doorward.lab.attack.verdicts import Outcome

    for line in text.lines(report.runs):
        terminal.write(line, style=terminal.RED if line.lstrip().startswith(Outcome.SUCCEEDED.value) else "")
    terminal.write(f"seed {report.seed}, {report.seconds:.0f} s")


def _list(chosen: Sequence[Family], json_file: str | None) -> int:
    if json_file == "-":
        terminal.write_json({"families": [_described(family) for family in chosen]})
        return CLEAN
    for family in chosen:
        needs = "; needs --allow-side-effects" if family.side_effects else ""
        terminal.write(f"{family.id}  {family.title}  ({', '.join(family.cwe)}{needs})")
    return CLEAN


def _described(family: Family) -> dict[str, Any]:
    return {"id": family.id, "title": family.title, "cwe": family.cwe, "side_effects": family.side_effects}
