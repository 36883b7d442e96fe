"""``doorward``: finds the verb, imports that verb's module and no other, runs it, turns every end into an exit code.

Start-up counts: ``wrap`` stands in front of every server of a client. So this module imports argparse and little else,
help for all verbs is a table here, and a verb's imports are paid by that verb.

A verb is a module with ``register(verbs, common)``: it adds its parser to ``verbs`` with ``parents=[common]`` and sets
``run``, a function of the parsed arguments to the exit code. What follows ``--`` is cut off before argparse sees it
and handed over as ``args.command``; a verb that wants it sets ``takes_command=True``.

Exit codes: 0 clean; 1 a finding; 2 usage or environment; 130 interrupted, 128+n by signal n; 141 nobody reads our
output any more. ``wrap`` ends with its child's code.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from doorward import __version__
from doorward.cli import terminal
from doorward.errors import DoorwardError, PolicyError, UsageError

if TYPE_CHECKING:
    from doorward.errors import Problem

CLEAN: Final = 0
FINDING: Final = 1
ENVIRONMENT: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT
UNREAD: Final = 141  # 128 + SIGPIPE
_VALUED: Final = ("--state", "-c", "--config")  # before the verb: options that take the next word
_FLAGS: Final = ("--json", "--version", "-h", "--help")


class Verb(NamedTuple):
    """One verb: where it lives, what it is for, whether its ``--json`` names a file instead of being a flag."""

    module: str
    purpose: str
    json_file: bool = False


VERBS: Final[dict[str, Verb]] = {
    "wrap": Verb("doorward.cli.wrap", "run one MCP server behind Doorward; goes into your client's mcp.json"),
    "serve": Verb("doorward.cli.serve", "serve MCP servers over HTTP, each behind Doorward"),
    "consent": Verb("doorward.cli.consent", "answer, in another terminal, what Doorward asks"),
    "audit": Verb("doorward.cli.audit", "show what happened and why; verify that nobody changed the record"),
    "pin": Verb("doorward.cli.pin", "list, accept and remove what each server is known as"),
    "policy": Verb("doorward.cli.policy", "write and check a policy; show what is enforced, and what is not yet"),
    "learn": Verb("doorward.cli.learn", "propose a policy from what passed, for you to read and keep"),
    "sandbox": Verb("doorward.cli.sandbox", "show what the server of a command could touch"),
    "doctor": Verb("doorward.cli.doctor", "try whether the walls around servers hold on this machine"),
    "demo": Verb("doorward.cli.demo", "attack servers without Doorward and behind it, on this machine", json_file=True),
    "attack": Verb("doorward.cli.attack", "attack a server that you own, bare or behind Doorward", json_file=True),
}

_HELP: Final = """\
doorward: the security layer for the Model Context Protocol

usage: doorward [--state DIR] [-c FILE] [--json] VERB …
       doorward VERB --help

{verbs}

  --state DIR         logs, keys and caches: $DOORWARD_STATE, else ~/.local/state/doorward
  -c, --config FILE   policy: else ~/.config/doorward/doorward.toml, else built-in defaults
  --json              machine-readable output, before or after the verb
  --version           print the version and end

see it work:
  doorward demo

protect a server: in your client's mcp.json, put doorward before its command
  "command": "doorward",
  "args": ["wrap", "--", "npx", "-y", "@modelcontextprotocol/server-filesystem@2025.3.28", "/home/me/notes"]
"""


class Parser(argparse.ArgumentParser):
    """argparse with exact options and with errors in our form: raised, not printed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message[:1].lower() + message[1:], hint=f"{self.prog} --help")


class _FrontParser(Parser):
    def format_help(self) -> str:
        width = max(map(len, VERBS))
        lines = (f"  {name:<{width}}   {verb.purpose}" for name, verb in VERBS.items())
        return _HELP.format(verbs="\n".join(lines))


def run() -> NoReturn:
    """The console entry."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets its escape, not a crash in the middle of a message.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # ignored under nohup
            signal.signal(number, _end)
    sys.exit(main(sys.argv[1:]))


class _EndedError(KeyboardInterrupt):
    """A signal asks us to end. It is raised wherever it finds us, as ctrl-c is, so that what stands is cleared away."""


def _end(number: int, _: object) -> NoReturn:
    raise _EndedError(number)


def _open_streams() -> None:
    """Put something in the place of a standard stream that our caller closed: else what we open first would be taken
    for it. Input is at its end, a result cannot be written and is an error, and what is said to a person is lost.
    """
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, flags)  # the lowest that is free, which is this one
            os.set_inheritable(descriptor, True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def main(argv: Sequence[str]) -> int:
    """Run the verb that ``argv`` (without the program's name) asks for; return the exit code.

    Prints every error itself. With DOORWARD_DEBUG set, exceptions are not caught, so that their place shows.
    """
    try:
        return _dispatch(list(argv))
    except _EndedError as end:
        return 128 + int(end.args[0])
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _let_go()
        return UNREAD
    except SystemExit as end:  # argparse, after --help and --version
        return end.code if isinstance(end.code, int) else CLEAN
    except Exception as problem:
        if os.environ.get("DOORWARD_DEBUG"):
            raise
        _report(problem)
        try:
            sys.stdout.flush()
        except OSError:
            _let_go()
        return ENVIRONMENT


def _let_go() -> None:
    """The interpreter flushes stdout once more at its end; let that go nowhere instead of complaining."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(argv: list[str]) -> int:
    if sys.platform != "linux":  # also the verbs that only read: no promise is made for a system that nobody tried
        raise UsageError(
            f"doorward runs on linux only, and this is {sys.platform}",
            hint="run it, and the server behind it, on linux: in a virtual machine, or in WSL 2",
        )
    front, separator, command = _cut(argv)
    if strange := _strange_option(front):
        raise UsageError(f"unrecognised: {strange}", hint="doorward --help")
    name = _verb_in(front)
    parser = _parser(name)
    if not front:
        sys.stderr.write(parser.format_help())
        return ENVIRONMENT
    args, unknown = parser.parse_known_args(front)
    takes_command = getattr(args, "takes_command", False)
    if unknown:
        hint = f"doorward {name} [options] -- COMMAND…" if takes_command else f"doorward {name} --help"
        if takes_command and not separator and not hasattr(args, "action") and not unknown[0].startswith("-"):
            raise UsageError(f"{unknown[0]!r} is no option: a command begins after --", hint=hint)
        raise UsageError(f"unrecognised: {' '.join(unknown)}", hint=hint)
    if separator and not takes_command:
        raise UsageError(f"{name} takes no command after --", hint=f"doorward {name} --help")
    args.command = tuple(command)
    for option in ("state", "config", "json"):
        if not hasattr(args, option):
            setattr(args, option, False if option == "json" and not VERBS[name].json_file else None)
    code: int = args.run(args)
    sys.stdout.flush()  # here, where a reader that left can still be told from other ends
    return code


def _cut(argv: list[str]) -> tuple[list[str], bool, list[str]]:
    """What is ours, whether there was a ``--``, and what follows the first one."""
    if "--" not in argv:
        return argv, False, []
    end = argv.index("--")
    return argv[:end], True, argv[end + 1 :]


def _strange_option(front: list[str]) -> str:
    """The first option before the verb that is none of ours: what follows it may be its value, and not a verb."""
    rest = iter(front)
    for word in rest:
        if word in _VALUED:
            next(rest, "")  # its value
        elif not word.startswith("-"):
            return ""
        elif word.partition("=")[0] not in (*_VALUED, *_FLAGS) and not word.startswith("-c"):
            return word
    return ""


def _verb_in(front: list[str]) -> str:
    """The verb, before anything is parsed: the first word that is one, "" where nothing is meant as one."""
    words = []
    rest = iter(front)
    for word in rest:
        if word in _VALUED:
            next(rest, "")  # its value
        elif not word.startswith("-"):
            words.append(word)
    name = next((word for word in words if word in VERBS), words[0] if words else "")
    if name and name not in VERBS:
        raise UsageError(f"there is no verb {name!r}", hint=_nearest(name))
    # Of `--json demo` the verb is the file's name, and of `demo --json` there is none.
    if name and VERBS[name].json_file and front.count(name) == 1 and front[front.index(name) - 1] == "--json":
        raise UsageError(f"--json of {name} names a file", hint=f"doorward {name} --json FILE, - for stdout")
    return name


def _nearest(name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, VERBS, n=1)
    return f"doorward {close[0]}" if close else "doorward --help"


def _parser(name: str) -> Parser:
    """The parser for ``name``, complete; the other verbs are known by name only."""
    json_file = bool(name) and VERBS[name].json_file
    parser = _FrontParser(prog="doorward", parents=[_common(json_file)])
    parser.add_argument("--version", action="version", version=f"doorward {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for other in VERBS:
        if other == name:
            importlib.import_module(VERBS[name].module).register(verbs, _common(json_file))
        else:
            verbs.add_parser(other, add_help=False)
    return parser


def _common(json_file: bool) -> Parser:
    """The options that stand before or after the verb. Suppressed defaults keep the later parser from undoing them."""
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = common.add_argument_group("for every verb")
    group.add_argument("--state", metavar="DIR", help="logs, keys and caches")
    group.add_argument("-c", "--config", metavar="FILE", help="the policy file")
    if json_file:
        group.add_argument("--json", metavar="FILE", help="write the result as JSON to FILE, - for stdout")
    else:
        group.add_argument("--json", action="store_true", help="machine-readable output")
    return common


def _report(problem: Exception) -> None:
    if isinstance(problem, PolicyError):
        for one in problem.problems:
            _report_one(one)
        if problem.hint:
            terminal.error("the policy was refused", problem.hint)
    elif isinstance(problem, DoorwardError):
        terminal.error(str(problem), problem.hint)
    elif isinstance(problem, OSError):
        what = (problem.strerror or str(problem)).lower()
        terminal.error(f"{problem.filename}: {what}" if problem.filename else what)
    else:
        terminal.error(
            f"internal error: {type(problem).__name__}: {problem}",
            "this is a defect of doorward; DOORWARD_DEBUG=1 shows where",
        )


def _report_one(problem: Problem) -> None:
    terminal.error(f"{problem.where}: {problem.what}", problem.hint)
