"""Where an address really leads, and what about it is meant to mislead.

Only pointed out, never decided upon: the person sees the whole address and this.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# WHATWG URL and RFC 3986 disagree about these: a browser drops or turns them, a library may not.
_DISPUTED = re.compile(r"[\x00-\x20\x7f\\]")


class Address(NamedTuple):
    """``host`` is empty when there is none or no agreement about it."""

    host: str
    warnings: tuple[str, ...]


def examine(url: str) -> Address:
    """Look at an address as a suspicious person would."""
    warnings: list[str] = []
    scheme = _SCHEME.match(url)
    if scheme is None:
        warnings.append("it has no scheme, so nothing says how it would be opened")
    elif scheme[1].lower() != "https":
        warnings.append(f"it is not https but {scheme[1].lower()}: what it opens is not protected, or not even a page")
    if _DISPUTED.search(url):
        warnings.append("it holds blanks, control characters or backslashes: programs disagree about where it leads")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        named = "@" in parts.netloc
    except ValueError:
        return Address("", (*warnings, "it cannot be taken apart: programs disagree about where it leads"))
    if named:
        warnings.append("what stands before the @ is a name or a password, not the host")
    warnings += _look_alikes(host)
    return Address(host, tuple(warnings))


def _look_alikes(host: str) -> list[str]:
    if not host.isascii():
        return [f"the host is not written in plain letters; in plain letters it is {_to_plain(host)}"]
    if any(label.startswith("xn--") for label in host.lower().split(".")):
        return [f"punycode: the host is written so that it displays as {_to_unicode(host)}, which may imitate another"]
    return []


def _to_plain(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return ascii(host)


def _to_unicode(host: str) -> str:
    labels = []
    for label in host.split("."):
        try:
            labels.append(label[4:].encode().decode("punycode") if label.lower().startswith("xn--") else label)
        except UnicodeError:
            labels.append(label)
    return ".".join(labels)
