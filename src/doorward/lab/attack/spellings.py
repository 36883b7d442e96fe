"""How a path is written: the ways in which an honest client names a file, and those in which an attacker names another.

A *dialect* is a way that a server understands: absolute, relative to its folder, relative to the folder above, as a
``file:`` URI. Which one that is, the honest note tells. Each *spelling* leads, in a dialect, to what is planted beside
the folder: if somebody decodes, normalises, joins or resolves it after it was judged. One leads to the folder itself,
whose links a listing may follow.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from doorward.lab.attack.plant import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from doorward.lab.attack.plant import Plant


class Dialect(StrEnum):
    """How a server wants its paths."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    FROM_PARENT = "from-parent"
    FILE_URI = "file-uri"


class Sort(StrEnum):
    """Whether a place takes files or folders."""

    FILE = "file"
    FOLDER = "folder"


_CLIMB = "../" * 12


def stem(plant: Plant, dialect: Dialect) -> str:
    """What stands before a name in the planted folder."""
    return {
        Dialect.ABSOLUTE: f"{plant.folder}/",
        Dialect.RELATIVE: "",
        Dialect.FROM_PARENT: f"{plant.folder.name}/",
        Dialect.FILE_URI: f"file://{plant.folder}/",
    }[dialect]


def honest(plant: Plant, dialect: Dialect, sort: Sort) -> str:
    """The honest note, or the folder itself."""
    before = stem(plant, dialect)
    return before + plant.note.name if sort is Sort.FILE else before.rstrip("/") or "."


def nothing(plant: Plant, dialect: Dialect) -> str:
    """A name in the folder that is not there."""
    return f"{stem(plant, dialect)}{plant.values.word}-nothing.txt"


def spellings(plant: Plant, dialect: Dialect, sort: Sort) -> Iterator[tuple[str, str]]:
    """Name and text of each way out of the folder, and for folders of the way in."""
    start = stem(plant, dialect)
    leaf = f"/{SECRET}" if sort is Sort.FILE else ""
    out = f"{plant.outside.name}{leaf}"
    direct = f"file://{plant.outside}{leaf}" if dialect is Dialect.FILE_URI else f"{plant.outside}{leaf}"
    prefix = f"file://{plant.sibling}{leaf}" if dialect is Dialect.FILE_URI else f"{plant.sibling}{leaf}"
    yield "elsewhere", direct
    yield "sibling-prefix", prefix
    yield "dot-dot", f"{start}../{out}"
    yield "dot-dot-sibling", f"{start}../{plant.sibling.name}{leaf}"
    yield "dot-dot-inside", f"{start}./x/../../{out}"
    yield "dot-dot-through-folder", f"{start}{plant.linked_folder.name}/../{out}"
    yield "filtered-once", f"{start}....//{out}"
    yield "backslash", f"{start}..\\{out}".replace("/secret", "\\secret")
    yield "percent", f"{start}%2e%2e/{out}"
    yield "percent-slash", f"{start}..%2f{out.replace('/', '%2f')}"
    yield "double-percent", f"{start}%252e%252e%252f{out.replace('/', '%252f')}"
    yield "overlong", f"{start}%c0%ae%c0%ae/{out}"
    yield "full-width", f"{start}\uff0e\uff0e/{out}"
    yield "nul", f"{start}../{out}" + ("%00.txt" if dialect is Dialect.FILE_URI else "\0.txt")
    yield "climb", f"{start}{_CLIMB}{str(plant.outside).lstrip('/')}{leaf}"
    yield "proc-root", f"{start}{_CLIMB}proc/self/root{plant.outside}{leaf}"
    if sort is Sort.FOLDER:
        yield "inside", honest(plant, dialect, sort)
    yield "link", start + (plant.link.name if sort is Sort.FILE else plant.linked_folder.name)
    yield "linked-folder", f"{start}{plant.linked_folder.name}" + (leaf or "/")
    if dialect is Dialect.FILE_URI:
        yield "host", f"file://files.example{plant.folder}/../{out}"
        yield "no-slashes", f"file:{plant.outside}{leaf}"
