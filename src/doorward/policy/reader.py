"""From the tables of a parsed policy file to a `Policy`: every key is known, of its kind and meant, or is a problem.

The rules that this file must keep:

* A key that is not known is a problem, never ignored: a control that was misspelt must not be a control that is off.
* Nothing is matched by pattern. Names are exact; the only ``*`` are the table for every server, and the first label of
  a host that a server may connect to.
* What weakens a default has ``unsafe_`` in its name. ``[sizes]`` and ``[log] floor`` only tighten.
"""

from __future__ import annotations

import datetime
import re
from typing import Final, TypeVar

import msgspec

from doorward.content.arguments import Constraint
from doorward.content.rates import Rate
from doorward.content.templates import variables
from doorward.content.uris import is_below
from doorward.errors import PolicyError
from doorward.policy import keys
from doorward.policy.amounts import Limits, RateLimits, Sizes
from doorward.policy.home import home
from doorward.policy.identity import name_problem, variable_problem
from doorward.policy.model import (
    EVERY_SERVER,
    HOLD_SECONDS,
    Policy,
    ProfileValues,
    PromptPolicy,
    ServerPolicy,
    ToolPolicy,
    sealed,
)
from doorward.policy.positions import Positions
from doorward.policy.profiles import PROFILES, STANDARD, values
from doorward.policy.reader_approvals import standing_approvals
from doorward.policy.reader_caps import caps
from doorward.policy.reader_constraints import read_constraints
from doorward.policy.reader_network import network
from doorward.policy.reader_serve import judge_paths, serve_settings, where
from doorward.policy.reader_sizes import part_sizes
from doorward.policy.shapes import Key, Raw, Shapes
from doorward.protocol.shown import beginning_problem
from doorward.protocol.versions import KNOWN_VERSIONS, LOG_LEVELS

HOLD_SECONDS_RANGE: Final = range(1, 601)
RATE_RANGE: Final = range(1, 1_000_001)

_TOOL_NAME: Final = re.compile(r"[^\s*?\[\]]{1,256}")
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)+")
_GRANT: Final = re.compile(r"(?!(?:experimental|extensions)/?$)[^\s*?\[\]]{1,256}")
_Numbers = TypeVar("_Numbers", Sizes, Limits, RateLimits)


class Reader:
    """Reads one parsed file and keeps every problem found on the way (`doorward.policy.shapes`)."""

    def __init__(
        self, source: str, positions: Positions, today: datetime.date | None = None, started_us: int | None = None
    ) -> None:
        self._shapes = Shapes(source, positions, today, started_us)
        self._sizes = values(STANDARD).sizes

    def policy(self, raw: Raw) -> Policy:
        """The policy that ``raw`` says.

        Raises:
            PolicyError: with all problems, in the order of their lines.
        """
        shapes = self._shapes
        shapes.known(raw, (), keys.TOP)
        profile = shapes.choice(raw, (), "profile", PROFILES, STANDARD)
        until = shapes.day(raw, (), "unsafe_observe_until")
        effective = self._values(raw, values(profile))
        self._sizes = effective.sizes
        policy = Policy(
            profile,
            effective,
            hold_seconds=self._hold_seconds(raw),
            servers=self._servers(raw, values(profile)),
            observe_until=until.isoformat() if until else "",
            serve=serve_settings(shapes, raw),
            standing=standing_approvals(shapes, (), raw),
            source=shapes.source,
        )
        if shapes.problems:
            raise PolicyError(shapes.problems)
        return sealed(policy)

    def offered(self, name: str, raw: Raw) -> ServerPolicy:
        """What ``raw`` says of the tools and prompts of the servers called ``name``, and nothing else.

        Raises:
            PolicyError: with all problems.
        """
        self._shapes.known(raw, (), ("tools", "prompts"))
        server = ServerPolicy(name, tools=self._tools((), raw), prompts=self._prompts((), raw))
        if self._shapes.problems:
            raise PolicyError(self._shapes.problems)
        return server

    # Defaults of the profile, overridden.

    def _values(self, raw: Raw, base: ProfileValues) -> ProfileValues:
        shapes = self._shapes
        shapes.known(shapes.table(raw, (), "log"), ("log",), keys.LOG)
        shapes.known(shapes.table(raw, (), "protocol"), ("protocol",), keys.PROTOCOL)
        return msgspec.structs.replace(
            base,
            sizes=self._numbers(raw, "sizes", base.sizes),
            limits=self._numbers(raw, "limits", base.limits),
            rates=self._numbers(raw, "rates", base.rates),
            log_floor=self._raised(raw, "log", "floor", LOG_LEVELS, base.log_floor),
            oldest_revision=self._raised(raw, "protocol", "oldest", KNOWN_VERSIONS, base.oldest_revision),
        )

    def _raised(self, raw: Raw, table: str, name: str, order: tuple[str, ...], base: str) -> str:
        """One of ``order``: ``name`` raises ``base``, and only ``unsafe_`` before its name lowers it."""
        shapes, given, unsafe = self._shapes, self._shapes.table(raw, (), table), f"unsafe_{name}"
        chosen = shapes.choice(given, (table,), name, order, base)
        if order.index(chosen) < order.index(base):
            shapes.add((table, name), f"{chosen!r} is lower than the profile's {base!r}", f"write {unsafe}")
        if unsafe in given:
            if name in given:
                shapes.add((table, unsafe), f"stands beside {name!r}", "keep one of them")
            chosen = shapes.choice(given, (table,), unsafe, order, chosen)
        return chosen

    def _numbers(self, raw: Raw, lowered: str, base: _Numbers) -> _Numbers:
        """``base``, lowered by the table ``lowered`` and raised by the one with ``unsafe_`` before its name."""
        shapes, raised = self._shapes, f"unsafe_{lowered}"
        defaults: dict[str, int] = msgspec.structs.asdict(base)
        changed: dict[str, int] = {}
        for table in (lowered, raised):
            given = shapes.table(raw, (), table)
            shapes.known(given, (table,), defaults)
            for name in given.keys() & defaults.keys():
                size, key = given[name], (table, name)
                if type(size) is not int or size < 1:
                    shapes.add(key, "is not a positive whole number")
                elif name in changed:
                    shapes.add(key, f"stands under '{lowered}' and under '{raised}'", "keep one of them")
                elif table == lowered and size > defaults[name]:
                    shapes.add(key, f"{size} is above the profile's {defaults[name]}", f"write it under [{raised}]")
                else:
                    changed[name] = size
        return msgspec.structs.replace(base, **changed)

    def _hold_seconds(self, raw: Raw) -> int:
        consent = self._shapes.table(raw, (), "consent")
        self._shapes.known(consent, ("consent",), keys.CONSENT)
        return self._shapes.whole(consent, ("consent",), "hold_seconds", HOLD_SECONDS_RANGE, HOLD_SECONDS)

    # Servers.

    def _servers(self, raw: Raw, base: ProfileValues) -> dict[str, ServerPolicy]:
        tables = self._shapes.table(raw, (), "servers")
        for name in tables:
            if name != EVERY_SERVER and (problem := name_problem(name)):
                self._shapes.add(("servers", name), problem, 'names are exact; the one table for every server is "*"')
        servers = {name: self._server(name, self._shapes.table(tables, ("servers",), name), base) for name in tables}
        judge_paths(self._shapes, servers)
        return servers

    def _server(self, name: str, raw: Raw, base: ProfileValues) -> ServerPolicy:
        key = ("servers", name)
        self._shapes.known(raw, key, keys.SERVER)
        env = self._shapes.strings(raw, key, "env")
        for variable in env:
            if problem := variable_problem(variable):
                self._shapes.add((*key, "env"), problem, "write the name only, no value")
        return ServerPolicy(
            name,
            read=self._folders(raw, key, "read"),
            write=self._folders(raw, key, "write"),
            env=env,
            tools=self._tools(key, raw),
            prompts=self._prompts(key, raw),
            templates=self._templates(key, raw),
            secrets=self._shapes.flag(raw, key, "secrets") is True,
            unsafe_no_profile=self._shapes.flag(raw, key, "unsafe_no_profile") is True,
            grants=self._shapes.judged(raw, key, "grants", _grant_problem),
            uris=self._shapes.judged(raw, key, "uris", beginning_problem),
            below=self._shapes.judged(raw, key, "below", _elsewhere_problem),
            standing=standing_approvals(self._shapes, key, raw),
            rate=self._rate(key, raw),
            sizes=part_sizes(self._shapes, key, raw, self._sizes),
            **caps(self._shapes, key, raw, base.caps),
            **network(self._shapes, key, raw),
            **where(self._shapes, key, raw),
        )

    def _folders(self, raw: Raw, key: Key, name: str) -> tuple[str, ...]:
        return tuple(self._absolute((*key, name), folder) for folder in self._shapes.strings(raw, key, name))

    def _absolute(self, key: Key, path: str) -> str:
        if "\0" in path:
            self._shapes.add(key, "holds a NUL character")
        elif path == "~" or path.startswith("~/"):
            return str(home()) + path[1:]
        elif not path.startswith("/"):
            self._shapes.add(key, f"{path!r} is not an absolute path", "begin it with / or ~/")
        return path

    def _tool(self, key: Key, raw: Raw) -> ToolPolicy:
        self._shapes.known(raw, key, keys.TOOL)
        if not _TOOL_NAME.fullmatch(key[-1]):
            self._shapes.add(key, f"{key[-1]!r} is not the name of a tool", "names are exact, there are no patterns")
        return ToolPolicy(
            ask=self._shapes.flag(raw, key, "ask"),
            arguments=self._arguments(key, raw),
            secrets=self._shapes.judged(raw, key, "secrets", _argument_problem),
            rate=self._rate(key, raw),
            sizes=part_sizes(self._shapes, key, raw, self._sizes),
        )

    def _tools(self, key: Key, raw: Raw) -> dict[str, ToolPolicy]:
        key, tools = (*key, "tools"), self._shapes.table(raw, key, "tools")
        return {name: self._tool((*key, name), self._shapes.table(tools, key, name)) for name in tools}

    def _rate(self, key: Key, raw: Raw) -> Rate | None:
        if "rate" not in raw:
            return None
        here, given = (*key, "rate"), self._shapes.table(raw, key, "rate")
        self._shapes.known(given, here, keys.RATE)
        for name in keys.RATE:
            if name not in given and isinstance(raw["rate"], dict):
                self._shapes.add((*here, name), "is missing", "rate = { per_second = 5, burst = 10 }")
        numbers = [self._shapes.whole(given, here, name, RATE_RANGE, 0) for name in keys.RATE if name in given]
        return Rate(*numbers) if len(numbers) == len(keys.RATE) and all(numbers) else None

    def _prompts(self, key: Key, raw: Raw) -> dict[str, PromptPolicy]:
        key, prompts, found = (*key, "prompts"), self._shapes.table(raw, key, "prompts"), {}
        for name in prompts:
            here, table = (*key, name), self._shapes.table(prompts, key, name)
            self._shapes.known(table, here, keys.PROMPT)
            if not _TOOL_NAME.fullmatch(name):
                self._shapes.add(
                    here, f"{name!r} is not the name of a prompt", "names are exact, there are no patterns"
                )
            found[name] = PromptPolicy(self._arguments(here, table))
        return found

    def _templates(self, key: Key, raw: Raw) -> dict[str, PromptPolicy]:
        key, templates, found = (*key, "templates"), self._shapes.table(raw, key, "templates"), {}
        for text in templates:
            here, table = (*key, text), self._shapes.table(templates, key, text)
            self._shapes.known(table, here, keys.TEMPLATE)
            names = variables(text)
            if not names:
                self._shapes.add(here, f"{text!r} is no URI template", 'as its server lists it: "notes://{topic}"')
            found[text] = PromptPolicy(self._arguments(here, table))
            for name in found[text].arguments:
                if names and name not in names:
                    self._shapes.add((*here, "arguments", name), f"{name!r} is no variable of the template")
        return found

    def _arguments(self, key: Key, raw: Raw) -> dict[str, tuple[Constraint, ...]]:
        key, given = (*key, "arguments"), self._shapes.table(raw, key, "arguments")
        return {name: self._constraints((*key, name), self._shapes.table(given, key, name)) for name in given}

    def _constraints(self, key: Key, raw: Raw) -> tuple[Constraint, ...]:
        if problem := _argument_problem(key[-1]):
            self._shapes.add(key, *problem)
        return read_constraints(self._shapes, key, raw, self._absolute)


def _argument_problem(argument: str) -> tuple[str, str] | None:
    if argument and (not argument.startswith("/") or _POINTER.fullmatch(argument)):
        return None
    return f"{argument!r} is neither the name of an argument nor a JSON pointer", ""


def _elsewhere_problem(folder: str) -> tuple[str, str] | None:
    """A folder of another machine: nothing of it is looked up or expanded here."""
    if is_below(folder, "/") and folder != "/":
        return None
    return f"{folder!r} is not an absolute path below /", "as the server's machine names it; no '..', no '/' at its end"


def _grant_problem(grant: str) -> tuple[str, str] | None:
    if _GRANT.fullmatch(grant):
        return None
    return f"{grant!r} names no capability", "names are exact: experimental/NAME, extensions/NAME or NAME"
