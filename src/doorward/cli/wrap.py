"""``doorward wrap -- COMMAND…``: one server for one client, on this program's own stdin and stdout."""

from __future__ import annotations

import argparse
import gc
import signal
from typing import TYPE_CHECKING, Any

from doorward.cli import places
from doorward.confine import process
from doorward.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from doorward.policy.model import Policy

_DESCRIPTION = """\
Run one MCP server behind Doorward. Put it before the server's command in your client's mcp.json; nothing else changes.

The server gets its own installation, the folders that its command names, and nothing else of yours. Every message is
judged, recorded before it has an effect, and explained by `doorward audit show`.
"""

_EXAMPLE = """\
--read, --write, --env and --network may be repeated

examples:
  doorward wrap --name notes -- npx -y @modelcontextprotocol/server-filesystem /home/me/notes
  doorward wrap --name tickets --url https://mcp.example.com/mcp

exits with the server's code (128+n for a signal), or 2 when doorward could not start it
"""


SANDBOX = "by what it is confined: namespaces where the machine allows them, else landlock, which has no network (auto)"
NETWORK = "where it may connect to: nowhere, to public addresses, or also to HOST:PORT, whatever that is"


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "wrap",
        parents=[common],
        help="run one MCP server behind Doorward",
        usage="doorward wrap [options] -- COMMAND [ARGUMENT…]\n       doorward wrap [options] --url URL",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser)
    parser.set_defaults(run=run, takes_command=True)


def defaults() -> dict[str, Any]:
    """What the options are where none is written, for a verb that wraps as well."""
    parser = argparse.ArgumentParser(add_help=False)
    _add_options(parser)
    return vars(parser.parse_args([]))


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--name", default=None, metavar="NAME", help="what you call this server, in policy, pins and log")
    add("--url", default="", metavar="URL", help="instead of a command: a server that is reached by its URL")
    add("--transport", choices=("streamable", "sse"), default="streamable", help="of --url; sse is that of 2024-11-05")
    add("--read", action="append", default=[], metavar="PATH", help="a folder or file that it may read")
    add("--write", action="append", default=[], metavar="PATH", help="a folder that it may read and write")
    add("--env", action="append", default=[], metavar="NAME", help="pass on a variable that is withheld")
    add("--network", action="append", default=[], metavar="none|public|HOST:PORT", help=NETWORK)
    add("--sandbox", choices=("auto", "namespaces", "landlock"), default="auto", help=SANDBOX)
    add("--unsafe-no-sandbox", action="store_true", help="start it unconfined: it can then do all that you can")
    add("--unsafe-install-scripts", action="store_true", help="run install scripts of what npx or uvx would fetch")


def run(args: argparse.Namespace, amend: Callable[[Policy], Policy] | None = None) -> int:
    """Run the server until its client or it ends; its exit code. ``amend`` changes the policy of this run."""
    if args.url:
        return _run_url(args)
    if not args.command:
        raise UsageError("no command to wrap", hint="doorward wrap -- COMMAND [ARGUMENT…]")
    if args.name == "":
        raise UsageError("--name is empty", hint="leave it out, and a name is made of the command")
    launcher = process.boot()
    # An interrupt in the middle of loading a library can end the interpreter anywhere, even in the library's own code.
    # So signals wait for the door, which listens for them (`gateway.stdio`), or for the end if it comes before that.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    gc.disable()  # nothing that start-up makes is garbage; `app` turns it on again. Saves a tenth of the time
    try:
        return _wrap(args, launcher, amend)
    finally:
        launcher.abandon()


def _run_url(args: argparse.Namespace) -> int:
    if args.command:
        raise UsageError("a URL and a command", hint="give one of them")
    if args.read or args.write or args.env or args.network or args.unsafe_no_sandbox or args.unsafe_install_scripts:
        given = "--read, --write, --env, --network and --unsafe-…"
        raise UsageError(f"{given} are for a command, which --url does not start")
    from doorward.gateway import remote
    from doorward.policy.addresses import url_problem
    from doorward.policy.load import load

    if problem := url_problem(args.url):
        raise UsageError(f"--url {problem[0]}", hint=problem[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))  # until the door listens
    options = remote.WrapUrlOptions(args.url, args.name or "", args.transport, as_json=args.json)
    return remote.wrap_url(options, load(places.policy_path(args)), places.of_gateway(args))


def _wrap(args: argparse.Namespace, launcher: process.Launcher, amend: Callable[[Policy], Policy] | None = None) -> int:
    from doorward.gateway import app  # while the launcher comes up
    from doorward.gateway.command_use import WrapOptions
    from doorward.policy.load import load

    options = WrapOptions(
        command=args.command,
        name=args.name or "",
        read=tuple(args.read),
        write=tuple(args.write),
        env=tuple(args.env),
        network=tuple(args.network),
        sandbox=args.sandbox,
        as_json=args.json,
        unsafe_no_sandbox=args.unsafe_no_sandbox,
        unsafe_install_scripts=args.unsafe_install_scripts,
    )
    policy = load(places.policy_path(args))
    return app.wrap(options, amend(policy) if amend else policy, places.of_gateway(args), launcher)
