"""What names suggest: which argument is a path, which carries code, which tool only reads.

These are guesses for choosing where to try what, never for a verdict. A wrong one costs calls, or leaves a place
untried and named as such.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doorward.lab.attack.surface import Tool

_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_FOLDERS = frozenset("folder folders dir dirs directory directories root repo repository workspace cwd".split())
_FILES = frozenset("path paths file files filename filenames filepath filepaths uri uris note document".split())
_SAYS_PATH = re.compile(r"(?i)\b(?:paths?|file ?names?|director(?:y|ies)|folders?)\b")
_SAYS_FOLDER = re.compile(r"(?i)\b(?:director(?:y|ies)|folders?)\b")
_CODE = frozenset("command cmd code script shell expression program sql".split())
_READS = frozenset(
    "read get list show view open search find look lookup describe stat head tail cat fetch load count check info "
    "browse inspect diff status log blame tree preview print display summarize summarise".split()
)
_ACTS = frozenset(
    "write create delete remove move rename edit update set put post send exec execute run start stop kill insert "
    "append add commit reset checkout push pull apply install upload drop clear purge replace patch save copy".split()
)


def parts(name: str) -> list[str]:
    """The words of an identifier, small: ``filePath`` and ``file_path`` have the same."""
    return [part.lower() for part in _PART.findall(name)]


def names_a_folder(name: str, schema: dict[str, Any]) -> bool:
    """Whether a path that this string holds is rather a folder's than a file's."""
    if (words := set(parts(name))) & _FOLDERS:
        return True
    return words <= {"path", "paths"} and bool(_SAYS_FOLDER.search(_description(schema)))


def names_a_path(name: str, schema: dict[str, Any]) -> bool:
    """Whether name, description or format say that this string is a path or a URI of one."""
    if set(parts(name)) & (_FOLDERS | _FILES) or schema.get("format") in ("uri", "uri-reference", "path", "file-path"):
        return True
    return bool(_SAYS_PATH.search(_description(schema)))


def carries_code(name: str) -> bool:
    """Whether to run what this string says is what it is there for: then that it runs is no injection."""
    words = parts(name)
    return bool(words) and words[-1] in _CODE


def only_reads(tool: Tool) -> bool:
    """Whether calling ``tool`` changes nothing: by its annotation, else by a name that says so and nothing else."""
    if tool.read_only is not None:
        return tool.read_only
    words = parts(tool.name)
    return not tool.destructive and bool(set(words) & _READS) and not set(words) & _ACTS


def _description(schema: dict[str, Any]) -> str:
    text = schema.get("description")
    return text if isinstance(text, str) else ""
