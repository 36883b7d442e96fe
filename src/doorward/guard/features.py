"""What a client may be asked for: declared by it, granted to it, and supported by the server, all three.

What a client declares is a hint: it may declare what it cannot do, what it may not do, or something that nobody knows.
Both eras declare the same thing in two places, ``initialize`` once and the ``_meta`` of each modern request, and are
read by one rule. The gateway has the same rule for what it lets through (``judge.rewrites.capabilities``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, Final

from doorward.errors import RefusedError
from doorward.protocol.versions import CLIENT_CAPABILITIES, META_CAPABILITIES

STANDARD: Final = frozenset(
    {
        *(CLIENT_CAPABILITIES - {"extensions"}),
        *("roots/listChanged", "sampling/tools", "sampling/context", "elicitation/form", "elicitation/url"),
    }
)
"""What the revisions of MCP name. Everything else, whatever it is called, needs a grant of its own."""

_MAX_WITHDRAWN: Final = 10_000

Grants = Collection[str] | Callable[[Hashable], Collection[str]]


class Features:
    """What one client, in one session or one modern request, may be asked for."""

    __slots__ = ("names",)

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        return f"Features({', '.join(sorted(self.names))})"

    def require(self, name: str) -> None:
        """Raise RefusedError (rule ``feature``) unless the client may be asked for it. Ask before you ask."""
        if name not in self.names:
            raise RefusedError("feature", f"this client may not be asked for {name}")


class FeatureGate:
    """Declared, granted and supported: only what is all three is a feature of this client for this server.

    Names are ``sampling``, ``elicitation``, ``roots``; with a part ``sampling/tools``, ``elicitation/url``; and
    ``experimental/NAME``, ``extensions/NAME``. ``supported`` is what your server makes use of. ``granted`` is what the
    client may do, one set for all or a function of the principal; the default is what MCP itself names, so that nothing
    experimental and no extension passes without a grant.

    Does not protect against a client that declares a feature, is granted it, and answers badly: report that with
    ``failed``. Nor does it authenticate anybody: a principal is only as good as what told it.
    """

    def __init__(self, supported: Collection[str], granted: Grants = STANDARD) -> None:
        self._supported = frozenset(supported)
        self._granted = granted
        self._withdrawn: OrderedDict[tuple[Hashable, str], None] = OrderedDict()

    def initialize(self, params: Mapping[str, Any] | None, principal: Hashable = "") -> Features:
        """The features of a legacy session, from the params of its ``initialize``. They hold until the session ends.

        A later message does not widen them: give only the ``initialize`` that the session began with.
        """
        return self.declared((params or {}).get("capabilities"), principal)

    def request(self, params: Mapping[str, Any] | None, principal: Hashable = "") -> Features:
        """The features of one modern request, from its params. They hold for this request and no other."""
        meta = (params or {}).get("_meta")
        return self.declared(meta.get(META_CAPABILITIES) if isinstance(meta, Mapping) else None, principal)

    def declared(self, capabilities: object, principal: Hashable = "") -> Features:
        """The features of a client that declared ``capabilities``, wherever. Anything but an object is nothing."""
        granted = self._granted(principal) if callable(self._granted) else self._granted
        wanted = self._supported & frozenset(granted)
        if not isinstance(capabilities, Mapping):
            return Features(frozenset())
        return Features(
            frozenset(
                name
                for name in wanted
                if _declares(capabilities, name)
                and (principal, name) not in self._withdrawn
                and (principal, name.partition("/")[0]) not in self._withdrawn
            )
        )

    def failed(self, name: str, principal: Hashable = "") -> None:
        """The client did not honour what it declared (no answer, an error, a wrong shape): it no longer has it here.

        Remembered for the principal in this process, at most 10,000 of them; beyond, the oldest is forgotten.
        """
        self._withdrawn[(principal, name)] = None
        while len(self._withdrawn) > _MAX_WITHDRAWN:
            self._withdrawn.popitem(last=False)


def _declares(capabilities: Mapping[str, Any], name: str) -> bool:
    top, _, part = name.partition("/")
    value = capabilities.get(top)
    if not isinstance(value, Mapping):
        return False
    if not part:
        return top not in ("experimental", "extensions")  # these are only a place for others
    if name == "elicitation/form" and "url" not in value:
        return True  # an empty object has always meant forms
    return isinstance(value.get(part), Mapping) or value.get(part) is True
