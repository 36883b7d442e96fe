"""What a command line runs: the script behind an interpreter, the package behind a launcher.

A file is worth a digest only if it is what runs. ``python server.py`` runs ``server.py``, and so does a console script;
``npx some-package`` runs what npx will fetch, of which only the words are known here. Nothing is executed to find out.

Known limits: ``PYTHONPATH``, ``NODE_OPTIONS`` and their like are not followed; an interpreter's options are known for
Python and Node, for others the first argument that names a file is taken as the script; what a shell or a wrapper such
as ``env`` starts is not followed at all (its arguments are pinned, `Program.note` says so).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

import msgspec

_INTERPRETER: Final = re.compile(
    r"(python|pypy|node|nodejs|deno|bun|ruby|perl|php|lua|java|dotnet|bash|sh|dash|zsh|ksh|fish|busybox)[0-9.]*w?"
)
_SHELLS: Final = frozenset({"bash", "sh", "dash", "zsh", "ksh", "fish", "busybox"})
# They start a program, a container or a machine elsewhere, which only their arguments name.
_WRAPPERS: Final = frozenset(
    {
        *("env", "nice", "nohup", "setsid", "stdbuf", "timeout", "sudo", "doas", "xargs", "strace", "unshare", "bwrap"),
        *("docker", "podman", "nerdctl", "kubectl", "ssh", "nix", "nix-shell", "flatpak", "snap", "make", "just"),
        *("poetry", "pdm", "hatch", "rye", "conda", "mamba", "micromamba", "mise", "asdf", "direnv", "cargo", "go"),
    }
)

_NPM: Final = "npm"
_PYPI: Final = "pypi"
# Launcher -> registry, the words before the package, the options that name the package, other options with a value.
_LAUNCHERS: Final[dict[str, tuple[str, tuple[tuple[str, ...], ...], tuple[str, ...], tuple[str, ...]]]] = {
    "npx": (_NPM, ((),), ("-p", "--package"), ("-c", "--call", "-w", "--workspace", "--registry", "--cache")),
    "npm": (_NPM, (("exec",), ("x",)), ("-p", "--package"), ("-c", "--call", "-w", "--workspace", "--prefix")),
    "pnpx": (_NPM, ((),), ("--package",), ("-C", "--dir")),
    "pnpm": (_NPM, (("dlx",),), ("--package",), ("-C", "--dir")),
    "yarn": (_NPM, (("dlx",),), ("-p", "--package"), ("--cwd",)),
    "bunx": (_NPM, ((),), ("-p", "--package"), ()),
    "uvx": (_PYPI, ((),), ("--from",), ("--with", "--python", "-p", "--index", "--index-url", "--directory")),
    "uv": (_PYPI, (("tool", "run"),), ("--from",), ("--with", "--python", "-p", "--index", "--directory")),
    "pipx": (_PYPI, (("run",),), ("--spec",), ("--python", "--pip-args", "--with", "--index-url")),
}

_PYTHON_VALUES: Final = "WX"
_NODE_VALUES: Final = frozenset(
    {"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file"}
)
_NODE_INLINE: Final = frozenset({"-e", "--eval", "-p", "--print", "-pe"})

_NPM_SPEC: Final = re.compile(r"(?P<name>(?:@[^/@]+/)?[^@/:]+)(?:@(?P<version>[^@]+))?")
_PYPI_SPEC: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:\[[^\]]*\])?\s*"
    r"(?:(?:===?|@)\s*(?P<version>[^\s,]+)|(?:===?|[<>!~]=|[<>]).*)?"
)
_EXACT: Final = re.compile(r"v?[0-9]+\.[0-9][0-9A-Za-z.+_-]*")


class Program(msgspec.Struct, frozen=True):
    """What an executable is told to run. All empty: the executable itself is the program.

    ``script`` is the path of a file; ``module`` a Python module; ``package`` is ``registry:name version``, the version
    only where it is exact. ``replaceable`` marks an interpreter, launcher or wrapper, known by path and owner. ``note``
    says what cannot be pinned.
    """

    script: str = ""
    module: str = ""
    package: str = ""
    replaceable: bool = False
    note: str = ""


def program_of(invoked: str, executable: str, arguments: tuple[str, ...], cwd: str) -> Program:
    """What ``arguments`` tell the program at ``invoked``, which resolves to ``executable``, to run from ``cwd``."""
    word = os.path.basename(invoked)
    if word == "bun" and arguments[:1] == ("x",):
        word, arguments = "bunx", arguments[1:]
    if word in _LAUNCHERS:
        return _launched(word, arguments)
    if word in _WRAPPERS:
        return Program(replaceable=True, note=f"what {word} starts is known by its arguments only")
    for path in (executable, invoked):
        if match := _INTERPRETER.fullmatch(os.path.basename(path)):
            return _interpreted(match[1], arguments, cwd)
    return Program()


def label(argv: tuple[str, ...]) -> str:
    """A short name for what ``argv`` runs: the package, module, script or executable that it names.

    Of the words alone: what lies on disk must not be able to change the name under which a command is known.
    """
    word = os.path.basename(argv[0])
    if word in _LAUNCHERS:
        named = _launched(word, argv[1:]).package.partition(" ")[0].partition(":")[2]
    elif match := _INTERPRETER.fullmatch(word):
        kind, named = _told(match[1], argv[1:])
        named = named if kind == "module" else os.path.splitext(os.path.basename(named))[0]
    else:
        named = ""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", (named or word).rpartition("/")[2])
    return plain.lstrip("._-")[:40] or "server"


def _interpreted(language: str, arguments: tuple[str, ...], cwd: str) -> Program:
    kind, word = _told(language, arguments)
    if kind == "other":
        kind, word = "script", next((one for one in arguments if os.path.isfile(os.path.join(cwd, one))), "")
    if kind == "module" and word:
        return Program(module=word, replaceable=True)
    if kind == "script" and word and os.path.isfile(path := os.path.join(cwd, word)):
        return Program(script=path, replaceable=True)
    return Program(replaceable=True, note=f"what {language} runs is known by its arguments only")


def _told(language: str, arguments: tuple[str, ...]) -> tuple[str, str]:
    """What ``language`` is told to run: (script | module | inline | none | other, the word). Other: not known."""
    if language in ("python", "pypy"):
        return _python(arguments)
    if language in ("node", "nodejs"):
        return _node(arguments)
    if language in _SHELLS and any(re.fullmatch("-[a-z]*c[a-z]*", argument) for argument in arguments):
        return "inline", ""
    return "other", next((one for one in arguments if not one.startswith("-")), "")


def _python(arguments: tuple[str, ...]) -> tuple[str, str]:
    """Python's own reading of its command line: options may be run together, -c and -m end them."""
    words = iter(arguments)
    for word in words:
        if word == "-" or not word.startswith("-"):
            return "script", word
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(words, "")
            continue
        for position, letter in enumerate(word[1:], start=2):
            if letter == "c":
                return "inline", ""
            if letter == "m":
                return "module", word[position:] or next(words, "")
            if letter in _PYTHON_VALUES:
                if not word[position:]:
                    next(words, "")
                break
    return "none", ""


def _node(arguments: tuple[str, ...]) -> tuple[str, str]:
    words = iter(arguments)
    for word in words:
        if word == "--":
            return "script", next(words, "")
        if word in _NODE_INLINE or word.startswith(("--eval=", "--print=")):
            return "inline", ""
        if word in _NODE_VALUES:
            next(words, "")
        elif not word.startswith("-"):
            return "script", word
    return "none", ""


def _launched(launcher: str, arguments: tuple[str, ...]) -> Program:
    registry, prefixes, naming, valued = _LAUNCHERS[launcher]
    for prefix in prefixes:
        if arguments[: len(prefix)] == prefix:
            spec = _package_word(iter(arguments[len(prefix) :]), naming, valued)
            if spec:
                return _specified(registry, spec)
    return Program(replaceable=True, note=f"what {launcher} runs is known by its arguments only")


def _package_word(words: Iterator[str], naming: tuple[str, ...], valued: tuple[str, ...]) -> str:
    for word in words:
        option, equals, value = word.partition("=")
        if option in naming:
            return value if equals else next(words, "")
        if word in valued:
            next(words, "")
        elif not word.startswith("-"):
            return word
        elif word == "--":
            return next(words, "")
    return ""


def _specified(registry: str, spec: str) -> Program:
    match = (_NPM_SPEC if registry == _NPM else _PYPI_SPEC).fullmatch(spec)
    if not match:
        return Program(package=f"{registry}:{spec}", replaceable=True, note=f"what {spec} holds can change unseen")
    name, version = match["name"], match["version"] or ""
    if registry == _PYPI:
        name = plain_distribution(name)
    if _EXACT.fullmatch(version):
        return Program(package=f"{registry}:{name} {version}", replaceable=True)
    note = f"{spec} names no exact version: what is fetched can change unseen"
    return Program(package=f"{registry}:{name}", replaceable=True, note=note)


def plain_distribution(name: str) -> str:
    """A Python distribution's name as the index compares it (packaging specification, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()
