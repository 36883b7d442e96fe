"""``doorward attack``: the lab's attacks on a server or a client that you own, bare or also behind Doorward.

Progress goes to stderr, the result to stdout (as JSON with ``--json -``). What is planted and started is gone at the
end, also after ctrl-c.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from doorward.cli import reporting, terminal
from doorward.cli.playing import CLEAN, exit_code, play_until, require_lab, seed_of
from doorward.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Sequence

    from doorward.lab.attack.aim import Aim
    from doorward.lab.attack.families import Family
    from doorward.lab.attack.run import Orders
    from doorward.lab.report.model import Report, Run


LONGEST_VISIT_SECONDS = 3600.0


class Listed(Protocol):
    """What ``--list`` says of a family, of attacks on servers or on clients."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def cwe(self) -> tuple[str, ...]: ...
    @property
    def side_effects(self) -> bool: ...


_DESCRIPTION = """\
Attack an MCP server that you own. Probes are made from what it lists: its tools with their schemas, its resources and
templates. Harm is a planted value that arrives, or a mark that only an injected command makes, and never words.

With --client, attack an MCP client that you own: the lab plays the server. The words of the command say how the client
is told of it: {url}, {command} (a command line, as one word) or {config} (a file mcp.json); with none, the URL is last.

SUCCEEDED: harm was seen. RESISTED: these probes did no harm while honest calls were served before and after; it says
nothing about others. INCONCLUSIVE, NOT APPLICABLE and EXCLUDED: nothing is known, and nothing is called safe.
"""

_EPILOG = """\
examples:
  doorward attack --plant ~/notes --stdio -- npx -y @modelcontextprotocol/server-filesystem@2025.3.28 ~/notes
  doorward attack --plant ~/notes --through-doorward --stdio -- my-server ~/notes
  doorward attack --client -- fastmcp call {url} greet name=ada
  doorward attack --url https://mcp.example.com/mcp --token-env MY_TOKEN --i-own-this-target

exit: 0 no harm, and something was tried; 1 harm, or honest calls that were served are not any more; 2 usage,
environment, something inconclusive (0 with --allow-inconclusive), or the target was not reached or has no place for
anything
"""


def register(verbs: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "attack",
        parents=[common],
        help="attack a server or a client that you own",
        usage=(
            "doorward attack [options] --stdio -- COMMAND [ARGUMENT…]\n"
            "       doorward attack [options] --url URL\n"
            "       doorward attack [options] --client -- COMMAND [ARGUMENT…]"
        ),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--stdio", action="store_true", help="the target is the command after --")
    add("--url", default="", metavar="URL", help="the target is reached by this URL (Streamable HTTP)")
    add("--client", action="store_true", help="the target is a client, started by the command after --")
    add(
        "--client-seconds",
        type=_seconds,
        default=20.0,
        metavar="N",
        help="how long a client may take for one visit (default: %(default)g); then it is ended",
    )
    add("--header", action="append", default=[], metavar="NAME=VALUE", help="a header for the URL; may be repeated")
    add(
        "--header-env",
        action="append",
        default=[],
        metavar="NAME=VARIABLE",
        help="a header whose value stands in a variable of the environment, for secrets; may be repeated",
    )
    add("--token-env", metavar="VARIABLE", help="a variable that holds the OAuth access token for the URL")
    add("--client-certificate", metavar="FILE", help="a file with your key and certificate (PEM), for mutual TLS")
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
    add(
        "--allow-inconclusive",
        action="store_true",
        help="what is inconclusive of a target that was reached does not change the exit code",
    )
    parser.set_defaults(run=run, takes_command=True)


def run(args: argparse.Namespace) -> int:
    """Attack and report.

    Raises:
        UsageError: there is no target, it is not on this machine and nobody says whose it is, or something that was
            asked for does not exist or may not be done.
    """
    require_lab()
    if args.client:
        return _run_on_client(args)
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
    draft = reporting.begun(args, "attack", orders.seed, **_named(orders.aim))
    terminal.say(f"attacking {orders.aim.title}, seed {orders.seed}")
    return _told(args, reporting.played(draft, lambda: _play(orders)))


def _run_on_client(args: argparse.Namespace) -> int:
    """The same for a client.

    Raises:
        UsageError: there is no command, or an option is about a server.
    """
    from doorward.lab.attack.clients.lures import FAMILIES

    known = {family.id: family for family in FAMILIES}
    for wanted in args.only:
        if wanted not in known:
            raise UsageError(f"there is no family {wanted!r} for a client", hint=f"one of: {', '.join(known)}")
    chosen = tuple(family for id, family in known.items() if not args.only or id in args.only)
    if args.list:
        return _list(chosen, args.json)
    for given, option in ((args.stdio, "--stdio"), (args.url, "--url"), (args.plant, "--plant")):
        if given:
            raise UsageError(f"{option} is about a server", hint="leave it out, or leave out --client")
    if not args.command:
        raise UsageError("no client to attack", hint="doorward attack --client -- COMMAND [ARGUMENT…]")
    _require_program(args.command[0])
    from doorward.lab.attack.aim import located
    from doorward.lab.attack.clients import run as clients
    from doorward.lab.attack.clients.visit import Client

    command = located(args.command)
    orders = clients.Orders(
        client=Client(command, args.client_seconds),
        families=chosen,
        seed=seed_of(args.seed),
        through=args.through_doorward,
        policy=Path(args.config).absolute() if args.config else None,
    )
    draft = reporting.begun(args, "attack", orders.seed, client=command)
    terminal.say(f"attacking the client {' '.join(command)}, seed {orders.seed}")
    return _told(args, reporting.played(draft, lambda: _until_interrupted(lambda: clients.attack(orders, _Progress()))))


def _seconds(text: str) -> float:
    """A time that something can be done in."""
    import argparse

    with suppress(ValueError):
        if 0 < (value := float(text)) <= LONGEST_VISIT_SECONDS:
            return value
    raise argparse.ArgumentTypeError(f"{text} is no time of at most {LONGEST_VISIT_SECONDS:g} seconds")


def _told(args: argparse.Namespace, report: Report) -> int:
    if not reporting.written(args, report):
        _print(report)
        for line in reporting.compared(report):
            terminal.write(line)
    return exit_code(report, allow_inconclusive=args.allow_inconclusive)


def _named(aim: Aim) -> dict[str, tuple[str, ...]]:
    return {"url": (aim.url,)} if aim.url else {"command": aim.command}


def _require_program(name: str) -> None:
    if shutil.which(name) is None:
        raise UsageError(f"there is no program {name!r}", hint="name one that can be started from here")


def _orders(args: argparse.Namespace, chosen: tuple[Family, ...]) -> Orders:
    from doorward.lab.attack.run import Orders

    aim = _aim(args)
    if not aim.local and not args.i_own_this_target:
        raise UsageError(
            f"{aim.url} is not on this machine",
            hint="attack only what is yours: add --i-own-this-target if it is",
        )
    if args.through_doorward and (aim.headers or aim.certificate):
        raise UsageError(
            "`doorward wrap` has no headers and no client certificate of its own yet",
            hint="leave out --through-doorward",
        )
    if args.plant:
        above = set(map(str, Path(args.plant).resolve().parents))
        for word in aim.command:
            if Path(word).is_dir() and str(Path(word).resolve()) in above:
                terminal.say(f"the command names {word}, above --plant: what it may see there will be called an escape")
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
        if args.header or args.header_env or args.token_env or args.client_certificate:
            raise UsageError("headers, tokens and certificates are for a URL", hint="give --url, or leave them out")
        _require_program(args.command[0])
        return Aim(command=located(args.command))
    if args.command:
        raise UsageError("a URL and a command", hint="give one of them")
    if problem := url_problem(args.url):
        raise UsageError(f"--url {problem[0]}", hint=problem[1])
    headers = [*_pairs(args.header, "--header"), *_from_environment(args.header_env)]
    if args.token_env:
        headers.append(("Authorization", f"Bearer {_variable(args.token_env)}"))
    return Aim(url=args.url, headers=tuple(headers), certificate=_certificate(args.client_certificate))


def _certificate(file: str | None) -> Path | None:
    """The file, once it is known to be one: TLS would only say so after the first attempt."""
    import ssl

    if file is None:
        return None
    try:
        ssl.create_default_context().load_cert_chain(file, password="")
    except (OSError, ssl.SSLError) as problem:
        raise UsageError(
            f"{file} holds no key with its certificate: {(problem.strerror or str(problem)).lower()}",
            hint="one file in PEM: the private key without a passphrase, then the certificate and its chain",
        ) from None
    return Path(file).absolute()


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
        found += _pairs([f"{name}={_variable(variable)}"], "--header-env")
    return found


def _variable(name: str) -> str:
    if not os.environ.get(name):
        raise UsageError(f"the variable {name} is not set", hint=f"export {name}, then run this again")
    return os.environ[name]


def _play(orders: Orders) -> list[Run]:
    from doorward.lab.attack.run import attack

    return _until_interrupted(lambda: attack(orders, _Progress()))


def _until_interrupted(attack: Callable[[], Awaitable[list[Run]]]) -> list[Run]:
    import signal

    try:
        return play_until(attack, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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


def _list(chosen: Sequence[Listed], json_file: str | None) -> int:
    if json_file == "-":
        terminal.write_json({"families": [_described(family) for family in chosen]})
        return CLEAN
    for family in chosen:
        needs = "; needs --allow-side-effects" if family.side_effects else ""
        terminal.write(f"{family.id}  {family.title}  ({', '.join(family.cwe)}{needs})")
    return CLEAN


def _described(family: Listed) -> dict[str, Any]:
    return {"id": family.id, "title": family.title, "cwe": family.cwe, "side_effects": family.side_effects}
