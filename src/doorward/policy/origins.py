"""Where each value of a policy comes from: a line of the file, the profile, or a default that no profile changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from doorward.policy.model import ServerPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.content.arguments import Constraint
    from doorward.content.rates import Rate
    from doorward.policy.amounts import PartSizes
    from doorward.policy.model import Policy
    from doorward.policy.positions import Positions
    from doorward.policy.shapes import Key, Raw

DEFAULT: Final = "default"
_STANDING: Final = "unsafe_standing_approvals"


class Setting(NamedTuple):
    """One value: the key that sets it, as written in a file, the value, and its origin.

    ``origin`` is ``FILE:LINE``, ``profile NAME``, or ``default``.
    """

    key: tuple[str, ...]
    value: Any
    origin: str


class Origins:
    """The origins of one policy's values. Without a file ``raw`` is empty and ``positions`` is None."""

    def __init__(self, policy: Policy, raw: Raw, positions: Positions | None) -> None:
        self._policy = policy
        self._raw = raw
        self._positions = positions

    def settings(self) -> tuple[Setting, ...]:
        """Every value that a file could set, and of servers what this file says of them."""
        return tuple(self._all())

    def _all(self) -> Iterator[Setting]:
        policy, profile = self._policy, f"profile {self._policy.profile}"
        yield self._setting(("profile",), policy.profile)
        yield self._setting(("consent", "hold_seconds"), policy.hold_seconds)
        yield self._setting(("log", "floor"), policy.log_floor, profile, ("log", "unsafe_floor"))
        oldest = policy.values.oldest_revision
        yield self._setting(("protocol", "oldest"), oldest, profile, ("protocol", "unsafe_oldest"))
        for table, values in (("sizes", policy.sizes), ("limits", policy.limits), ("rates", policy.rates)):
            for name, number in msgspec.structs.asdict(values).items():
                yield self._setting((table, name), number, profile, (f"unsafe_{table}", name))
        for name, value in msgspec.structs.asdict(policy.serve).items():
            yield self._setting(("serve", name), list(value) if isinstance(value, tuple) else value)
        yield from self._said(("unsafe_observe_until",), policy.observe_until)
        yield from self._approvals(())
        for server in policy.servers.values():
            yield from self._server(server)

    def _server(self, server: ServerPolicy) -> Iterator[Setting]:
        above = ("servers", server.name)
        where = ("url", "command", "read", "write", "env", "grants", "uris", "below")
        for name, value in ((name, getattr(server, name)) for name in where):
            yield from self._said((*above, name), list(value) if isinstance(value, tuple) else value)
        yield from self._rate(above, server.rate)
        yield from self._sizes(above, server.sizes)
        if server.served:
            yield self._setting((*above, "path"), server.served_path)
        if server.url:
            yield self._setting((*above, "transport"), server.transport)
        yield from self._said((*above, "secrets"), server.secrets)
        yield from self._said((*above, "unsafe_no_profile"), server.unsafe_no_profile)
        for tool, said in server.tools.items():
            yield from self._said((*above, "tools", tool, "ask"), said.ask)
            yield from self._said((*above, "tools", tool, "secrets"), list(said.secrets))
            yield from self._rate((*above, "tools", tool), said.rate)
            yield from self._sizes((*above, "tools", tool), said.sizes)
            yield from self._demands((*above, "tools", tool), said.arguments)
        for prompt, demanded in server.prompts.items():
            yield from self._demands((*above, "prompts", prompt), demanded.arguments)
        for template, demanded in server.templates.items():
            yield from self._demands((*above, "templates", template), demanded.arguments)
        yield from self._approvals(above)

    def _rate(self, above: Key, rate: Rate | None) -> Iterator[Setting]:
        if rate is not None:
            yield from self._said((*above, "rate"), rate._asdict())

    def _sizes(self, above: Key, sizes: PartSizes) -> Iterator[Setting]:
        for name, size in msgspec.structs.asdict(sizes).items():
            for table in ("sizes", "unsafe_sizes"):
                yield from self._said((*above, table, name), size)

    def _demands(self, above: Key, arguments: dict[str, tuple[Constraint, ...]]) -> Iterator[Setting]:
        for argument, constraints in arguments.items():
            rules = {one.kind: _written(one.value) for one in constraints}
            yield from self._said((*above, "arguments", argument), rules)

    def _approvals(self, above: Key) -> Iterator[Setting]:
        said = self._found((*above, _STANDING))
        for name, value in said.items() if isinstance(said, dict) else ():
            written = value if isinstance(value, bool | str) else str(value)
            yield from self._said((*above, _STANDING, name), written)

    def _said(self, key: Key, value: Any) -> Iterator[Setting]:
        """What only a file says: nothing, where it does not."""
        if self._found(key) is not None:
            yield self._setting(key, value)

    def _setting(self, key: Key, value: Any, otherwise: str = DEFAULT, unsafe: Key | None = None) -> Setting:
        for said in (key, unsafe):
            if said is not None and self._positions is not None and self._found(said) is not None:
                return Setting(said, value, f"{self._policy.source}:{self._positions.line(said)}")
        return Setting(key, value, otherwise)

    def _found(self, key: Key) -> Any:
        found: Any = self._raw
        for part in key:
            found = found.get(part) if isinstance(found, dict) else None
        return found


def _written(value: Any) -> Any:
    """What a constraint is measured by, as a file says it."""
    if value == "":
        return True
    return list(value) if isinstance(value, tuple) else value
