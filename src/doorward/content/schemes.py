"""Which scheme a URI has, and whether whoever opens it may open a file, whatever the scheme is called.

It does not know the schemes of a server: one of its resources may be called ``local:`` and be no file.
"""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[\s\"'`<]*+([A-Za-z][A-Za-z0-9+.\-]{1,63}):")
_DISGUISED = re.compile(
    r"[\s\"'`<]*+(?:[a-z][a-z0-9+.\-]{0,63}[+_\-]file:|(?:[a-z][a-z0-9+.\-]{0,63}::?){1,4}/{0,3}file:)", re.IGNORECASE
)
# Other names of the local disk: of fsspec (and so of Dask and Polars), of Java, of PHP. As schemes of resources they
# may be a server's own.
_LOCAL = re.compile(
    r"[\s\"'`<]*+(?:[a-z][a-z0-9+.\-]{0,63}::?){0,4}"
    r"(?:(?:local|netdoc):|/{0,3}(?:local|netdoc|php|phar|glob|compress\.(?:zlib|bzip2))://)",
    re.IGNORECASE,
)
# fsspec puts one behind another: what stands behind two colons is a place of its own, and may be a path alone.
_CHAIN = re.compile(r"[\s\"'`<]*+[a-z][a-z0-9+.\-]{0,63}:", re.IGNORECASE)
_LINK = re.compile(r"\s*(?:[/~\\]|\.{1,2}(?:[/\\]|$)|(?:file|local|netdoc):)", re.IGNORECASE)
# What readers of URLs (WHATWG, and Python's) leave out of one: tabs and line breaks anywhere, controls before it.
_LEFT_OUT = re.compile(r"[\t\r\n]+")
_LED_BY = "".join(map(chr, range(0x21))) + "\ufeff"
_FAR_ENOUGH = 512


def scheme_of(uri: str) -> str:
    """The scheme of ``uri`` in lower case, or nothing. One letter before a colon is a drive, not a scheme."""
    found = _SCHEME.match(_as_read(uri)) if ":" in uri else None
    return found[1].lower() if found else ""


def _as_read(uri: str) -> str:
    """The beginning of ``uri`` as readers of URLs see it."""
    head = uri[:_FAR_ENOUGH]
    return head if head.isprintable() else _LEFT_OUT.sub("", uri.lstrip(_LED_BY))[:_FAR_ENOUGH]


def may_open_a_file(uri: str) -> bool:
    """Whether whoever opens ``uri`` may open a file: a ``file:`` URI, one in disguise, or no URI at all."""
    return scheme_of(uri) in ("file", "") or is_disguised_file(uri)


def is_disguised_file(text: str) -> bool:
    """``git+file:``, ``jar:file:``, ``url:file:``, ``local_file:``: schemes that some library opens as files."""
    return ":" in text and _DISGUISED.match(_as_read(text)) is not None


def is_local(text: str) -> bool:
    """``local:``, ``netdoc:``, ``simplecache::/``: what some library opens as files, under another name."""
    if ":" not in text:
        return False
    if _LOCAL.match(_as_read(text)):
        return True
    if "::" not in text or not _CHAIN.match(_as_read(text)):
        return False
    return any(map(_LINK.match, _LEFT_OUT.sub("", text).split("::")[1:]))
