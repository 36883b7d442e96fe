"""From the tables of a parsed policy file to a `Policy`: every key is known, of its kind and meant, or is a problem.

The rules that this file must keep:

* A key that is not known is a problem, never ignored: a control that was misspelt must not be a control that is off.
* Nothing is matched by pattern. Names are exact; the only ``*`` is a table for every server.
* What weakens a default has ``unsafe_`` in its name. ``[sizes]`` and ``[log] floor`` only tighten.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Final

import msgspec

from doorward.content.arguments import KINDS, Constraint
from doorward.errors import PolicyError, Problem
from doorward.policy.home import home
from doorward.policy.identity import name_problem
from doorward.policy.model import (
    EVERY_SERVER,
    HOLD_SECONDS,
    Policy,
    ProfileValues,
    ServerPolicy,
    Sizes,
    ToolPolicy,
    sealed,
)
from doorward.policy.positions import Positions
from doorward.policy.profiles import PROFILES, STANDARD, values
from doorward.protocol.versions import LOG_LEVELS

Key = tuple[str, ...]

OBSERVE_DAYS: Final = 14  # long enough to see two weekly jobs, too short to be forgotten
HOLD_SECONDS_RANGE: Final = range(1, 601)

_TOP: Final = ("profile", "consent", "log", "sizes", "unsafe_sizes", "unsafe_observe_until", "servers")
_SERVER: Final = ("read", "write", "env", "tools")
_TOOL: Final = ("ask", "arguments")
_PATH_BELOW: Final = "path_below"  # the one constraint that may name something

_TOOL_NAME: Final = re.compile(r"[^\s*?\[\]]{1,256}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)+")


class Reader:
    """Reads one parsed file and keeps every problem found on the way. Each method returns something usable always."""

    def __init__(self, source: str, positions: Positions, today: datetime.date | None) -> None:
        self._source = source
        self._positions = positions
        self._today = today
        self._problems: list[tuple[int, Problem]] = []

    def policy(self, raw: dict[str, Any]) -> Policy:
        self._known(raw, (), _TOP)
        profile = self._choice(raw, (), "profile", PROFILES, STANDARD)
        policy = Policy(
            profile,
            self._values(raw, values(profile)),
            hold_seconds=self._hold_seconds(raw),
            servers=self._servers(raw),
            observe_until=self._observe_until(raw),
            source=self._source,
        )
        if self._problems:
            self._problems.sort(key=lambda found: found[0])
            raise PolicyError(tuple(problem for _, problem in self._problems))
        return sealed(policy)

    # Defaults of the profile, overridden.

    def _values(self, raw: dict[str, Any], base: ProfileValues) -> ProfileValues:
        log = self._table(raw, (), "log")
        self._known(log, ("log",), ("floor", "unsafe_floor"))
        floor = self._choice(log, ("log",), "floor", LOG_LEVELS, base.log_floor)
        if LOG_LEVELS.index(floor) < LOG_LEVELS.index(base.log_floor):
            self._add(
                ("log", "floor"), f"{floor!r} is lower than the profile's {base.log_floor!r}", "write unsafe_floor"
            )
        if "unsafe_floor" in log:
            if "floor" in log:
                self._add(("log", "unsafe_floor"), "stands beside 'floor'", "keep one of them")
            floor = self._choice(log, ("log",), "unsafe_floor", LOG_LEVELS, floor)
        return msgspec.structs.replace(base, sizes=self._sizes(raw, base.sizes), log_floor=floor)

    def _sizes(self, raw: dict[str, Any], base: Sizes) -> Sizes:
        defaults: dict[str, int] = msgspec.structs.asdict(base)
        changed: dict[str, int] = {}
        for table in ("sizes", "unsafe_sizes"):
            given = self._table(raw, (), table)
            self._known(given, (table,), tuple(defaults))
            for name in given.keys() & defaults.keys():
                size, key = given[name], (table, name)
                if type(size) is not int or size < 1:
                    self._add(key, "is not a positive whole number")
                elif name in changed:
                    self._add(key, "stands under 'sizes' and under 'unsafe_sizes'", "keep one of them")
                elif table == "sizes" and size > defaults[name]:
                    self._add(key, f"{size} is above the profile's {defaults[name]}", "write it under [unsafe_sizes]")
                else:
                    changed[name] = size
        return msgspec.structs.replace(base, **changed)

    def _hold_seconds(self, raw: dict[str, Any]) -> int:
        consent = self._table(raw, (), "consent")
        self._known(consent, ("consent",), ("hold_seconds",))
        seconds = consent.get("hold_seconds", HOLD_SECONDS)
        if type(seconds) is int and seconds in HOLD_SECONDS_RANGE:
            return seconds
        first, last = HOLD_SECONDS_RANGE[0], HOLD_SECONDS_RANGE[-1]
        self._add(("consent", "hold_seconds"), f"is not a whole number from {first} to {last}")
        return HOLD_SECONDS

    def _observe_until(self, raw: dict[str, Any]) -> str:
        if "unsafe_observe_until" not in raw:
            return ""
        key, until = ("unsafe_observe_until",), raw["unsafe_observe_until"]
        today = self._today or datetime.date.today()  # noqa: DTZ011 (the operator's own calendar)
        last = today + datetime.timedelta(days=OBSERVE_DAYS)
        # A datetime is a date to Python; to the reader of a policy it is not.
        if type(until) is not datetime.date:
            self._add(key, "is not a date", f"unsafe_observe_until = {last}")
        elif until > last:
            self._add(key, f"{until} is more than {OBSERVE_DAYS} days ahead", f"at the latest {last}")
        else:
            return until.isoformat()
        return ""

    # Servers.

    def _servers(self, raw: dict[str, Any]) -> dict[str, ServerPolicy]:
        tables = self._table(raw, (), "servers")
        for name in tables:
            if name != EVERY_SERVER and (problem := name_problem(name)):
                self._add(("servers", name), problem, 'names are exact; the one table for every server is "*"')
        return {name: self._server(name, self._table(tables, ("servers",), name)) for name in tables}

    def _server(self, name: str, raw: dict[str, Any]) -> ServerPolicy:
        key = ("servers", name)
        self._known(raw, key, _SERVER)
        env = self._strings(raw, key, "env")
        for variable in env:
            if not _VARIABLE.fullmatch(variable):
                self._add((*key, "env"), f"{variable!r} is not the name of a variable", "write the name only, no value")
        tools = self._table(raw, key, "tools")
        return ServerPolicy(
            name,
            read=self._folders(raw, key, "read"),
            write=self._folders(raw, key, "write"),
            env=env,
            tools={
                tool: self._tool((*key, "tools", tool), self._table(tools, (*key, "tools"), tool)) for tool in tools
            },
        )

    def _folders(self, raw: dict[str, Any], key: Key, name: str) -> tuple[str, ...]:
        return tuple(self._absolute((*key, name), folder) for folder in self._strings(raw, key, name))

    def _absolute(self, key: Key, path: str) -> str:
        if "\0" in path:
            self._add(key, "holds a NUL character")
        elif path == "~" or path.startswith("~/"):
            return str(home()) + path[1:]
        elif not path.startswith("/"):
            self._add(key, f"{path!r} is not an absolute path", "begin it with / or ~/")
        return path

    def _tool(self, key: Key, raw: dict[str, Any]) -> ToolPolicy:
        self._known(raw, key, _TOOL)
        if not _TOOL_NAME.fullmatch(key[-1]):
            self._add(key, f"{key[-1]!r} is not the name of a tool", "names are exact, there are no patterns")
        ask = raw.get("ask")
        if ask is not None and type(ask) is not bool:
            self._add((*key, "ask"), "is neither true nor false")
            ask = None
        arguments = self._table(raw, key, "arguments")
        return ToolPolicy(
            ask=ask,
            arguments={
                name: self._constraints((*key, "arguments", name), self._table(arguments, (*key, "arguments"), name))
                for name in arguments
            },
        )

    def _constraints(self, key: Key, raw: dict[str, Any]) -> tuple[Constraint, ...]:
        argument = key[-1]
        if not argument or (argument.startswith("/") and not _POINTER.fullmatch(argument)):
            self._add(key, f"{argument!r} is neither the name of an argument nor a JSON pointer")
        self._known(raw, key, KINDS)
        if not raw:
            self._add(key, "constrains nothing", f"one of: {', '.join(KINDS)}")
        return tuple(self._constraint((*key, kind), raw[kind]) for kind in KINDS if kind in raw)

    def _constraint(self, key: Key, value: object) -> Constraint:
        kind = key[-1]
        if value is True:
            return Constraint(kind)
        if kind == _PATH_BELOW and isinstance(value, str) and value:
            return Constraint(kind, self._absolute(key, value))
        if kind == _PATH_BELOW:
            self._add(key, "is neither the path of a folder nor true", "true means: below any folder of the server")
        else:
            self._add(key, "can only be true", "leave it out instead")
        return Constraint(kind)

    # Shapes.

    def _add(self, key: Key, what: str, hint: str = "") -> None:
        line = self._positions.line(key)
        self._problems.append((line, Problem(f"{self._source}:{line}", f"{_spelt(key)}: {what}", hint)))

    def _known(self, raw: dict[str, Any], key: Key, known: tuple[str, ...]) -> None:
        for name in raw:
            if name not in known:
                self._add((*key, name), "is not a known key", _nearest(name, known))

    def _table(self, raw: dict[str, Any], key: Key, name: str) -> dict[str, Any]:
        table = raw.get(name, {})
        if isinstance(table, dict):
            return table
        self._add((*key, name), "is not a table")
        return {}

    def _choice(self, raw: dict[str, Any], key: Key, name: str, choices: tuple[str, ...], default: str) -> str:
        chosen = raw.get(name, default)
        if isinstance(chosen, str) and chosen in choices:
            return chosen
        hint = _nearest(chosen, choices) if isinstance(chosen, str) else f"one of: {', '.join(choices)}"
        self._add((*key, name), f"{chosen!r} is not one of: {', '.join(choices)}", hint)
        return default

    def _strings(self, raw: dict[str, Any], key: Key, name: str) -> tuple[str, ...]:
        given = raw.get(name, [])
        if isinstance(given, list) and all(isinstance(one, str) and one for one in given):
            return tuple(given)
        self._add((*key, name), "is not a list of texts", f'{name} = ["…"]')
        return ()


def _nearest(name: str, known: tuple[str, ...]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}" if close else f"known here: {', '.join(known)}"


def _spelt(key: Key) -> str:
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in key)
