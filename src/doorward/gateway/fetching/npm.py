"""npm: how a package gets into a folder without running any of it, and what lies there then.

*Nothing comes from git*, however deep the package that names it. npm prepares such a dependency by an installation of
its own inside of it, under the settings that lie there: they choose the program that is run as git, and where requests
go that name any variable of the step, also the one in which the operator keeps the registry's token. Before 11.10 npm
knows no ``allow-git``: there git is no program that could be run, and the hosts whose repositories npm fetches as
archives are closed.

Does not protect, with such an npm, where the operator's settings name one of those hosts, or a proxy: then what comes
from there is still prepared. None of it runs, but it can carry off the variables that the operator's ``.npmrc`` refers
to (not what stands in it).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from doorward.errors import FetchError
from doorward.gateway.fetching.asked import Asked, Spec
from doorward.gateway.fetching.tree import Found, Package, Step, beside

PINS: Final = ("package.json", "package-lock.json")
"""The files that, taken along, make the next fetch bring the same packages."""

_QUIET: Final = ("--no-audit", "--no-fund", "--loglevel=error", "--no-update-notifier", "--no-progress")
_NO_GIT: Final = ("--allow-git=none", f"--git={os.devnull}")
"""Both hold in whatever npm starts as well, which it tells of them."""
_HOSTS: Final = ("github.com", "*.github.com", "gitlab.com", "bitbucket.org", "git.sr.ht")
"""Those of npm's hosted-git-info."""
_LOCAL: Final = ("--location=project", "--no-global", "--omit=dev", "--package-lock", "--no-dry-run")
_INTEGRITY: Final = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]+=*")


class _Manifest(msgspec.Struct, frozen=True):
    """Of a package.json, what is read here: a package may write anything into its own."""

    bin: str | dict[str, str] | None = None


def manager(launcher: str, _search: str) -> str:
    """The npm that belongs to the launcher at ``launcher``: the one beside it."""
    return beside(launcher, "npm")


def steps(asked: Asked, npm: str, folder: str, *, pinned: bool, scripts: bool) -> Iterator[Step]:
    """What to do in ``folder``, which holds `PINS` where ``pinned``."""
    if pinned:
        yield Step((npm, "ci", "--ignore-scripts", *_NO_GIT, *_QUIET, *_LOCAL), closed=_HOSTS)
    else:
        with open(os.path.join(folder, "package.json"), "x", encoding="utf-8") as file:
            file.write('{"private": true}\n')
        specs = tuple(_word(spec) for spec in asked.specs)
        words = ("install", "--ignore-scripts", "--save", "--save-exact", *_NO_GIT, *_QUIET, *_LOCAL)
        yield Step((npm, *words, "--", *specs), closed=_HOSTS)
    if scripts:
        # In a step of its own, which sees nothing of the operator's settings: they may hold the registry's token.
        yield Step((npm, "rebuild", "--no-ignore-scripts", *_QUIET, *_LOCAL), settings=False, keeps=PINS)


def found(asked: Asked, folder: str) -> Found:
    """What was fetched into ``folder``.

    Raises:
        FetchError: a package has no integrity (it came from git, a file or an address), or has no such program.
    """
    packages, with_scripts = [], []
    for place, said in _lock(folder).items():
        if not place:
            continue
        integrity = said.get("integrity", "")
        if not said.get("inBundle") and not _INTEGRITY.fullmatch(integrity):
            raise FetchError(f"npm fetched {place} from outside of a registry, where nothing proves what it is")
        packages.append(Package(place.removeprefix("node_modules/"), said.get("version", ""), integrity))
        if said.get("hasInstallScript"):
            with_scripts.append(place.rpartition("node_modules/")[2])
    main = next((package for package in packages if package.name == asked.specs[0].name), None)
    if main is None:
        raise FetchError(f"npm did not fetch {asked.specs[0].name}")
    return Found(
        main=main,
        packages=tuple(sorted(packages, key=lambda package: package.name)),
        program=(_program(asked, folder),),
        programs=os.path.join(folder, "node_modules", ".bin"),
        with_scripts=tuple(sorted(set(with_scripts))),
    )


def at(spec: Spec, version: str) -> Spec:
    """``spec`` at exactly ``version``."""
    return msgspec.structs.replace(spec, versions=version)


def _word(spec: Spec) -> str:
    return f"{spec.name}@{spec.versions or 'latest'}"


def _lock(folder: str) -> dict[str, dict[str, Any]]:
    try:
        with open(os.path.join(folder, "package-lock.json"), "rb") as file:
            packages: dict[str, dict[str, Any]] = msgspec.json.decode(file.read())["packages"]
    except (OSError, msgspec.DecodeError, KeyError) as problem:
        raise FetchError(f"npm left no lock that tells what it fetched: {problem}") from None
    return packages


def _program(asked: Asked, folder: str) -> str:
    """The file that npx would run: the one named, else the package's only one, else the one that is called like it."""
    modules = os.path.join(folder, "node_modules")
    name = asked.specs[0].name
    if asked.program:
        path = os.path.join(modules, ".bin", asked.program)
    else:
        path = os.path.join(modules, name, _own_program(os.path.join(modules, name), name.rpartition("/")[2]))
    real = os.path.realpath(path) if "\0" not in path else ""
    if not real.startswith(os.path.realpath(modules) + "/") or not os.path.isfile(real):
        raise FetchError(f"{name} has no program {asked.program or name}")
    return real


def _own_program(package: str, short: str) -> str:
    said = os.path.join(package, "package.json")
    if not os.path.isfile(said):  # whoever opened a pipe would wait
        raise FetchError(f"{package} does not say what it is")
    try:
        with open(said, "rb") as file:
            programs = msgspec.json.decode(file.read(), type=_Manifest).bin or {}
    except (OSError, msgspec.DecodeError) as problem:
        raise FetchError(f"{package} does not say what it is: {problem}") from None
    if isinstance(programs, str):
        return programs
    if short not in programs and len(set(programs.values())) == 1:
        [short] = list(programs)[:1]
    if short not in programs:
        known = ", ".join(sorted(programs)) or "none"
        raise FetchError(
            f"{short} does not say which of its programs to run (it has: {known})",
            hint=f"npx --package={short} PROGRAM ARGUMENT…",
        )
    return str(programs[short])
