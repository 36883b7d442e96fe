"""The programs of the user's that a step of fetching runs: none that a server could have put there.

A package manager finds its interpreter by its name on PATH (``#!/usr/bin/env node``; uv asks every Python that it finds
there), and the step gives it the registry's credentials. So a folder on PATH in which a server may write, or that holds
a link to where it may, is left out of the step, and a package manager that lies in such a place is not run. What runs
the fetched program is looked for once, in the same way, and kept with it: a server that leaves something on PATH later
does not change what runs under its name.

Does not protect against servers that are known neither here nor to the policy: what they may write, nobody says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from doorward.confine.installation import resolve_executable, shebang
from doorward.confine.paths import is_below, links_on_the_way
from doorward.errors import ConfinementError, FetchError


def trusted_path(search: str, written: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Those folders of a search path that no server decides about, joined, and the others."""
    written = tuple(written)
    folders = [folder for folder in search.split(":") if os.path.isabs(folder) and os.path.isdir(folder)]
    left_out = tuple(folder for folder in folders if is_decided_by(folder, written) or _holds_written(folder, written))
    return ":".join(folder for folder in folders if folder not in left_out), left_out


def refuse_written(program: str, written: Iterable[str]) -> None:
    """Raises FetchError where a server could have put this program there."""
    if is_decided_by(program, tuple(written)):
        raise FetchError(
            f"{program} lies where a server may write, so it is not trusted to fetch anything",
            hint="put a folder with a launcher that no server may write first on PATH",
        )


def with_interpreter(program: tuple[str, ...], search: str) -> tuple[str, ...]:
    """A program whose first line leaves it to PATH what runs it, with that: the first that ``search`` has.

    Raises FetchError where it has none.
    """
    words = shebang(program[0]) or []
    named = [word for word in words[1:] if word != "-S"]
    if len(program) > 1 or not named or os.path.basename(words[0]) != "env" or named[0][:1] == "-" or "=" in named[0]:
        return program
    try:
        return (resolve_executable(named[0], search), *named[1:], *program)
    except ConfinementError as problem:
        raise FetchError(f"{os.path.basename(program[0])} is run by {named[0]}: {problem}", hint=problem.hint) from None


def is_decided_by(path: str, written: tuple[str, ...]) -> bool:
    """Whether what lies at ``path``, or on the way there, lies in one of ``written``."""
    on_the_way = (os.path.realpath(path), *links_on_the_way(path))
    return any(is_below(place, folder) for place in on_the_way for folder in written)


def _holds_written(folder: str, written: tuple[str, ...]) -> bool:
    real = os.path.realpath(folder)
    if any(is_below(place, real) for place in written):
        return True
    with os.scandir(real) as entries:
        links = [entry.path for entry in entries if entry.is_symlink()] if written else []
    return any(is_decided_by(link, written) for link in links)
