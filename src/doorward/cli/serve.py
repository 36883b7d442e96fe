"""``doorward serve``: MCP servers behind one HTTP endpoint each, for every client of this machine that may connect."""

from __future__ import annotations

import argparse
import shlex
import signal
from typing import TYPE_CHECKING, Any

from doorward.cli import places
from doorward.cli.wrap import NETWORK, SANDBOX
from doorward.errors import UsageError

if TYPE_CHECKING:
    from doorward.policy.model import ServerPolicy

_DESCRIPTION = """\
Serve MCP servers over HTTP (Streamable HTTP, 2025-03-26 to 2026-07-28), each behind Doorward.

Servers stand in the policy ([servers.NAME] with url or command), or one of them after --upstream, which is then reached
at http://HOST:PORT/mcp. Doorward listens on loopback only and knows each caller by the operating system's user: yours,
and those of allow_users. For other machines, put a reverse proxy with TLS in front.
"""

_EXAMPLE = """\
examples:
  doorward serve --listen 127.0.0.1:8484 --upstream http://127.0.0.1:9000/mcp
  doorward serve --upstream "npx -y @modelcontextprotocol/server-filesystem /home/me/notes"
  doorward -c doorward.toml serve

SIGHUP reads the policy anew and keeps sessions; SIGTERM and Ctrl-C let calls in flight finish (drain_seconds)
"""


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "serve",
        parents=[common],
        help="serve MCP servers over HTTP",
        usage="doorward serve [options]",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--listen", default="", metavar="HOST:PORT", help="where, on loopback; port 0 takes any (127.0.0.1:8484)")
    add("--upstream", default="", metavar="URL|COMMAND", help="one server: its URL, or its command line in quotes")
    add("--name", default="", metavar="NAME", help="what you call that server, in policy, pins and log")
    add("--transport", choices=("streamable", "sse"), default="streamable", help="of a URL; sse is that of 2024-11-05")
    add("--allowed-host", action="append", default=[], metavar="HOST", help="a Host that clients may also use")
    add("--read", action="append", default=[], metavar="PATH", help="a folder or file that the command may read")
    add("--write", action="append", default=[], metavar="PATH", help="a folder that it may read and write")
    add("--env", action="append", default=[], metavar="NAME", help="pass on a variable that is withheld")
    add("--network", action="append", default=[], metavar="none|public|HOST:PORT", help=NETWORK)
    add("--sandbox", choices=("auto", "namespaces", "landlock"), default="auto", help=SANDBOX)
    add("--unsafe-no-sandbox", action="store_true", help="start commands unconfined: they can do all that you can")
    add("--unsafe-install-scripts", action="store_true", help="run install scripts of what npx or uvx would fetch")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))  # until we listen for them
    try:
        return _serve(args)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


def _serve(args: argparse.Namespace) -> int:
    from doorward.gateway import serve
    from doorward.policy.addresses import host_problem
    from doorward.policy.load import load

    for host in args.allowed_host:
        if problem := host_problem(host):
            raise UsageError(f"--allowed-host {problem[0]}", hint=problem[1])
    path, where = places.policy_path(args), places.of_gateway(args)
    options = serve.ServeOptions(
        listen=args.listen,
        upstream=_upstream(args),
        read=tuple(args.read),
        write=tuple(args.write),
        env=tuple(args.env),
        network=tuple(args.network),
        sandbox=args.sandbox,
        allowed_hosts=tuple(args.allowed_host),
        as_json=args.json,
        unsafe_no_sandbox=args.unsafe_no_sandbox,
        unsafe_install_scripts=args.unsafe_install_scripts,
    )
    return serve.serve(options, lambda started_us: load(path, started_us=started_us), where)


def _upstream(args: argparse.Namespace) -> ServerPolicy | None:
    """The server of the command line, served at /mcp."""
    from doorward.gateway.identity import command, hosts, url
    from doorward.policy.addresses import url_problem
    from doorward.policy.identity import name_problem
    from doorward.policy.model import ServerPolicy

    given: str = args.upstream.strip()
    if not given:
        if args.name:
            raise UsageError("--name is for the server of --upstream", hint="servers of the policy have their names")
        return None
    if args.name and (problem := name_problem(args.name)):
        raise UsageError(problem)
    if "://" in given.split(maxsplit=1)[0]:
        if complaint := url_problem(given):
            raise UsageError(f"--upstream {complaint[0]}", hint=complaint[1])
        name = args.name or url.derived_name(hosts.read_address(given))
        return ServerPolicy(name, url=given, path="/mcp", transport=args.transport)
    try:
        argv = tuple(shlex.split(given))
    except ValueError as problem:
        raise UsageError(f"--upstream: {problem}".lower(), hint="quote it as for a shell; no shell runs it") from None
    return ServerPolicy(args.name or command.derived_name(argv), command=argv, path="/mcp")
