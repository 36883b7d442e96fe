"""What the command line of a launcher asks to be fetched and run. Pure; nothing is looked up.

Understood are ``npx`` and ``npm exec``, ``uvx``, ``uv tool run`` and ``pipx run``, with the options that say which
packages and which Python; of those that say nothing about it, the ones that only make a launcher more or less
talkative. Everything else is refused with a hint, since an option that Doorward reads differently from the launcher
would have it pin one thing and run another. So are addresses, files, folders and git repositories in the place of a
package: a registry alone gives versions that have an integrity. Which registry that is, the operator's own settings
say, never the command line.

Other launchers (``pnpm dlx``, ``yarn dlx``, ``bunx``), and these behind a wrapper such as ``env`` or a shell, are
started as they are written, in their walls, and fetch there what they can.
"""

from __future__ import annotations

import os
import re
from typing import Final, NoReturn

import msgspec

from doorward.errors import FetchError

NPM: Final = "npm"
PYPI: Final = "pypi"

_NPM_SILENT: Final = frozenset({"-y", "--yes", "-q", "--quiet", "-s", "--silent", "--prefer-offline"})
_NPM_PACKAGE: Final = ("-p", "--package")
_UV_SILENT: Final = frozenset({"-q", "--quiet", "-v", "--verbose", "--no-progress", "--isolated"})
_UV_VALUED: Final = ("--from", "--with", "--python", "-p")
_PIPX_SILENT: Final = frozenset({"-q", "--quiet", "-v", "--verbose", "--no-cache"})
_PIPX_VALUED: Final = ("--spec", "--python")

# A version, a tag or a range (node-semver); nothing that could be an address, a file, an alias or an option.
_NPM_SPEC: Final = re.compile(
    r"(?P<name>(?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*)"
    r"(?:@(?P<version>[0-9a-z^~<>=*][0-9a-z.+*^~<>=| -]*))?",
    re.IGNORECASE,
)
_PEP440: Final = r"(?:===?|~=|!=|<=?|>=?)\s*[0-9A-Za-z.*+!_-]+"
_PYPI_SPEC: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?P<extras>\[[A-Za-z0-9._, -]*\])?\s*"
    rf"(?:@(?P<version>[0-9A-Za-z][0-9A-Za-z.+!_-]*)|(?P<range>{_PEP440}(?:\s*,\s*{_PEP440})*))?"
)
_PLAIN_PROGRAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXACT_NPM: Final = re.compile(r"=?v?[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]*)?")
_EXACT_PYPI: Final = re.compile(r"===?\s*[0-9][0-9A-Za-z.+!_-]*")
_LATEST: Final = "latest"


class Spec(msgspec.Struct, frozen=True):
    """One package: its name, its extras as written (PyPI), and which versions; empty: the newest."""

    name: str
    versions: str = ""
    extras: str = ""

    def is_exact(self) -> bool:
        """Whether only one version can be meant."""
        return bool(_EXACT_NPM.fullmatch(self.versions) or _EXACT_PYPI.fullmatch(self.versions))


class Asked(msgspec.Struct, frozen=True):
    """What is to be fetched and run. The first of ``specs`` is the package that the server is known as.

    ``program`` is empty where the package itself says what its program is; ``python`` is empty where the package
    manager chooses one that is installed; ``arguments`` are the server's own.
    """

    registry: str
    specs: tuple[Spec, ...]
    program: str
    arguments: tuple[str, ...]
    python: str = ""


def asked(argv: tuple[str, ...]) -> Asked | None:
    """What ``argv`` asks to be fetched; None where it starts nothing that Doorward fetches.

    Raises:
        FetchError: it does, in a way that is not understood exactly.
    """
    match os.path.basename(argv[0]) if argv else "", argv[1:]:
        case "npx", words:
            return _npm("npx", words, stops_at_package=True)
        case "npm", (("exec" | "x") as verb, *words):
            return _npm(f"npm {verb}", tuple(words), stops_at_package=False)
        case "uvx", words:
            return _uv("uvx", words)
        case "uv", ("tool", "run", *words):
            return _uv("uv tool run", tuple(words))
        case "pipx", ("run", *words):
            return _pipx("pipx run", tuple(words))
    return None


def _npm(launcher: str, words: tuple[str, ...], *, stops_at_package: bool) -> Asked:
    packages: list[str] = []
    index = 0
    while index < len(words) and words[index].startswith("-"):
        option, equals, value = words[index].partition("=")
        index += 1
        if words[index - 1] == "--":
            return _npm_asked(launcher, packages, words[index:])
        if option in _NPM_PACKAGE:
            if not equals:
                value, index = _value(launcher, option, words, index)
            packages.append(value)
        elif words[index - 1] not in _NPM_SILENT:
            _refuse(launcher, words[index - 1])
    rest = words[index:]
    if not stops_at_package:
        # npm takes options from behind the package as well, up to "--", which is not the server's then.
        end = rest.index("--") if "--" in rest else len(rest)
        for word in rest[:end]:
            if word.startswith("-"):
                raise FetchError(
                    f"{launcher} takes {word} for an option of its own", hint="write -- before the server's arguments"
                )
        rest = (*rest[:end], *rest[end + 1 :])
    return _npm_asked(launcher, packages, rest)


def _npm_asked(launcher: str, packages: list[str], rest: tuple[str, ...]) -> Asked:
    if not rest:
        raise FetchError(f"{launcher} names no program to run", hint=f"{launcher} PACKAGE@VERSION ARGUMENT…")
    program, named = (rest[0], packages) if packages else ("", [rest[0]])
    if program and not _PLAIN_PROGRAM.fullmatch(program):
        _refuse(launcher, program)
    return Asked(NPM, tuple(_npm_spec(launcher, word) for word in named), program, rest[1:])


def _npm_spec(launcher: str, word: str) -> Spec:
    match = _NPM_SPEC.fullmatch(word)
    if match is None:
        _refuse(launcher, word)
    version = match["version"] or ""
    return Spec(match["name"], "" if version == _LATEST else version)


def _uv(launcher: str, words: tuple[str, ...]) -> Asked:
    said, rest = _options(launcher, words, _UV_VALUED, _UV_SILENT)
    if not rest:
        raise FetchError(f"{launcher} names no program to run", hint=f"{launcher} PACKAGE@VERSION ARGUMENT…")
    pythons = (*said.get("--python", ()), *said.get("-p", ()))
    if len(pythons) > 1:
        _refuse(launcher, pythons[0])
    return _pypi_asked(launcher, rest, said.get("--from", ())[-1:], said.get("--with", ()), pythons)


def _pipx(launcher: str, words: tuple[str, ...]) -> Asked:
    said, rest = _options(launcher, words, _PIPX_VALUED, _PIPX_SILENT)
    if not rest:
        raise FetchError(f"{launcher} names no program to run", hint=f"{launcher} PACKAGE==VERSION ARGUMENT…")
    spec = said.get("--spec", ())[-1:]
    if "@" in (*spec, rest[0])[0]:  # an address, to pip
        _refuse(launcher, (*spec, rest[0])[0])
    return _pypi_asked(launcher, rest, spec, (), said.get("--python", ())[-1:])


def _options(
    launcher: str, words: tuple[str, ...], valued: tuple[str, ...], silent: frozenset[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The options with a value that stand before the program, and what begins with it."""
    said: dict[str, tuple[str, ...]] = {}
    index = 0
    while index < len(words) and words[index].startswith("-"):
        option, equals, value = words[index].partition("=")
        index += 1
        if words[index - 1] == "--":
            break
        if option in valued:
            if not equals:
                value, index = _value(launcher, option, words, index)
            said[option] = (*said.get(option, ()), value)
        elif words[index - 1] not in silent:
            _refuse(launcher, words[index - 1])
    return said, words[index:]


def _pypi_asked(
    launcher: str, rest: tuple[str, ...], package: tuple[str, ...], beside: tuple[str, ...], pythons: tuple[str, ...]
) -> Asked:
    program, *arguments = rest
    spec = _pypi_spec(launcher, (*package, program)[0])
    if not package:
        program = spec.name
    if not _PLAIN_PROGRAM.fullmatch(program) or program.rstrip("0123456789.") == "python":
        _refuse(launcher, program)
    more = [one.strip() for value in beside for one in _split(value) if one.strip()]
    [python] = pythons[-1:] or ("",)
    if python.startswith("-"):
        _refuse(launcher, python)
    specs = (spec, *(_pypi_spec(launcher, one) for one in more))
    return Asked(PYPI, specs, program, tuple(arguments), python)


def _split(value: str) -> list[str]:
    """The packages of one ``--with``: commas separate them, but not within brackets nor before a comparison."""
    return re.split(r",(?![^\[]*\])(?!\s*[=~!<>])", value)


def _pypi_spec(launcher: str, word: str) -> Spec:
    match = _PYPI_SPEC.fullmatch(word.strip())
    if match is None:
        _refuse(launcher, word)
    versions = match["range"] or ""
    if match["version"] and match["version"] != _LATEST:
        versions = f"=={match['version']}"
    return Spec(match["name"], versions, match["extras"] or "")


def _value(launcher: str, option: str, words: tuple[str, ...], index: int) -> tuple[str, int]:
    if index >= len(words):
        raise FetchError(f"{launcher} {option} says nothing", hint=f"{launcher} {option} VALUE")
    return words[index], index + 1


def _refuse(launcher: str, word: str) -> NoReturn:
    raise FetchError(
        f"doorward does not know what {launcher} would fetch for {word}",
        hint="name a package of a registry, and set the registry where the package manager keeps its settings; "
        "or install the server, and write its program after --",
    )
