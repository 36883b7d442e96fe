"""Which strings among arguments a server will take for paths: by the names that they stand under, at any depth.

What they may lead to, ``content.uris`` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from doorward.content.embedded import embedded, may_embed
from doorward.content.folding import folded
from doorward.content.pointers import join
from doorward.content.schemes import is_disguised_file, is_local, scheme_of

PATH_NAMES = frozenset(
    "path paths file files filename filenames dir dirs directory directories folder folders repo_path source sources "
    "destination destinations root roots uri uris".split()
)
"""Property names whose strings are paths, by themselves or as the last word of a compound (``srcFile``)."""

_SAYS_FILE = frozenset("path paths file files dir dirs directory directories folder folders".split())
_WORDS = PATH_NAMES | {"cwd", "workdir", "src", "dst", "dest", "pathname", "pathnames"}
_URL_WORDS = frozenset(("url", "urls", "href"))
_URI_WORDS = frozenset(("uri", "uris")) | _URL_WORDS
# Words after a path word that keep its meaning: fileName, pathList, dir1. And words that turn it: fileToRead.
_TRAILERS = frozenset("name names list array set value string str".split())
_PREPOSITIONS = frozenset("to from for of in on at with".split())
# Glued lower case cannot be split safely (profile ends with file), so the first halves are listed.
_GLUED = re.compile(
    r"(?:abs|absolute|base|config|current|data|dest|destination|dir|dst|file|folder|full|home|in|input|local|log|new|old|"
    r"out|output|project|rel|relative|repo|repository|root|save|source|src|sub|target|temp|tmp|work|working|workspace)"
    r"(?:path|file|dir|directory|folder|name)s?"
)
_NOT_GLUED = frozenset(("basename", "inname", "newname", "oldname"))
_SEGMENT = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_LONGEST_NAME = 64


def is_path_like(property_name: str) -> bool:
    """Whether strings under this property name are paths.

    The name is split at case changes, ``_``, ``-`` and whatever else is no letter. It is path-like if its last word is
    one of ``PATH_NAMES`` (``targetDir``, ``output-directory``, ``file2``), perhaps followed by a word that changes
    nothing (``file_name``, ``pathList``), or if a file word opens a phrase (``file_to_read``). ``profile``,
    ``direction``, ``source_code`` and ``resourceUriTemplate`` are not.
    """
    return _kind(property_name) == "path"


def _kind(name: str) -> str:
    """``path``, ``url`` (judged only when it is a ``file:`` URI) or nothing."""
    if len(name) <= _LONGEST_NAME:
        return _kind_of(name)
    # Only short names are remembered, or a peer could fill the memory with long ones.
    return _kind_of(name[:_LONGEST_NAME]) or _kind_of(name[-_LONGEST_NAME:])


@lru_cache(maxsize=2048)
def _kind_of(name: str) -> str:
    words = [word.lower() for word in _SEGMENT.findall(folded(name))]
    if not words:
        return ""
    last = words[-1]
    if last in _WORDS or (_GLUED.fullmatch(last) and last not in _NOT_GLUED):
        return "path"
    if len(words) > 1 and words[0] in _SAYS_FILE and words[1] in _PREPOSITIONS:
        return "path"
    if len(words) > 1 and last in _TRAILERS and words[-2] in _SAYS_FILE:
        return "path"
    return "url" if last in _URL_WORDS else ""


def _takes_uris(name: str) -> bool:
    return _last_word(name) in _URI_WORDS


def _is_of_a_server(name: str) -> bool:
    """Whether a URI under ``name`` may be that of a resource, whose scheme is its server's own."""
    return _last_word(name) in ("uri", "uris")


def _last_word(name: str) -> str:
    words = _SEGMENT.findall(name[-_LONGEST_NAME:])
    return words[-1].lower() if words else ""


_CONTAINERS = (dict, list, tuple)
_PARTS = re.compile(r"[,;|]|:(?!//)")
_LEADS_ELSEWHERE = re.compile(r"^\s*(?:/|~/|file:)|(?:^|[/\\])\s*\.\.\s*(?:[/\\]|$)")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def walk_path_arguments(arguments: object) -> Iterator[tuple[str, str]]:
    """``(pointer, text)`` of every string in ``arguments`` that a server will take for a path.

    That is: every string under a path-like name at any depth, also in lists; an object under such a name is judged by
    its own names (``files[].content`` is not a path, ``files[].name`` is), and its member names are paths themselves
    unless they are plain words (``files: {"../../x": …}``). Under ``uri`` and ``url`` names a text with another scheme
    than ``file:`` is an address, not a path, and is not judged here; under the others it is judged as the relative path
    that a careless server would make of it. JSON in a string under a path-like name is looked into; under a name for
    several, so are the parts of a list with commas and the like, where one of them would lead elsewhere by itself.
    """
    yield from _walk(arguments, into=True)


def _walk(arguments: object, *, into: bool) -> Iterator[tuple[str, str]]:
    stack = [("", _inside(arguments, ""))]
    while stack:
        pointer, members = stack[-1]
        for token, value, name in members:
            if isinstance(value, str):
                kind = _kind(name)
                if kind and _is_path(kind, name, value):
                    yield join(pointer, token), value
                if kind and into:
                    if may_embed(value):
                        yield from ((join(pointer, token), path) for path in _embedded(name, value))
                    if kind == "path" and name[-1:] in "sS":
                        yield from ((join(pointer, token), part) for part in _listed(value))
            elif isinstance(value, _CONTAINERS):
                place = join(pointer, token)
                if isinstance(value, dict) and _kind(name) == "path":
                    yield from ((join(place, one), one) for one in value if not _PLAIN_NAME.fullmatch(one))
                stack.append((place, _inside(value, name)))
                break
        else:
            stack.pop()


def _embedded(name: str, text: str) -> Iterator[str]:
    """Paths in the JSON that a server may take ``text`` for."""
    held = embedded(text)
    if held is not None:
        yield from (path for _, path in _walk({name: held}, into=False))


def _listed(text: str) -> Iterator[str]:
    """Parts of ``text``, of which a server may take each for a path, that do not stay where the whole does."""
    if _PARTS.search(text):
        yield from (part for part in _PARTS.split(text) if _LEADS_ELSEWHERE.search(part))


def _inside(value: object, name: str) -> Iterator[tuple[str | int, object, str]]:
    """``(token, child, name that it stands under)``, one at a time: the children may be many."""
    if isinstance(value, dict):
        parent_is_path = bool(name) and _kind(name) == "path"
        for token, child in value.items():
            stands_under = token
            if parent_is_path and not _kind(token):
                compound = f"{name[-_LONGEST_NAME:]}_{token}"
                stands_under = compound if _kind(compound) == "path" else token
            yield token, child, stands_under
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield index, child, name


def _is_path(kind: str, name: str, text: str) -> bool:
    scheme = scheme_of(text)
    is_file = scheme == "file" or is_disguised_file(text) or (is_local(text) and not _is_of_a_server(name))
    if kind == "url":
        return is_file
    return is_file or not scheme or not _takes_uris(name)
