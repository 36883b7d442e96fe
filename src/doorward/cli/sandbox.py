"""``doorward sandbox show -- COMMAND…``: what the server of a command line could touch, before it is started."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from doorward.cli import places, terminal
from doorward.cli.wrap import NETWORK, SANDBOX
from doorward.confine.network import described, spelt
from doorward.errors import UsageError

if TYPE_CHECKING:
    from doorward.confine.profile import Folder, SandboxProfile

_DESCRIPTION = """\
Show what `doorward wrap -- COMMAND…` would let the server touch: its folders, its installation, the system's files, its
environment. It is the profile that is enforced, found out in the same way; nothing is started.
"""

_EXAMPLE = """\
example:
  doorward sandbox show -- npx -y @modelcontextprotocol/server-filesystem /home/me/notes
"""


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add ``sandbox`` and its action to the command line."""
    sandbox = verbs.add_parser("sandbox", description="what a server may touch", epilog=_EXAMPLE)
    actions = sandbox.add_subparsers(dest="action", metavar="show", required=True)
    show = actions.add_parser(
        "show",
        parents=[common],
        usage="doorward sandbox show [options] -- COMMAND [ARGUMENT…]",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
    )
    add = show.add_argument
    add("--name", default="", metavar="NAME", help="what you call this server: the policy may give it more")
    add("--read", action="append", default=[], metavar="PATH", help="as with wrap: a folder or file that it may read")
    add("--write", action="append", default=[], metavar="PATH", help="as with wrap: a folder that it may change")
    add("--env", action="append", default=[], metavar="NAME", help="as with wrap: pass on a variable that is withheld")
    add("--network", action="append", default=[], metavar="none|public|HOST:PORT", help=f"as with wrap: {NETWORK}")
    add("--sandbox", choices=("auto", "namespaces", "landlock"), default="auto", help=f"as with wrap: {SANDBOX}")
    show.set_defaults(run=_show, takes_command=True)


def _show(args: argparse.Namespace) -> int:
    if not args.command:
        raise UsageError("no command to look at", hint="doorward sandbox show -- COMMAND [ARGUMENT…]")
    from doorward.gateway.command_use import WrapOptions, fetches, walls_of, wish_to_accept
    from doorward.gateway.identity.command import identify_here
    from doorward.policy.load import load

    options = WrapOptions(
        command=args.command,
        name=args.name,
        read=tuple(args.read),
        write=tuple(args.write),
        env=tuple(args.env),
        network=tuple(args.network),
        sandbox=args.sandbox,
    )
    policy = load(places.policy_path(args))
    identity = identify_here(options.command, options.name)
    where = places.of_gateway(args)
    fetched = None
    if fetches(options.command) and (wish := wish_to_accept(options, identity, policy, where)) is not None:
        from doorward.gateway.fetching.fetch import present

        fetched = present(wish)
        if fetched is None:
            terminal.say("not fetched yet, so this is what the launcher could touch, which does not run the server")
    walls = walls_of(options, identity, policy, where, fetched)
    if args.json:
        terminal.write_json(_document(identity.name, policy.profile, walls))
    else:
        _print(identity.name, policy.profile, walls)
    return 0


def _document(name: str, profile: str, walls: SandboxProfile) -> dict[str, Any]:
    return {
        "server": name,
        "profile": profile,
        "program": walls.program,
        "folders": [{"path": one.path, "access": _access(one), "named_by": one.origin} for one in walls.folders],
        "read": list(walls.read),
        "write": list(walls.write),
        "cache": walls.cache,
        "temporary": walls.temp,
        "cwd": walls.cwd,
        "environment": sorted(name for name, _ in walls.env),
        "withheld": sorted(walls.withheld),
        "network": walls.network,
        "hosts": list(walls.hosts) if walls.network == "public" else [],
        "connect": [spelt(target) for target in walls.connect],
    }


def _print(name: str, profile: str, walls: SandboxProfile) -> None:
    terminal.write(f"{name}, under {profile}: {walls.program}, started in {walls.cwd}", style=terminal.BOLD)
    terminal.write("\nfolders that you gave it")
    for one in walls.folders:
        terminal.write(f"  {_access(one):<14}  {one.path}  ({one.origin})")
    if not walls.folders:
        terminal.write("  none: name one in its command, or with --read or --write", style=terminal.YELLOW)
    terminal.write("\nits own")
    terminal.write(f"  {'read and write':<14}  {walls.cache}  (lasting, for package managers)")
    terminal.write(f"  {'read and write':<14}  a fresh folder in {walls.temp}, gone when it ends")
    terminal.write("\nthe system and its installation, to read")
    for path in walls.read:
        terminal.write(f"  {path}")
    terminal.write(f"\nenvironment: {', '.join(sorted(name for name, _ in walls.env)) or 'nothing'}")
    if walls.withheld:
        terminal.write(
            f"withheld, and passed on with --env NAME: {', '.join(sorted(walls.withheld))}", style=terminal.YELLOW
        )
    network, *targets = described(walls)
    terminal.write(f"network: {network}")
    for target in targets:
        terminal.write(f"  and {target}")
    terminal.write(
        "\neverything else of yours it can neither read nor write: `doorward doctor` tries whether that holds"
    )


def _access(folder: Folder) -> str:
    return "read and write" if folder.write else "read"
