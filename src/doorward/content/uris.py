"""Which file a text names: every way a server might read it, so that the kernel can be asked about all of them.

Doorward does not know how a server reads a path. One takes ``a%2f..%2fx`` literally, another decodes it; one collapses
``link/../x`` in the text, another lets the kernel follow ``link`` first; one expands a backslash, another trims spaces.
So this module never picks: ``readings`` returns all of them, the door resolves each with the kernel
(``relay.foresee`` asks for the real path), and ``is_below`` must hold for every answer. What has too many readings,
or a reading that only the server's own machine could resolve (``~``, ``${HOME}``, ``/proc/self``, another host, a
drive), is refused by name.

A reading is never collapsed across ``..`` in place of the kernel: ``/ws/link/../x`` is ``/x`` beside the target of
``link`` for the kernel and ``/ws/x`` for a server that collapses text first. Both are returned.

It does not protect against a link that is swapped between this judgment and the server's use (the sandbox does), nor
against paths inside text that is not path-like by name, nor on file systems that fold case or normalise names.
Sources: RFC 3986 section 6, RFC 8089, THREATS ``path-traversal``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from doorward.content.folding import folded
from doorward.content.schemes import is_disguised_file, is_local, scheme_of

# --- URIs ------------------------------------------------------------------------------------------------------------

# What a careless reader takes off around an address: blanks, quotes, and the angle brackets of RFC 3986 appendix C.
_AROUND = " \t\r\n\"'`<>"
_FILE_URI = re.compile(r"file:(?://([^/\\?#]*))?(.*)", re.IGNORECASE | re.DOTALL)


def is_below(real: str, folder: str) -> bool:
    """Whether the absolute path ``real`` is ``folder`` or lies below it, by whole components.

    Both must be what the kernel answered: a path with ``.``, ``..`` or an empty component is below nothing.
    """
    if not (_is_resolved(real) and _is_resolved(folder)):
        return False
    return folder in ("/", real) or real.startswith(folder + "/")


def _is_resolved(path: str) -> bool:
    whole = f"{path}/"
    return path == "/" or (
        path.startswith("/") and not ("\0" in path or "//" in whole or "/./" in whole or "/../" in whole)
    )


# --- canonical form --------------------------------------------------------------------------------------------------


class Canonical(msgspec.Struct, frozen=True, gc=False):
    """The one absolute path that a careful reader sees in a text, and what it took to see it.

    ``changes`` names what canonicalisation had to undo, in the order it was noticed; ``problems`` names what makes the
    text refused whatever it resolves to. ``path`` is empty when there are problems.
    """

    path: str
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the text was anything but canonical. A ``file:`` URI that is, with no folder known, is refused."""
        return bool(self.changes)


class Readings(msgspec.Struct, frozen=True, gc=False):
    """Absolute paths to resolve, all of which must come out below a folder; or the reason why not to ask.

    Exactly one of ``paths`` and ``problem`` is empty.
    """

    paths: tuple[str, ...] = ()
    problem: str = ""


MAX_READINGS = 4
"""Two decodings and two ways with ``..``: what an honest text can need. More is a puzzle, not a path."""

_REMEMBERED = 512  # characters
_MAX_ROUNDS = 2
_AS_WRITTEN_IN_A_URI = 2  # the text, and what its escapes mean
_MAX_PATH_BYTES = 4096  # PATH_MAX of Linux: the kernel refuses longer ones, but a server might shorten them first
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ODD_ESCAPE = re.compile(r"%u[0-9A-Fa-f]{4}", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_DRIVE = re.compile(r"[/\\]*[A-Za-z][:|](?:[/\\]|$)")
_NETWORK = re.compile(r"[/\\]{2}")
_EXPANDS = re.compile(r"~|\$\{|\$[A-Z_][A-Z0-9_]*(?:[/$]|$)")
_EXPANDS_ANYWHERE = "${"
# Who opens these decides what they are.
_RELATIVE_TO_OPENER = re.compile(r"/(?:proc|dev/fd|dev/std(?:in|out|err))(?:/|$)")
# Escapes that a correct writer of URIs never needs: letters, digits, and what separates or moves.
_NEEDLESS = re.compile(r"%(?:2[DdEeFf]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaCcFf]|6[1-9A-Fa-f]|7[0-9Aa])")


class _RefusedError(Exception):
    """A problem with a text, on its way to the value that reports it; never leaves this module."""


def readings(text: str, base: str) -> Readings:
    """Every absolute path that a server with the working folder ``base`` might open for ``text``.

    ``text`` is a path or a ``file:`` URI. ``base`` is absolute; with an empty ``base`` a relative path is a problem. At
    most ``MAX_READINGS`` paths, without duplicates. They may still hold ``..`` and links: resolve them with the kernel.
    """
    return _read_lately(text, base) if len(text) <= _REMEMBERED else _read(text, base)


def _read(text: str, base: str) -> Readings:
    try:
        found: dict[str, None] = {}
        for form in dict.fromkeys((text, text.strip(_AROUND))):
            for level in _levels(form):
                for variant in _variants(level):
                    for path in _both_ways(_rooted(variant, base)):
                        found[path] = None
                        _judge_absolute(path)
                if len(found) > MAX_READINGS:
                    raise _RefusedError("can be read in too many ways")
    except _RefusedError as refusal:
        return Readings(problem=str(refusal))
    return Readings(paths=tuple(found))


# The doors read a text to ask the kernel, the judge reads it again: what it says is the same each time.
_read_lately = lru_cache(maxsize=256)(_read)


def canonical(text: str) -> Canonical:
    """The careful reading of a path or ``file:`` URI: decoded until stable, separators unified, dots resolved in the
    text.

    For reporting, and for the rule that a ``file:`` URI which canonicalisation changes is refused when no folder is
    known. The ordinary escapes of a URI (a space, a letter outside ASCII) are not a change. What a link turns the path
    into is the kernel's to say.
    """
    changes = dict.fromkeys(_surface_changes(text))
    try:
        levels = _levels(text)
        for level in levels:
            for variant in _variants(level):
                _judge_absolute(_rooted(variant, "/"))
    except _RefusedError as refusal:
        return Canonical("", tuple(changes), (str(refusal),))
    if len(levels) > (_AS_WRITTEN_IN_A_URI if scheme_of(text) == "file" else 1):
        changes["percent-encoding"] = None
    last = levels[-1]
    if "\\" in last:
        changes["backslash"] = None
    path = last.replace("\\", "/")
    normal = posixpath.normpath(path) if path else "."
    if normal != (path.rstrip("/") or "/"):
        changes["dot or empty segment"] = None
    if folded(last, "NFC") != last:
        changes["unicode normalisation"] = None
    if len(_variants(path)) > 1:
        changes["look-alike or surrounding space"] = None
    return Canonical(normal, tuple(changes))


def _surface_changes(text: str) -> Iterator[str]:
    if scheme_of(text) == "file":
        if not text.startswith("file:///"):
            yield "form of the file URI"
        if _NEEDLESS.search(text):
            yield "percent-encoding"


def _levels(text: str) -> list[str]:
    """The path in ``text`` as it stands, decoded once, decoded twice; refused if that is not the end of it."""
    if len(text) > _MAX_PATH_BYTES * 3:
        raise _RefusedError("longer than any path")
    _judge_text(text)
    levels = [_path_of(text)]
    while "%" in levels[-1] and len(levels) <= _MAX_ROUNDS:
        decoded = _ESCAPES.sub(_decode, levels[-1])
        if decoded == levels[-1]:
            return levels
        _judge_text(decoded)
        if scheme_of(decoded) == "file":
            raise _RefusedError("hides a file URI in escapes")
        levels.append(decoded)
    if _ESCAPES.search(levels[-1]):
        raise _RefusedError("percent-encoded more than twice")
    return levels


def _decode(run: re.Match[str]) -> str:
    try:
        return bytes.fromhex(run[0].replace("%", "")).decode("utf-8")
    except UnicodeDecodeError:
        raise _RefusedError("escapes that are not UTF-8 (overlong, cut or Latin-1)") from None


def _path_of(text: str) -> str:
    """The path of a ``file:`` URI, or the text itself. Host, query and fragment are refused where they could matter."""
    if is_disguised_file(text) or is_local(text):
        raise _RefusedError("a file URI in disguise")
    if scheme_of(text) != "file":
        return text
    found = _FILE_URI.fullmatch(text.lstrip())
    if found is None:
        raise _RefusedError("not a file URI")
    host, path = found[1] or "", found[2]
    if host.lower() not in ("", "localhost"):
        raise _RefusedError("a file on another host")
    # A server that takes the whole URI for a relative path ends below its folder all the same: it opens ``file:``
    # there, and a path that does not climb above the root (judged later) does not climb out of that.
    if not path.startswith(("/", "\\")):
        raise _RefusedError("a file URI without an absolute path")
    # RFC 8089 knows neither; half of the readers cut them off and half keep them, and a name that needs '?' or '#' has
    # escapes for them.
    if "?" in path or "#" in path:
        raise _RefusedError("a file URI with a query or fragment")
    return path


def _judge_text(text: str) -> None:
    if not text.isprintable():  # which nearly every path is
        if _CONTROLS.search(text):
            raise _RefusedError("holds a control character")
        if _SURROGATES.search(text):
            raise _RefusedError("holds a lone surrogate")
    if "%" in text and _ODD_ESCAPE.search(text):
        raise _RefusedError("holds a %u escape, which no standard knows")
    if _EXPANDS_ANYWHERE in text:
        raise _RefusedError("holds a variable that the server may expand")


_BLANKS_AROUND = re.compile(r"^[\s\ufeff]+|[\s\ufeff]+$")  # JavaScript trims a byte order mark as well


def _variants(level: str) -> tuple[str, ...]:
    """``level`` as it is, and as a server sees it that trims, turns backslashes or normalises Unicode."""
    ascii_only = level.isascii()
    trimmed = level.strip() if ascii_only else _BLANKS_AROUND.sub("", level)
    if ascii_only and trimmed == level and "\\" not in level:
        return (level,)
    seen = {level: None, trimmed: None}
    for text in tuple(seen):
        seen[text.replace("\\", "/")] = None
    if not ascii_only:
        for text in tuple(seen):
            seen_as = folded(text)
            if _ESCAPES.search(seen_as) and not _ESCAPES.search(text):
                raise _RefusedError("hides an escape in look-alikes")
            # Full-width letters and the like name other files that the folder may hold as well; only what moves counts.
            if _skeleton(seen_as) != _skeleton(text):
                seen[seen_as] = None
                seen[seen_as.replace("\\", "/")] = None
    return tuple(seen)


_MOVES = re.compile(r"[/\\]|(?<![^/\\])\.{1,2}(?![^/\\])|[%~$\x00]")


def _skeleton(text: str) -> list[str]:
    return _MOVES.findall(text)


def _rooted(path: str, base: str) -> str:
    """``path`` as an absolute one, not collapsed. What cannot be resolved on this machine is refused."""
    if _DRIVE.match(path):
        raise _RefusedError("names a drive")
    if _NETWORK.match(path):
        raise _RefusedError("names a network share")
    if _EXPANDS.match(path):
        raise _RefusedError("begins with a home or variable that the server may expand")
    if not path.startswith("/"):
        if not base.startswith("/"):
            raise _RefusedError("relative, and no folder is known")
        path = f"{base.rstrip('/')}/{path}"
    if _climbs_above_root(path):
        raise _RefusedError("climbs above the root")
    return path


def _climbs_above_root(path: str) -> bool:
    if ".." not in path:
        return False
    depth = 0
    for part in path.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in ("", "."):
            depth += 1
    return False


def _both_ways(path: str) -> tuple[str, ...]:
    """``path`` as the kernel walks it, and as a server collapses it; the same unless ``..`` may cross a link."""
    if "/." not in path and "//" not in path:
        return (path.rstrip("/") or "/",)
    collapsed = posixpath.normpath(path)
    if collapsed == path:
        return (path,)
    kept = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    return (collapsed,) if kept == collapsed else (kept, collapsed)


def _judge_absolute(path: str) -> None:
    if len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES:
        raise _RefusedError("longer than any path")
    if ("/proc" in path or "/dev" in path) and _RELATIVE_TO_OPENER.match(posixpath.normpath(path)):
        raise _RefusedError("names a file that depends on who opens it")
