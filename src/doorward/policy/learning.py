"""The tightest policy that would have let pass the calls that were seen: a proposal for a person to read and keep.

Of each argument only counts and bounds are kept while calls are looked at, never all of its values, so any number of
them can be. A constraint is proposed only if every value seen fits it, by the very judgment that will hold it. What the
log masks was not seen, and the proposal says so.

It does not know what a tool will be asked tomorrow, nor whether what was seen was good: whoever keeps a proposal
vouches for the calls that it was learnt from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from doorward.content import path_names, schemes, uris
from doorward.content.arguments import Constraint, select, text_of, violates
from doorward.policy.pace import HEAD_ROOM, Pace
from doorward.policy.reached import Beginnings, Folder

MAX_TOOLS: Final = 1_000
MAX_ARGUMENTS: Final = 200
MAX_DISTINCT: Final = 8
"""An argument with more values than that is no choice among a few."""
SEEN_EACH: Final = 3
"""So often on average a value was seen before it is taken for one of a few."""
LONGEST_CHOICE: Final = 64

_MASKED: Final = re.compile("\u2039masked:")
_NAME: Final = re.compile(r"[^\s*?\[\]]{1,256}")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ORIGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://[^/?#]+)(/[^?#]*)?")
_FLAGS: Final = ("identifier", "no_leading_dash", "no_shell_metacharacters", "single_line")
_LARGEST: Final = 1 << 53


class Argument:
    """What was seen of one argument."""

    def __init__(self, name: str) -> None:
        self.calls = self.masked = self.longest = 0
        self._kinds: set[type] = set()
        self._choices: dict[tuple[type, object], None] | None = {}
        self._low: float = 0
        self._high: float = 0
        self._flags = dict.fromkeys(_FLAGS, True)
        self._folder: str | None = "" if path_names.is_path_like(name) else None  # None: no path
        self._places: dict[str, None] | None = {}  # None: no URLs, or many

    def add(self, leaves: list[object], folder_of: Callable[[str], str]) -> None:
        """One call gave ``leaves``: the value, or everything in it."""
        self.calls += 1
        for leaf in leaves:
            if isinstance(leaf, str) and _MASKED.search(leaf):
                self.masked += 1
                continue
            self._add(leaf, folder_of)

    def _add(self, leaf: object, folder_of: Callable[[str], str]) -> None:
        text = text_of(leaf)
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            first = not self._kinds & {int, float}
            self._low = leaf if first else min(self._low, leaf)
            self._high = leaf if first else max(self._high, leaf)
        self._kinds.add(type(leaf))
        self.longest = max(self.longest, len(text))
        if self._choices is not None:
            self._choices[type(leaf), leaf] = None
            if len(self._choices) > MAX_DISTINCT or len(text) > LONGEST_CHOICE or leaf is None:
                self._choices = None
        for flag in _FLAGS:
            self._flags[flag] = self._flags[flag] and violates(Constraint(flag), leaf) is None
        self._add_path(text, folder_of)
        self._add_place(text)

    def _add_path(self, text: str, folder_of: Callable[[str], str]) -> None:
        if self._folder is None:
            return
        if not text.startswith("/") or uris.readings(text, "/").problem:
            self._folder = None
            return
        folder = folder_of(text)
        self._folder = os.path.commonpath((self._folder, folder)) if self._folder else folder

    def _add_place(self, text: str) -> None:
        found = _ORIGIN.match(text)
        if self._places is None or found is None or violates(Constraint("url_allow", (found[1],)), text) is not None:
            self._places = None
            return
        self._places[found[1]] = None
        if len(self._places) > MAX_DISTINCT:
            self._places = None

    def rules(self) -> dict[str, Any]:
        """The constraints that every value seen fits."""
        if self.masked or not self._kinds:
            return {}
        if self._choices is not None and self.calls >= SEEN_EACH * len(self._choices):
            return {"enum": [value for _, value in self._choices]}
        if self._kinds <= {int, float}:
            whole = {"integer": True} if self._kinds == {int} else {}
            return whole | {"minimum": self._low, "maximum": self._high} if self._low > -_LARGEST else whole
        if self._kinds == {bool}:
            return {"enum": [False, True]}
        rules: dict[str, Any] = {"max_length": self.longest}
        if self._folder and self._folder != "/":
            return {"path_below": self._folder} | rules
        if self._places:
            return {"url_allow": list(self._places)} | rules
        if self._flags["identifier"]:
            return {"identifier": True} | rules
        return {flag: True for flag in _FLAGS if self._flags[flag]} | rules


class Lessons:
    """What the calls of one server teach. ``folder_of`` says which folder the path of a file or a folder is below.

    ``elsewhere``: the server does not run on this machine, so of its folders only their names are known.
    """

    def __init__(self, server: str, folder_of: Callable[[str], str]) -> None:
        self._server = server
        self._folder_of = folder_of
        self.elsewhere = False
        self._pace = Pace()
        self._paces: dict[str, Pace] = {}
        self._beginnings = Beginnings()
        self._refused = Beginnings()
        self._below = Folder()
        self._seen: dict[tuple[str, str], dict[str, Argument]] = {}
        self._calls: dict[tuple[str, str], int] = {}
        self._unlearnt: list[str] = []
        self._resources: dict[str, int] = {}
        self._grants: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self.total = self.refused = 0
        self.largest = 0

    def came(self, principal: str, at_us: int, tool: str = "") -> None:
        """One message came from a client of ``principal``, a call of ``tool`` perhaps."""
        self._pace.add("", at_us)
        if tool in self._paces or (_NAME.fullmatch(tool) and len(self._paces) < MAX_TOOLS):
            self._paces.setdefault(tool, Pace()).add(principal, at_us)

    def named(self, paths: Iterator[str]) -> None:
        """One request named ``paths``."""
        self._below.add(paths)

    def request(self, method: str, params: dict[str, Any], size: int, *, by_policy: bool = False) -> None:
        """One request of the client that passed, as the log has it. ``by_policy``: for a resource that only a policy
        lets pass, since the server had not shown it.
        """
        self.total += 1
        self.largest = max(self.largest, size)
        self._declared(params)
        if method in ("tools/call", "prompts/get"):
            kind = "tools" if method == "tools/call" else "prompts"
            name, given = params.get("name"), params.get("arguments") or {}
            if isinstance(name, str) and isinstance(given, dict):
                self._call(kind, name, given)
        elif method in ("resources/read", "resources/subscribe"):
            uri = str(params.get("uri"))
            scheme = schemes.scheme_of(uri) or "no scheme"
            if by_policy and not schemes.may_open_a_file(uri):
                self._beginnings.add("" if _MASKED.search(uri) else uri)
            if len(self._resources) < MAX_DISTINCT or scheme in self._resources:
                self._resources[scheme] = self._resources.get(scheme, 0) + 1

    def refused_resource(self, uri: str) -> None:
        """One was refused because the server had not shown it."""
        if not schemes.may_open_a_file(uri):
            self._refused.add("" if _MASKED.search(uri) else uri)

    def unreadable(self, method: str, subject: str) -> None:
        """One whose body is not in the log."""
        if len(self._unlearnt) < MAX_DISTINCT:
            self._unlearnt.append(f"{method} {subject}: its body is not in the log")

    def _call(self, kind: str, name: str, given: dict[str, Any]) -> None:
        key = kind, name
        if not _NAME.fullmatch(name) or (key not in self._seen and len(self._seen) >= MAX_TOOLS):
            return
        self._calls[key] = self._calls.get(key, 0) + 1
        arguments = self._seen.setdefault(key, {})
        for argument, value in given.items():
            if not argument or argument.startswith("/"):
                continue
            if argument not in arguments and len(arguments) >= MAX_ARGUMENTS:
                continue
            leaves = [leaf for _, leaf in select({argument: value}, argument)]
            arguments.setdefault(argument, Argument(argument)).add(leaves, self._folder_of)

    def _declared(self, params: dict[str, Any]) -> None:
        meta = params.get("_meta") if isinstance(params.get("_meta"), dict) else {}
        prefix = "io.modelcontextprotocol/"
        version = params.get("protocolVersion") or (meta or {}).get(f"{prefix}protocolVersion")
        if isinstance(version, str):
            self._revisions[version[:32]] = self._revisions.get(version[:32], 0) + 1
        capabilities = params.get("capabilities") or (meta or {}).get(f"{prefix}clientCapabilities")
        for holder in ("experimental", "extensions"):
            held = capabilities.get(holder) if isinstance(capabilities, dict) else None
            for name in held if isinstance(held, dict) else ():
                grant = f"{holder}/{name}"
                if _NAME.fullmatch(grant) and (grant in self._grants or len(self._grants) < MAX_ARGUMENTS):
                    self._grants[grant] = self._grants.get(grant, 0) + 1

    def proposal(self) -> str:
        """The policy as text, for a person to read."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# Proposed by `doorward learn` from {_times(self.total, 'request')} that passed to {self._server}."
        yield f"# Not learnt from: {_times(self.refused, 'refused request')}."
        yield "# Read it before you keep it: what was seen is not all that will be asked, nor was all of it right."
        for one in self._unlearnt:
            yield f"# not learnt: {_comment(one)}"
        if self._revisions:
            oldest = min(self._revisions)
            yield f"# Holds for every server, so only if all clients keep to it: {_comment(oldest)} was the oldest"
            yield f"# revision that was asked for ({_times(self._revisions[oldest], 'time')})."
            yield "#[protocol]"
            yield f"#oldest = {_quoted(oldest)}"
        if self.largest:
            yield f"# The same for sizes: the largest request had {self.largest} bytes."
        yield ""
        yield f"[servers.{_key(self._server)}]"
        if self._grants:
            seen = ", ".join(f"{name} {_times(count, 'time')}" for name, count in self._grants.items())
            yield f"# declared by the client, and passed on: {_comment(seen)}"
            yield f"grants = {_value(list(self._grants))}"
        yield from _rate_of(self._pace, "messages of all clients")
        yield from self._places()
        for (kind, name), arguments in self._seen.items():
            yield ""
            yield f"# {_comment(name)}: {_times(self._calls[kind, name], 'call')}"
            if kind == "tools" and name in self._paces:
                yield f"[servers.{_key(self._server)}.{kind}.{_key(name)}]"
                yield from _rate_of(self._paces[name], "calls of one principal")
            yield f"[servers.{_key(self._server)}.{kind}.{_key(name)}.arguments]"
            for argument, seen_of in arguments.items():
                yield self._line(argument, seen_of)

    def _places(self) -> Iterator[str]:
        for scheme, count in self._resources.items():
            yield f"# {_times(count, 'resource')} of {_comment(scheme)}: what the server shows passes without a line"
        beginnings, refused = self._beginnings.found(), self._refused.found()
        if beginnings:
            yield "# the server had not shown it, the policy in force let it pass:"
            yield f"uris = {_value(list(beginnings))}"
        if missed := self._beginnings.unlearnt:
            yield f"# not learnt: {_times(missed, 'resource')} that only the policy let pass"
        if refused:
            yield "# refused, since the server had not shown it; to let it pass:"
            yield f"#uris = {_value([*beginnings, *refused])}"
        below = self._below.found()
        if self.elsewhere and below is not None:
            yield "# every path that was named lies in it, by its text:"
            yield f"below = {_value([below])}"

    @staticmethod
    def _line(argument: str, seen: Argument) -> str:
        rules = seen.rules()
        learnt = f"learnt from {_times(seen.calls, 'call')}"
        if not rules:
            why = f"the log masks {_times(seen.masked, 'value')} of it" if seen.masked else "no value of it was seen"
            return f"# {_comment(argument)}: not learnt, {why}"
        table = ", ".join(f"{kind} = {_value(value)}" for kind, value in rules.items())
        return f"{_key(argument)} = {{ {table} }}  # {learnt}"


def _rate_of(pace: Pace, what: str) -> Iterator[str]:
    rate = pace.rate()
    if rate is not None:
        yield f"# {HEAD_ROOM} times what the {pace.count} {what} needed"
        yield f"rate = {{ per_second = {rate.per_second}, burst = {rate.burst} }}"


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return '"' + "".join(map(_character, text)) + '"'


def _character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\U{ord(char):08X}"
