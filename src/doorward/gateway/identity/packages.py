"""Which installed package a script belongs to, read from what installers leave on disk.

A console script is three lines that never change; the package behind it does. Installers describe what they installed
(``package.json``; ``*.dist-info`` with its ``RECORD``, packaging specification "Recording installed projects"), and a
digest of that description changes with every version. It does not show a file that was edited after installation.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from typing import Final

import msgspec

from doorward.confine.installation import open_at_once
from doorward.gateway.identity.programs import plain_distribution

_MAX_BYTES: Final = 4 * 1024 * 1024  # of one description; a longer one is none
_FIELD: Final = re.compile(r"^(Name|Version):[ \t]*(\S+)", re.MULTILINE | re.IGNORECASE)


class Package(msgspec.Struct, frozen=True):
    """``label`` is ``registry:name version``, ``sha256`` is of the installer's description; both empty: none found.

    Of what Doorward fetched itself, ``sha256`` is over every package that came with it, and ``integrity`` is what the
    registry says of the package: what its archive must be.
    """

    label: str = ""
    sha256: str = ""
    integrity: str = ""


def node_package(script: str) -> Package:
    """The npm package that holds ``script`` (resolved), if it lies in a ``node_modules``."""
    before, folder, inside = script.rpartition("/node_modules/")
    if not folder:
        return Package()
    steps = inside.split("/")
    root = "/".join(steps[: 2 if inside.startswith("@") else 1])
    content = _content(f"{before}{folder}{root}/package.json")
    try:
        described = msgspec.json.decode(content, type=_Described)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Package()
    return Package(f"npm:{described.name} {described.version}", hashlib.sha256(content).hexdigest())


class _Described(msgspec.Struct):
    name: str
    version: str


def script_package(script: str) -> Package:
    """The Python distribution that installed the console script ``script``, if one did."""
    folder, name = os.path.split(script)
    wanted = re.compile(rf"^{re.escape(name)}[ \t]*=", re.MULTILINE)
    for site in site_folders(os.path.dirname(folder)):
        for described in glob.iglob(f"{glob.escape(site)}/*.dist-info/entry_points.txt"):
            if wanted.search(_text(described)):
                return _distribution(os.path.dirname(described))
    return Package()


def module_package(entry: str) -> Package:
    """The Python distribution that installed the module file ``entry``, if one did."""
    for site in _sites_above(entry):
        inside = os.path.relpath(entry, site)
        needle = f"{inside},".encode()
        folders = glob.glob(f"{glob.escape(site)}/*.dist-info")
        # A distribution is mostly called as its module is: try that one first, before reading them all.
        first = plain_distribution(inside.partition("/")[0].removesuffix(".py"))
        folders.sort(key=lambda folder: plain_distribution(os.path.basename(folder).partition("-")[0]) != first)
        for folder in folders:
            record = _content(f"{folder}/RECORD")
            if record.startswith(needle) or b"\n" + needle in record:
                return _distribution(folder)
    return Package()


def module_file(module: str, folders: tuple[str, ...]) -> str:
    """The file that ``python -m module`` runs, looked for in ``folders`` in their order; empty if it is in none."""
    inside = module.replace(".", "/")
    for folder in folders:
        for candidate in (f"{folder}/{inside}/__main__.py", f"{folder}/{inside}.py"):
            if os.path.isfile(candidate):
                return os.path.realpath(candidate)
    return ""


def python_folders(invoked: str, executable: str) -> tuple[str, ...]:
    """Where the Python started as ``invoked`` (resolving to ``executable``) looks for modules, less the working folder.

    A virtual environment is known by the ``pyvenv.cfg`` beside its ``bin`` (PEP 405); its base lends the standard
    library.
    """
    base = os.path.dirname(os.path.dirname(executable))
    prefix = os.path.dirname(os.path.dirname(invoked))
    standard = tuple(sorted(glob.glob(f"{glob.escape(base)}/lib/python3.*")))
    if os.path.isfile(f"{prefix}/pyvenv.cfg"):
        return (*standard, *site_folders(prefix))
    return (*standard, *site_folders(base))


def site_folders(prefix: str) -> tuple[str, ...]:
    """Where a Python of ``prefix`` keeps packages; Debian's layout included."""
    root = glob.escape(prefix)
    patterns = (
        f"{root}/lib/python3*/site-packages",
        f"{root}/local/lib/python3*/dist-packages",
        f"{root}/lib/python3*/dist-packages",
    )
    return tuple(folder for pattern in patterns for folder in sorted(glob.glob(pattern)))


def _sites_above(entry: str) -> tuple[str, ...]:
    found = []
    folder = os.path.dirname(entry)
    while folder != (above := os.path.dirname(folder)):
        if os.path.basename(folder) in ("site-packages", "dist-packages"):
            found.append(folder)
        folder = above
    return tuple(found)


def _distribution(folder: str) -> Package:
    fields = {name.lower(): value for name, value in reversed(_FIELD.findall(_text(f"{folder}/METADATA")))}
    record = _content(f"{folder}/RECORD")
    if not record or "name" not in fields:
        return Package()
    label = f"pypi:{plain_distribution(fields['name'])} {fields.get('version', '')}".rstrip()
    return Package(label, hashlib.sha256(record).hexdigest())


def _content(path: str) -> bytes:
    """The file's bytes; empty if it cannot be read or is too large to be a description. A pipe in its place, which a
    server may have put there, is not waited for.
    """
    try:
        with open(path, "rb", opener=open_at_once) as file:
            content = file.read(_MAX_BYTES + 1) or b""
    except OSError:
        return b""
    return content if len(content) <= _MAX_BYTES else b""


def _text(path: str) -> str:
    return _content(path).decode("utf-8", "replace")
