"""uv: how a Python package gets into an environment of its own without building any of it, and what lies there then.

Four steps: an environment, a resolution that notes the hash of every archive, an installation that takes nothing else,
and the compilation of what came. Wheels only: building a source distribution runs it. No Python is downloaded. uv would
compile by the environment's own interpreter, as programs start it, and that runs what came: ``.pth`` files and
``sitecustomize``. So it is a step of its own, by the interpreter behind that one, which knows of neither, and without
settings.

Where the operator allows builds (``--unsafe-install-scripts``), their code runs in the second and third step, since uv
builds in order to resolve. It sees what those see: the tree, the operator's settings for uv with the credentials in
them, the registries and public addresses; nothing else of the user's, and it writes the tree alone. A build that
outlives the resolution by a moment could change what that wrote, and so under which versions the packages of this tree
are pinned.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from doorward.confine.installation import resolve_executable
from doorward.errors import ConfinementError, FetchError
from doorward.gateway.fetching.asked import Asked, Spec
from doorward.gateway.fetching.tree import Found, Package, Step, beside
from doorward.gateway.identity.programs import plain_distribution

PINS: Final = ("requirements.txt",)

_ENVIRONMENT: Final = "environment"
_COMPILE: Final = f"import compileall; compileall.compile_dir({os.path.join(_ENVIRONMENT, 'lib')!r}, quiet=2)"
"""What does not compile is left as it is, as pip does: templates, and code for another Python."""
_TOLD: Final = (("UV_PYTHON_DOWNLOADS", "never"), ("UV_NO_PROGRESS", "1"), ("UV_NO_ENV_FILE", "1"))
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>\S+?)(?:\s*;.*?)?\s*\\?")
_HASH: Final = re.compile(r"\s+--hash=(?P<hash>[a-z0-9]+:[0-9a-f]+)\s*\\?")


def manager(launcher: str, search: str) -> str:
    """The uv that belongs to the launcher at ``launcher``: the one beside it. pipx has none of its own, and takes the
    first on ``search`` where none lies there.
    """
    path = beside(launcher, "uv")
    if os.path.basename(launcher) == "pipx" and not os.access(path, os.X_OK):
        with contextlib.suppress(ConfinementError):
            return resolve_executable("uv", search)
    return path


def steps(asked: Asked, uv: str, folder: str, *, pinned: bool, scripts: bool) -> Iterator[Step]:
    """What to do in ``folder``, which holds `PINS` where ``pinned``. ``scripts`` allows source distributions."""
    wheels = () if scripts else ("--no-build",)
    python = ("--python", os.path.join(_ENVIRONMENT, "bin", "python"))
    chosen = ("--python", asked.python) if asked.python else ()
    yield Step((uv, "venv", "--quiet", "--no-project", *chosen, _ENVIRONMENT), told=_TOLD)
    # While nothing of a package is there: what it brings may say of the environment which library its Python has.
    interpreter = os.path.realpath(os.path.join(folder, python[1]))
    if not pinned:
        with open(os.path.join(folder, "requirements.in"), "x", encoding="utf-8") as file:
            file.write("".join(f"{spec.name}{spec.extras}{spec.versions}\n" for spec in asked.specs))
        words = ("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes", *wheels, *python)
        yield Step((uv, *words, "-o", PINS[0], "requirements.in"), told=_TOLD)
    words = ("pip", "sync", "--quiet", "--no-compile-bytecode", "--require-hashes", *wheels, *python)
    yield Step((uv, *words, PINS[0]), told=_TOLD, keeps=PINS)
    yield Step((interpreter, "-I", "-S", "-c", _COMPILE), settings=False, keeps=PINS)


def found(asked: Asked, folder: str) -> Found:
    """What was fetched into ``folder``.

    Raises:
        FetchError: a package has no hash (it came from git, a folder or an address), or there is no such program.
    """
    packages = tuple(sorted(_packages(os.path.join(folder, PINS[0]))))
    wanted = plain_distribution(asked.specs[0].name)
    main = next((package for package in packages if package.name == wanted), None)
    if main is None:
        raise FetchError(f"uv did not fetch {asked.specs[0].name}")
    programs = os.path.join(folder, _ENVIRONMENT, "bin")
    path = os.path.join(programs, asked.program)
    if not os.path.isfile(path) or os.path.islink(path):
        raise FetchError(
            f"{asked.specs[0].name} has no program {asked.program}", hint="uvx --from PACKAGE PROGRAM ARGUMENT…"
        )
    # Through the interpreter: the first line of a script cannot name a long path, and its stand-in is a shell's.
    program = (os.path.join(programs, "python"), path) if _is_python(path) else (path,)
    return Found(main=main, packages=packages, program=program, programs=programs)


def at(spec: Spec, version: str) -> Spec:
    """``spec`` at exactly ``version``."""
    return msgspec.structs.replace(spec, versions=f"=={version}")


def _packages(path: str) -> Iterator[Package]:
    name, version, hashes = "", "", list[str]()
    for line in (*_lines(path), ""):
        if match := _HASH.fullmatch(line):
            hashes.append(match["hash"])
            continue
        if name:
            if not hashes:
                raise FetchError(f"nothing proves what {name} is: it has no hash")
            yield Package(name, version, " ".join(sorted(set(hashes))))
        name, hashes = "", []
        if line and not line.startswith("#"):
            match = _REQUIREMENT.fullmatch(line)
            if match is None:
                raise FetchError(
                    f"uv fetched {line.split()[0]} from outside of a registry, where nothing proves what it is"
                )
            name, version = plain_distribution(match["name"]), match["version"]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return [line.rstrip() for line in file.read().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as problem:
        raise FetchError(f"uv left no lock that tells what it fetched: {problem}") from None


def _is_python(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(512)
    return head.startswith(b"#!") and b"python" in head
