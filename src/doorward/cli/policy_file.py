"""``doorward policy init``, ``check`` and ``schema``: a policy file is begun, looked at, known to an editor."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from doorward.cli import terminal
from doorward.cli.places import policy_folders, policy_path
from doorward.errors import PolicyError, UsageError

if TYPE_CHECKING:
    from doorward.errors import Problem
    from doorward.policy.model import Policy

_CLEAN: Final = 0
_FINDING: Final = 1


def register(actions: Any, common: argparse.ArgumentParser) -> None:
    """Add the three to the actions of ``policy``."""
    init = actions.add_parser(
        "init",
        parents=[common],
        description="write a policy file that says what the defaults say, with a comment for every key; "
        "a file that is there already is left alone",
    )
    init.add_argument("path", nargs="?", metavar="PATH", help="where; else -c, else ~/.config/doorward/doorward.toml")
    init.add_argument("--profile", metavar="NAME", default="", help="begin with this profile: standard, strict")
    init.set_defaults(run=_init)
    check = actions.add_parser(
        "check",
        parents=[common],
        description="say everything that is wrong with a policy file, each with its line and what to write instead, "
        "and what the file weakens; exits 1 if anything is wrong",
    )
    check.add_argument("path", nargs="?", metavar="FILE", help="the file; else the one that is in force")
    check.set_defaults(run=_check)
    schema = actions.add_parser(
        "schema", parents=[common], description="print the JSON Schema of the policy file, for an editor"
    )
    schema.set_defaults(run=_schema)


def _init(args: argparse.Namespace) -> int:
    from doorward.policy.load import load
    from doorward.policy.profiles import STANDARD, values

    profile = args.profile or STANDARD
    values(profile)  # before anything is written: is there such a profile?
    path = _target(args)
    write_new(path, _commented(profile))
    try:
        load(path)  # where it could not be believed it is of no use, and says so now
    except PolicyError:
        path.unlink()
        raise
    if args.json:
        terminal.write_json({"path": str(path), "profile": profile})
    else:
        terminal.write(f"wrote {path}")
        terminal.write("it says what the defaults say; edit it, then: doorward policy check")
    return _CLEAN


def _target(args: argparse.Namespace) -> Path:
    given = args.path or getattr(args, "config", None)
    return Path(given).absolute() if given else policy_folders()[0] / "doorward.toml"


def write_new(path: Path, text: str) -> None:
    """Write ``text`` to a file of ours that is not there yet. UsageError: it is, or it cannot be written as a whole;
    then nothing is there, since half a policy says less than was meant.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", hint="doorward policy check, or name another file") from None
    except OSError as problem:
        raise _unwritten(path, problem) from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        path.unlink()
        raise _unwritten(path, problem) from None


def _unwritten(path: Path, problem: OSError) -> UsageError:
    return UsageError(f"cannot write {path}: {(problem.strerror or str(problem)).lower()}")


def _commented(profile: str) -> str:
    text = _shipped("commented.toml")
    return re.sub(r'(?m)^profile = "\w+"$', f'profile = "{profile}"', text)


def _check(args: argparse.Namespace) -> int:
    from doorward.policy.load import load

    path = Path(args.path).absolute() if args.path else policy_path(args)
    if path is not None and not os.path.lexists(path):
        raise UsageError(f"there is no {path}", hint="doorward policy init writes one")
    try:
        return _report(args, path, load(path), ())
    except PolicyError as refused:
        return _report(args, path, None, refused.problems)


def _report(args: argparse.Namespace, path: Path | None, policy: Policy | None, problems: tuple[Problem, ...]) -> int:
    from doorward.policy.profiles import weakened

    weakens = weakened(policy) if policy else ()
    if args.json:
        found = {
            "file": str(path) if path else "",
            "problems": [problem._asdict() for problem in problems],
            "profile": policy.profile if policy else "",
            "digest": policy.digest if policy else "",
            "weakens": list(weakens),
        }
        terminal.write_json(found)
    elif policy is None:
        _print_problems(problems)
    else:
        where = str(path) if path else "no policy file, so the built-in defaults"
        terminal.write(f"{where}: no problems, profile {policy.profile}")
        for words in weakens:
            terminal.write(f"unsafe: {words}", style=terminal.YELLOW)
        if not weakens:
            terminal.write("it weakens nothing")
    return _CLEAN if policy else _FINDING


def _print_problems(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        terminal.write(f"{problem.where}: {problem.what}", style=terminal.RED)
        if problem.hint:
            terminal.write(f"    hint: {problem.hint}")
    count = len(problems)
    terminal.write(f"{count} problem{'' if count == 1 else 's'}: nothing starts under this file")


def _schema(args: argparse.Namespace) -> int:  # noqa: ARG001 (every verb takes the arguments)
    import sys

    sys.stdout.write(_shipped("schema.json"))
    return _CLEAN


def _shipped(name: str) -> str:
    from importlib.resources import files

    return files("doorward.policy").joinpath(name).read_text(encoding="utf-8")
