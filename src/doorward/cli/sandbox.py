"""``doorward sandbox show -- COMMAND…``: what the server of a command line could touch, before it is started; and
``doorward sandbox learn -- COMMAND…``: what it wanted beyond that, from a run inside its walls.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from doorward.cli import places, terminal
from doorward.cli.wrap import NETWORK, SANDBOX
from doorward.confine.network import described, spelt
from doorward.confine.shortfalls import left_out
from doorward.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from doorward.confine.profile import Folder, SandboxProfile
    from doorward.confine.wishes import Wish
    from doorward.policy.amounts import Caps

_DESCRIPTION = """\
Show what `doorward wrap -- COMMAND…` would let the server touch: its folders, its installation, the system's files, its
environment. It is the profile that is enforced, found out in the same way; nothing is started.
"""

_LEARN = """\
Run the command inside the walls that `doorward wrap -- COMMAND…` would give it, watch which files and addresses it
wants beyond them, and propose what might be given. Nothing is given and nothing is kept: read the proposal, and take
from it what you would give.

Its input and output are this command's own, since what a server touches depends on what it is asked to do: put `sandbox
learn` in the place of `wrap` in your client's mcp.json for a while, or pipe what a client would say. The proposal comes
on stderr when the command ends, or when you interrupt it. Nothing is judged or recorded meanwhile.
"""

_EXAMPLE = """\
example:
  doorward sandbox show -- npx -y @modelcontextprotocol/server-filesystem /home/me/notes
"""

_ACCESS: Final = {"read": "read", "write": "read and write", "connect": "connect to"}
_FLAGS: Final = {"read": "--read", "write": "--write", "connect": "--network"}

_LEARN_EXAMPLE = """\
example:
  doorward sandbox learn -- git -C /home/me/notes log -1
"""


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add ``sandbox`` and its actions to the command line."""
    sandbox = verbs.add_parser("sandbox", description="what a server may touch", epilog=_EXAMPLE)
    actions = sandbox.add_subparsers(dest="action", metavar="show|learn", required=True)
    for name, run, description, example in (
        ("show", _show, _DESCRIPTION, _EXAMPLE),
        ("learn", _learn, _LEARN, _LEARN_EXAMPLE),
    ):
        action = actions.add_parser(
            name,
            parents=[common],
            usage=f"doorward sandbox {name} [options] -- COMMAND [ARGUMENT…]",
            description=description,
            epilog=example,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_options(action.add_argument)
        if name == "learn":
            action.add_argument(
                "--unsafe-no-sandbox",
                action="store_true",
                help="watch it without walls: it gets everything that it wants, and so it may want more",
            )
        action.set_defaults(run=run, takes_command=True)


def _add_options(add: Any) -> None:
    add("--name", default="", metavar="NAME", help="what you call this server: the policy may give it more")
    add("--read", action="append", default=[], metavar="PATH", help="as with wrap: a folder or file that it may read")
    add("--write", action="append", default=[], metavar="PATH", help="as with wrap: a folder that it may change")
    add("--env", action="append", default=[], metavar="NAME", help="as with wrap: pass on a variable that is withheld")
    add("--network", action="append", default=[], metavar="none|public|HOST:PORT", help=f"as with wrap: {NETWORK}")
    add("--sandbox", choices=("auto", "namespaces", "landlock"), default="auto", help=f"as with wrap: {SANDBOX}")


class _Looked(NamedTuple):
    """What was found out about a command; ``lacks`` says that nothing of the server itself is there yet."""

    name: str
    profile: str
    walls: SandboxProfile
    argv: tuple[str, ...]
    own: tuple[str, ...]
    lacks: bool


def _show(args: argparse.Namespace) -> int:
    looked = _look(args)
    if looked.lacks:
        terminal.say("not fetched yet, so this is what the launcher could touch, which does not run the server")
    if args.json:
        terminal.write_json(_document(looked.name, looked.profile, looked.walls))
    else:
        _print(looked.name, looked.profile, looked.walls)
    return 0


def _learn(args: argparse.Namespace) -> int:
    looked = _look(args)
    if looked.lacks:
        raise UsageError(
            "nothing of the server is fetched yet", hint="start it once with doorward wrap, which does that"
        )
    from doorward.gateway.watching import watch

    if args.unsafe_no_sandbox:
        terminal.say("unsafe: the server runs without a sandbox (--unsafe-no-sandbox)")
    elif sys.stdin.isatty():
        terminal.say("it runs inside its walls, and your input is its own; end it with control-d, or interrupt it")
    learnt = watch(looked.argv, looked.walls, own=looked.own, unsafe_no_sandbox=args.unsafe_no_sandbox)
    for gap in learnt.gaps:
        terminal.say(gap)
    if args.json:
        terminal.say_json(
            {"server": looked.name, "status": learnt.status, "wishes": msgspec.to_builtins(learnt.wishes)}
        )
    else:
        for line in _proposal(looked.name, learnt.wishes):
            terminal.say(line)
    return 0


def _look(args: argparse.Namespace) -> _Looked:
    if not args.command:
        raise UsageError("no command to look at", hint=f"doorward sandbox {args.action} -- COMMAND [ARGUMENT…]")
    from doorward.gateway.command_use import WrapOptions, executed, fetches, walls_of, wish_to_accept
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
    fetched, lacks = None, False
    if fetches(options.command) and (wish := wish_to_accept(options, identity, policy, where)) is not None:
        from doorward.gateway.fetching.fetch import present

        fetched = present(wish)
        lacks = fetched is None
    return _Looked(
        identity.name,
        policy.profile,
        walls_of(options, identity, policy, where, fetched),
        executed(options, identity, fetched),
        where.own(),
        lacks,
    )


def _proposal(name: str, wishes: Sequence[Wish]) -> Iterator[str]:
    """What was wanted, one line each; then the flags and the table that would give it."""
    if not wishes:
        yield f"{name} wanted nothing beyond what it has"
        return
    yield f"{name} wanted more than it has; nothing of it was given:"
    for wish in wishes:
        words = f"  {_ACCESS[wish.access]:<14}  {wish.what}"
        if wish.files:
            words += f"  ({len(wish.files)} files, such as {wish.files[0]})"
        yield f"{words}  (rather not: {wish.rather_not})" if wish.rather_not else words
    given = [wish for wish in wishes if not wish.rather_not]
    if not given:
        return
    import shlex

    yield "what would give it, if you would; for doorward wrap:"
    yield "  " + " ".join(f"{_FLAGS[wish.access]} {shlex.quote(wish.what)}" for wish in given)
    yield "or in doorward.toml:"
    yield f"  [servers.{name}]"
    for access in ("read", "write", "connect"):
        if named := [wish.what for wish in given if wish.access == access]:
            yield f"  {access} = [{', '.join(map(_quoted, named))}]"


def _quoted(text: str) -> str:
    """A basic string of TOML: JSON's form is one, escapes and all."""
    import json

    return json.dumps(text, ensure_ascii=False)


def _document(name: str, profile: str, walls: SandboxProfile) -> dict[str, Any]:
    return {
        "server": name,
        "profile": profile,
        "program": walls.program,
        "folders": [{"path": one.path, "access": _access(one), "named_by": one.origin} for one in walls.folders],
        "read": list(walls.read),
        "write": list(walls.write),
        "left_out": [{"path": path, "named_by": named_by} for named_by, path in walls.left_out],
        "cache": walls.cache,
        "temporary": walls.temp,
        "cwd": walls.cwd,
        "environment": sorted(name for name, _ in walls.env),
        "withheld": sorted(walls.withheld),
        "network": walls.network,
        "hosts": list(walls.hosts) if walls.network == "public" else [],
        "connect": [spelt(target) for target in walls.connect],
        "caps": msgspec.structs.asdict(_caps(walls)),
    }


def _caps(walls: SandboxProfile) -> Caps:
    from doorward.policy.amounts import Caps

    return Caps(**{name: getattr(walls, name) for name in Caps.__struct_fields__})


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
    for words, _ in left_out(walls):
        terminal.write(f"  not: {words}", style=terminal.YELLOW)
    terminal.write(f"\nenvironment: {', '.join(sorted(name for name, _ in walls.env)) or 'nothing'}")
    if walls.withheld:
        terminal.write(
            f"withheld, and passed on with --env NAME: {', '.join(sorted(walls.withheld))}", style=terminal.YELLOW
        )
    network, *targets = described(walls)
    terminal.write(f"network: {network}")
    for target in targets:
        terminal.write(f"  and {target}")
    from doorward.policy.profiles import describe_caps

    terminal.write(f"at most: {describe_caps(_caps(walls))}")
    terminal.write(
        "\neverything else of yours it can neither read nor write: `doorward doctor` tries whether that holds"
    )


def _access(folder: Folder) -> str:
    return "read and write" if folder.write else "read"
