"""Whether a URL is the server it was: the control ``first-use``, for servers that are not commands.

A URL on loopback that the operator wrote, where a socket of the operator's own listens, is like a command: recorded and
said, or asked about in the strict profile. Another user's socket there, and any other host, always ask. What asks says
which known server it could be taken for. A change always refuses: another URL under a known name, another user at the
known port.

Does not protect against a host that was bad at its first use, nor against names that merely mean the same.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from doorward.errors import IdentityError
from doorward.gateway.identity.hosts import Address, display, read_address
from doorward.gateway.identity.judgment import (
    Changed,
    First,
    Known,
    NearMiss,
    Verdict,
    keep_first,
    names_alike,
)
from doorward.gateway.identity.likeness import alike, as_seen
from doorward.gateway.identity.url import UrlIdentity, owned_by, written
from doorward.policy.lock import URL, Pin
from doorward.policy.profiles import values

_NUMBER: Final = re.compile(r"[0-9]+")
_WORD: Final = re.compile(r"[^.-]+")
_SHORTEST_BRAND: Final = 4  # below, a label is found in others by chance
_SHORT_LABEL: Final = 3  # co.uk, com.au: such a pair is no domain of anybody


def judge_url(identity: UrlIdentity, pins: Mapping[str, Pin], profile: str, *, user: int) -> Verdict:
    """What ``identity`` is to the pins, under ``profile``, for the operator ``user``. Pure; looks nothing up.

    Raises:
        UsageError: there is no such profile.
    """
    if pin := pins.get(identity.name):
        found = differences(pin, identity)
        return Changed(found) if found else Known(pin)
    for name in sorted(pins):
        if why := _mistakable(identity, pins[name]):
            return NearMiss(name, why)
    ours = identity.address.is_loopback and identity.owner == user
    return First(asks=values(profile).ask_first_use or not ours)


def record_first_use(lock: Path, identity: UrlIdentity, profile: str, *, at: str, user: int) -> Verdict:
    """As `judgment.record_first_use`, for the operator ``user``."""
    return keep_first(lock, identity, lambda pins: judge_url(identity, pins, profile, user=user), at=at)


def differences(pin: Pin, identity: UrlIdentity) -> tuple[tuple[str, str, str], ...]:
    """Every field in which ``identity`` is not what ``pin`` says: (field, pinned, found).

    A socket at which nobody listens now, or nobody can tell who does, is no difference: each connect looks again.
    """
    text, digest = written(identity.url)
    if pin.kind != URL:
        return (("kind", pin.kind, URL), ("url", "none", text))
    found = []
    if (pin.url, pin.url_sha256) != (text, digest):
        found.append(("url", pin.url, text if text != pin.url else f"{text} (a masked value differs)"))
    if identity.address.is_loopback and (pin.owner < 0 or identity.owner not in (-1, pin.owner)):
        found.append(("owner", owned_by(pin.owner), owned_by(identity.owner)))
    return tuple(found)


def accept_hint(identity: UrlIdentity) -> str:
    """The command that accepts ``identity``. Values that look like secrets are masked in it, to be written by hand."""
    name = "" if identity.derived else f" --name {identity.name}"
    return f"doorward pin accept --url {shlex.quote(written(identity.url)[0])}{name}"


def why_asked(identity: UrlIdentity, verdict: First | NearMiss, *, user: int) -> str:
    """The reason for a question, for a person."""
    if isinstance(verdict, NearMiss):
        return f"it can be mistaken for the known server {verdict.of}: {verdict.why}"
    if not identity.address.is_loopback:
        return f"it is the first use of {identity.address.shown_host}, which is not this machine's loopback"
    if identity.owner != user:
        return f"the socket that listens there belongs to {owned_by(identity.owner)}, not to you"
    return "the profile asks at the first use of each server"


def _mistakable(identity: UrlIdentity, pin: Pin) -> str:
    """Why a person might take ``identity`` for the server of ``pin``; empty if there is no reason."""
    known = _address_of(pin) if pin.kind == URL else None
    same_host = known is not None and known.host == identity.address.host
    if why := names_alike(identity.name, pin, derived=identity.derived, same=same_host):
        return why
    if known is None or known.reached_at or identity.address.reached_at:
        return ""  # numbers are not mistaken for names
    return _hosts(identity.address.host, known.host)


def _address_of(pin: Pin) -> Address:
    # Up to where something may be masked: only the host matters here.
    try:
        return read_address(pin.url.partition("?")[0].partition("\u2039")[0])
    except IdentityError as problem:
        raise IdentityError(f"the pin of {pin.name}: {problem}", hint=f"doorward pin remove {pin.name}") from None


def _hosts(new: str, old: str) -> str:
    if _domain(new) == _domain(old) and not any("xn--" in host for host in (new, old)):
        return ""  # whoever has the domain has both
    seen = f"{new} (displays as {display(new)})" if display(new) != new else new
    plain, known = as_seen(new), as_seen(old)
    counted = _NUMBER.sub("#", new) == _NUMBER.sub("#", old)  # mcp1 and mcp2 are told apart by whoever counts them
    if new != old and (plain == known or (not counted and alike(plain, known))):
        return f"the host {seen} can be mistaken for {old}"
    brand = as_seen(_domain(old).partition(".")[0])
    if _domain(new) == _domain(old) or len(brand) < _SHORTEST_BRAND:
        return ""
    if brand in plain.replace("-", ""):
        return f"the host {seen} carries the name of {old}, and is not below {_domain(old)}"
    if any(alike(word, brand) for word in _WORD.findall(plain)):
        return f"the host {seen} can be mistaken for {old}"
    return ""


def _domain(host: str) -> str:
    """What somebody can own of ``host``, as far as that shows: two labels, or three below co.uk and its like."""
    labels = host.split(".")
    country = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= _SHORT_LABEL  # noqa: PLR2004 - ISO 3166
    return ".".join(labels[-3:] if country else labels[-2:])
