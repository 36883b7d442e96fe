"""``doorward pin``: what each server is known as, in ``doorward.lock``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from doorward.cli import terminal
from doorward.cli.places import lock_path, of_gateway, policy_path
from doorward.errors import UsageError

if TYPE_CHECKING:
    from doorward.gateway.identity.command import CommandIdentity
    from doorward.gateway.identity.url import UrlIdentity
    from doorward.policy.lock import Pin, Pins

_EXAMPLE = """\
examples:
  doorward pin list
  doorward pin accept notes
  doorward pin accept --name notes -- npx -y @modelcontextprotocol/server-filesystem@2025.3.28 ~/notes
  doorward pin accept --url https://mcp.example.com/mcp --name tickets
  doorward pin remove notes
"""


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add ``pin`` and its three verbs to the command line."""
    pin = verbs.add_parser("pin", description="what each server is known as, in doorward.lock", epilog=_EXAMPLE)
    actions = pin.add_subparsers(dest="action", metavar="list|accept|remove", required=True)

    show = actions.add_parser("list", parents=[common], description="list what is pinned")
    show.set_defaults(run=_list)

    accept = actions.add_parser(
        "accept",
        parents=[common],
        usage="doorward pin accept [--refresh] NAME\n       doorward pin accept [--name NAME] -- COMMAND…\n"
        "       doorward pin accept [--name NAME] --url URL",
        description="pin a server as it is now: one that is pinned, by its name, or one by its whole command or URL",
        epilog=_EXAMPLE,
    )
    accept.add_argument("pinned", nargs="?", metavar="NAME", help="pin anew the command or URL that NAME has")
    accept.add_argument(
        "--name", help="the name that the server is given; without one, one is made of the command or URL"
    )
    accept.add_argument("--url", help="the URL of a server: https://, or http:// on this machine")
    accept.add_argument("--refresh", action="store_true", help="fetch anew what npx or uvx would fetch, then pin that")
    accept.add_argument(
        "--unsafe-install-scripts", action="store_true", help="run install scripts of what npx or uvx would fetch"
    )
    accept.set_defaults(run=_accept, takes_command=True)

    remove = actions.add_parser("remove", parents=[common], description="forget a server: its next use is a first use")
    remove.add_argument("pinned", metavar="NAME")
    remove.set_defaults(run=_remove)


def _list(args: argparse.Namespace) -> int:
    from doorward.policy.lock import read

    path = lock_path(args)
    pins = read(path)
    if args.json:
        import msgspec

        terminal.write_json({"lock": str(path), "pins": [msgspec.to_builtins(pins[name]) for name in sorted(pins)]})
        return 0
    if not pins:
        terminal.say(f"nothing is pinned in {path}")
    for name in sorted(pins):
        _print_pin(pins[name])
    return 0


def _accept(args: argparse.Namespace) -> int:
    import time

    from doorward.policy.lock import read, update

    path = lock_path(args)
    identity = _wanted(args, read(path))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    fresh = identity.pin(first_seen=now, accepted_by=f"doorward pin accept, {_user()}")
    before: list[Pin | None] = []

    def put(pins: Pins) -> Pins:
        old = pins.get(fresh.name)
        before.append(old)
        if old is None or _differences(old, identity):
            pins[fresh.name] = fresh
        return pins

    after = update(path, put)
    _tell(args, identity, before[0], after[fresh.name])
    return 0


def _wanted(args: argparse.Namespace, pins: Pins) -> CommandIdentity | UrlIdentity:
    """What to pin: a command, a URL, or what a name is pinned as, looked at anew."""
    ways = (bool(args.command), args.url is not None, args.pinned is not None)
    if sum(ways) != 1 or (args.pinned is not None and args.name is not None):
        raise UsageError(
            "pin accept takes either a pinned name or a command or a URL", hint="doorward pin accept --help"
        )
    if args.command:
        return _command(args, args.command, args.name or "")
    if args.url is not None:
        return _url(args.url, args.name or "")
    pin = _pinned(args.pinned, pins)
    from doorward.gateway.identity.command import is_masked

    if pin.url_sha256 or (not pin.url and is_masked(pin)):
        what, rest = ("URL", "--url URL") if pin.url else ("command", "-- COMMAND…")
        hint = f"doorward pin accept --name {pin.name} {rest}"
        raise UsageError(f"the {what} of {pin.name} holds a secret that the lock file does not keep", hint=hint)
    return _url(pin.url, pin.name) if pin.url else _command(args, pin.argv, pin.name)


def _command(args: argparse.Namespace, argv: tuple[str, ...], name: str) -> CommandIdentity:
    """Who the command is, with what it needs: fetched where it is not there, or where something newer is wanted."""
    from doorward.gateway.command_use import WrapOptions, fetches, wish_to_accept
    from doorward.gateway.identity.command import identify_here
    from doorward.policy.load import load

    identity = identify_here(argv, name)
    wish = None
    if fetches(argv):
        options = WrapOptions(argv, name, unsafe_install_scripts=args.unsafe_install_scripts)
        wish = wish_to_accept(options, identity, load(policy_path(args)), of_gateway(args), refresh=args.refresh)
    if wish is None:
        if args.refresh:
            raise UsageError(f"nothing is fetched for {identity.name}", hint="leave out --refresh")
        return identity
    from doorward.gateway.fetching.fetch import have

    fetched = have(wish, lambda text, hint="": terminal.say(f"{text} ({hint})" if hint else text))
    return identify_here(argv, name, fetched.package)


def _url(url: str, name: str) -> UrlIdentity:
    from doorward.gateway.identity.url import identify_url

    return identify_url(url, name)


def _differences(pin: Pin, identity: CommandIdentity | UrlIdentity) -> tuple[tuple[str, str, str], ...]:
    from doorward.gateway.identity import judgment, judgment_url
    from doorward.gateway.identity.url import UrlIdentity

    if isinstance(identity, UrlIdentity):
        return judgment_url.differences(pin, identity)
    return judgment.differences(pin, identity)


def _remove(args: argparse.Namespace) -> int:
    from doorward.policy.lock import read, update

    path = lock_path(args)
    _pinned(args.pinned, read(path))
    update(path, lambda pins: {name: pin for name, pin in pins.items() if name != args.pinned})
    if args.json:
        terminal.write_json({"lock": str(path), "removed": args.pinned})
    else:
        terminal.write(f"{args.pinned} is no longer pinned: its next use is a first use")
    return 0


def _pinned(name: str, pins: Pins) -> Pin:
    if name in pins:
        return pins[name]
    raise UsageError(f"nothing is pinned as {name!r}", hint="doorward pin list")


def _tell(args: argparse.Namespace, identity: CommandIdentity | UrlIdentity, before: Pin | None, after: Pin) -> None:
    changes = _differences(before, identity) if before else ()
    for note in identity.notes:
        terminal.say(note)
    if args.json:
        import msgspec

        rows = [{"field": field, "pinned": old, "found": new} for field, old, new in changes]
        terminal.write_json({"pin": msgspec.to_builtins(after), "differences": rows, "known": before is not None})
        return
    if before and not changes:
        terminal.write(f"{after.name} is pinned as it is already")
        return
    for field, old, new in changes:
        terminal.write(f"{field}\n    - {old}\n    + {new}")
    _print_pin(after)


def _print_pin(pin: Pin) -> None:
    terminal.write(pin.name, style=terminal.BOLD)
    rows = _url_rows(pin) if pin.url else _command_rows(pin)
    for title, text in (*rows, ("first seen", pin.first_seen), ("accepted by", pin.accepted_by)):
        if text:
            terminal.write(f"    {title:<11} {text}")


def _url_rows(pin: Pin) -> tuple[tuple[str, str], ...]:
    from doorward.gateway.identity.url import owned_by

    digest = f"  sha256 {pin.url_sha256}" if pin.url_sha256 else ""
    return ("url", f"{pin.url}{digest}"), ("listener", f"owned by {owned_by(pin.owner)}" if pin.owner >= 0 else "")


def _command_rows(pin: Pin) -> tuple[tuple[str, str], ...]:
    import shlex

    owner = f"owned by user {pin.executable_owner}" if pin.executable_owner >= 0 else ""
    return (
        ("command", shlex.join(pin.argv)),
        ("executable", f"{pin.executable}  {owner or f'sha256 {pin.executable_sha256}'}"),
        ("script", f"{pin.script}  sha256 {pin.script_sha256}" if pin.script else ""),
        ("package", f"{pin.package}  {f'sha256 {pin.package_sha256}' if pin.package_sha256 else ''}".rstrip()),
        ("integrity", pin.package_integrity),
    )


def _user() -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"user {os.getuid()}"
