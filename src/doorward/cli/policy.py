"""``doorward policy show``: what is enforced, by which control, what is not enforced yet, and why each value is what it
is. The actions that concern the file itself are in `doorward.cli.policy_file`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from doorward.cli import policy_file, terminal
from doorward.cli.places import kept_lock, policy_path

if TYPE_CHECKING:
    from doorward.content.arguments import Constraint
    from doorward.policy.known_servers import KnownServer
    from doorward.policy.lock import Pin
    from doorward.policy.model import Policy, ServerPolicy
    from doorward.policy.origins import Setting
    from doorward.policy.profiles import Row

_NOT_YET = "not enforced yet"

_EXAMPLE = """\
examples:
  doorward policy show
  doorward policy show --profile strict
  doorward policy show --json
  doorward policy init --profile strict
  doorward policy check doorward.toml
"""


def register(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add ``policy`` and its actions to the command line."""
    policy = verbs.add_parser(
        "policy",
        description="write and check a policy file; show what is enforced, and what is not yet",
        epilog=_EXAMPLE,
    )
    actions = policy.add_subparsers(dest="action", metavar="{show,init,check,schema}", required=True)
    show = actions.add_parser(
        "show",
        parents=[common],
        description="print every default of the profile in force, its control, what your policy file adds, and where "
        "each value comes from",
        epilog=_EXAMPLE,
    )
    show.add_argument(
        "--profile", metavar="NAME", help="show this profile (standard, strict) as shipped, without a file"
    )
    show.set_defaults(run=_show)
    policy_file.register(actions, common)


def _show(args: argparse.Namespace) -> int:
    # Imported here: help costs nothing.
    from doorward.policy.load import explained

    as_shipped = args.profile is not None
    policy, settings = _shipped(args.profile) if as_shipped else explained(policy_path(args))
    known = [] if as_shipped else _known(args)
    if args.json:
        terminal.write_json(_as_json(policy, settings, known))
    else:
        _print(policy)
        if not as_shipped:  # there each value is the profile's, and the rows have said so
            _print_known(policy, known)
            _print_settings(settings)
    return 0


def _known(args: argparse.Namespace) -> list[tuple[Pin, KnownServer]]:
    """The pinned servers that are well-known ones, and what Doorward itself demands of them."""
    from doorward.policy import known_servers, lock

    pins = lock.read(kept_lock(args))
    found = [(pins[name], known_servers.of_package(pins[name].package)) for name in sorted(pins)]
    return [(pin, known) for pin, known in found if known is not None]


def _shipped(profile: str) -> tuple[Policy, tuple[Setting, ...]]:
    from doorward.policy.model import Policy, sealed
    from doorward.policy.origins import Origins
    from doorward.policy.profiles import values

    policy = sealed(Policy(profile, values(profile)))
    named, *rest = Origins(policy, {}, None).settings()
    return policy, (named._replace(origin="--profile"), *rest)


def _as_json(policy: Policy, settings: tuple[Setting, ...], known: list[tuple[Pin, KnownServer]]) -> dict[str, Any]:
    import msgspec

    from doorward.policy.profiles import ROWS

    effective: dict[str, Any] = msgspec.to_builtins(policy)
    effective["defaults"] = [
        {
            "id": row.id,
            "title": row.title,
            "text": row.words(policy.profile),
            "controls": list(row.controls),
            "enforced": bool(row.controls),
            "not_yet": row.not_yet,
        }
        for row in ROWS
    ]
    effective["known_servers"] = [
        {
            "server": pin.name,
            "package": pin.package,
            "profile": profile.name,
            "applies": not policy.for_server(pin.name).unsafe_no_profile,
            "tools": msgspec.to_builtins(profile.said.tools),
            "prompts": msgspec.to_builtins(profile.said.prompts),
        }
        for pin, profile in known
    ]
    effective["settings"] = [{"key": list(one.key), "value": one.value, "from": one.origin} for one in settings]
    return effective


def _print(policy: Policy) -> None:
    from doorward.policy.profiles import ROWS

    terminal.write(f"profile {policy.profile}, from {policy.source or 'the built-in defaults'}", style=terminal.BOLD)
    terminal.write(f"policy digest {policy.digest}")
    for row in ROWS:
        _print_row(row, policy.profile)
    if overrides := _overrides(policy):
        terminal.write()
        terminal.write("your policy file says", style=terminal.BOLD)
        for line in overrides:
            _print_wrapped(line)
    for server in policy.servers.values():
        _print_server(server)


def _print_row(row: Row, profile: str) -> None:
    terminal.write()
    terminal.write(row.title, style=terminal.BOLD)
    _print_wrapped(row.words(profile))
    if row.controls:
        _print_wrapped(f"[{', '.join(row.controls)}]" + (f" {_NOT_YET}: {row.not_yet}" if row.not_yet else ""))
    else:
        terminal.write(f"    {_NOT_YET}", style=terminal.YELLOW)


def _overrides(policy: Policy) -> list[str]:
    """What the file says beside its servers, where that is not the profile's own value."""
    from doorward.policy.model import HOLD_SECONDS
    from doorward.policy.profiles import describe_limits, describe_rates, describe_sizes, values, weakened

    usual = values(policy.profile)
    lines = []
    if policy.sizes != usual.sizes:
        lines.append(f"sizes: {describe_sizes(policy.sizes)}")
    if policy.limits != usual.limits:
        lines.append(f"limits: {describe_limits(policy.limits)}")
    if policy.rates != usual.rates:
        lines.append(f"rates: {describe_rates(policy.rates)}")
    if policy.log_floor != usual.log_floor:
        lines.append(f"log floor: {policy.log_floor}")
    if policy.values.oldest_revision != usual.oldest_revision:
        lines.append(f"oldest revision that a client may ask for: {policy.values.oldest_revision}")
    if policy.hold_seconds != HOLD_SECONDS:
        lines.append(f"a held call waits {policy.hold_seconds} s")
    return [*lines, *(f"unsafe: {words}" for words in weakened(policy))]


def _print_server(server: ServerPolicy) -> None:
    terminal.write()
    terminal.write("every server" if server.name == "*" else f"server {server.name}", style=terminal.BOLD)
    if server.served:
        how = f"{server.url} ({server.transport})" if server.url else " ".join(server.command)
        _print_wrapped(f"at {server.served_path}: {how}")
    lists = (("read", server.read), ("write", server.write), ("env", server.env), ("grants", server.grants))
    for title, entries in lists:
        if entries:
            _print_wrapped(f"{title}: {', '.join(entries)}")
    if server.secrets:
        _print_wrapped("credentials may go to it without a question")
    for line in _rates(server):
        _print_wrapped(line)
    _print_offered(server)


def _print_offered(server: ServerPolicy) -> None:
    for name, tool in server.tools.items():
        if tool.ask is not None:
            _print_wrapped(f"tool {name}: {'ask before each call' if tool.ask else 'need not ask for every call'}")
        for argument, constraints in tool.arguments.items():
            _print_wrapped(f"tool {name}, argument {argument}: {_rules(constraints)}")
        if tool.secrets:
            _print_wrapped(f"tool {name}: credentials may go in {', '.join(tool.secrets)}")
    for name, prompt in server.prompts.items():
        for argument, constraints in prompt.arguments.items():
            _print_wrapped(f"prompt {name}, argument {argument}: {_rules(constraints)}")


def _print_known(policy: Policy, known: list[tuple[Pin, KnownServer]]) -> None:
    for pin, profile in known:
        terminal.write()
        terminal.write(f"server {pin.name} is well known: profile {profile.name}", style=terminal.BOLD)
        _print_wrapped(f"its pin names {pin.package}")
        if policy.for_server(pin.name).unsafe_no_profile:
            _print_wrapped("not applied (unsafe_no_profile)")
        else:
            _print_offered(profile.said)


def _rates(server: ServerPolicy) -> list[str]:
    said = [("", "", server.rate)]
    said += [(f"tool {name}: ", " for one principal", tool.rate) for name, tool in server.tools.items()]
    return [
        f"{who}at most {rate.per_second:g} a second, {rate.burst:g} at once{whose}"
        for who, whose, rate in said
        if rate is not None
    ]


def _rules(constraints: tuple[Constraint, ...]) -> str:
    words = []
    for rule in constraints:
        listed = isinstance(rule.value, tuple)
        value = " | ".join(map(str, rule.value)) if isinstance(rule.value, tuple) else str(rule.value)
        words.append(f"{rule.kind} {f'({value})' if listed else value}".rstrip())
    return ", ".join(words)


def _print_settings(settings: tuple[Setting, ...]) -> None:
    import json

    from doorward.policy.shapes import spelt

    terminal.write()
    terminal.write("where each value comes from", style=terminal.BOLD)
    for one in settings:
        _print_wrapped(f"{spelt(one.key)} = {json.dumps(one.value, ensure_ascii=False)} [{one.origin}]")


def _print_wrapped(text: str) -> None:
    import textwrap

    for line in textwrap.wrap(text, terminal.width() - 4, break_on_hyphens=False, break_long_words=False):
        terminal.write(f"    {line}")
