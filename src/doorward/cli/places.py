"""Where things lie: state, policy, lock file, sockets. The rules, all of them:

* State: ``--state``, else ``$DOORWARD_STATE``, else ``$XDG_STATE_HOME/doorward``, else ``~/.local/state/doorward``.
* Policy: ``-c``, else ``$XDG_CONFIG_HOME/doorward/doorward.toml``, else ``~/.config/doorward/doorward.toml``, where
  that exists. Never from the working directory: a cloned repository must not bring policy.
* Lock file: ``doorward.lock`` beside the ``-c`` file, else in the state directory.
* Sockets: ``$XDG_RUNTIME_DIR/doorward``, else ``/run/user/UID/doorward`` where the login manager made
  ``/run/user/UID``, else ``STATE/run``, else ``/tmp/doorward-UID``; a directory whose sockets would have too long a
  path is passed over.

MCP clients start servers with a short environment (the SDK's safe list has HOME, but no XDG variable), while a person's
terminal has a full one. ``wrap`` and ``consent`` must meet all the same: hence ``/run/user/UID``, which is what
XDG_RUNTIME_DIR says almost everywhere, and `runtime_directories` for whoever looks.

Variables of the XDG base directory specification count only when absolute, as it demands; an empty one is not set.
"""

from __future__ import annotations

import argparse
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from doorward.errors import UsageError
from doorward.policy.home import home

if TYPE_CHECKING:
    from doorward.gateway.command_use import Places

# A socket's path has 108 bytes on Linux (unix(7)), one of them the final NUL; names in the directory get 40 of them.
_LOCK: Final = "doorward.lock"
_SOCKET_PATH_BYTES: Final = 107
SOCKET_NAME_BYTES: Final = 40
LOGIN_DIRECTORIES: Final = "/run/user"  # file-hierarchy(7): one directory for each user who is logged in
_SHORT_DIRECTORIES: Final = "/tmp"  # noqa: S108 (a directory below it is examined to be ours alone before use)


def state_directory(args: argparse.Namespace) -> Path:
    """The directory for logs, keys, pins and caches: made with mode 0700 if it is not there.

    Raises:
        UsageError: it cannot be made, belongs to another user, or others may write in it.
    """
    return _own_directory(_state_path(args), "give another with --state DIR")


def kept_state(args: argparse.Namespace) -> Path:
    """The state directory for a verb that only reads: nothing is made.

    Raises:
        UsageError: one was named and is not there, or as `state_directory`.
    """
    directory = _state_path(args)
    if directory.exists():
        return state_directory(args)
    if getattr(args, "state", None) or os.environ.get("DOORWARD_STATE"):
        raise UsageError(f"there is no {directory}", hint="name the state of your `doorward wrap` with --state DIR")
    return directory


def policy_path(args: argparse.Namespace) -> Path | None:
    """The policy file: what ``-c`` names, there or not; else the user's, if there is one; else None."""
    if given := getattr(args, "config", None):
        return Path(given).absolute()
    usual = policy_folders()[0] / "doorward.toml"
    # A dangling link is a policy that went missing, not the absence of one.
    return usual if os.path.lexists(usual) else None


def policy_folders() -> tuple[Path, ...]:
    """Where a policy is looked for without ``-c``, by us first and by whoever starts with a shorter environment.

    There or not: a server that could make one would write the policy of every later start.
    """
    settings = (_xdg("XDG_CONFIG_HOME"), home() / ".config")
    return tuple(dict.fromkeys(folder / "doorward" for folder in settings if folder))


def kept_lock(args: argparse.Namespace) -> Path:
    """As `lock_path`, for a verb that only reads: nothing is made; where nothing was ever started, it is not there."""
    directory = _state_path(args)
    return lock_path(args) if getattr(args, "config", None) or directory.exists() else directory / _LOCK


def lock_path(args: argparse.Namespace) -> Path:
    """``doorward.lock``: beside the file that ``-c`` names, so that the two travel together, else in the state."""
    given = getattr(args, "config", None)
    return (Path(given).absolute().parent if given else state_directory(args)) / _LOCK


def runtime_directory(state: Path) -> Path:
    """The directory for sockets: made with mode 0700 if it is not there. Names of up to 40 bytes fit below it.

    Raises:
        UsageError: it cannot be made, belongs to another user, or others may write in it.
    """
    return _own_directory(_runtime_paths(state)[0], "set XDG_RUNTIME_DIR, or give --state DIR")


def runtime_directories(state: Path) -> tuple[Path, ...]:
    """Every directory that another process with the same ``state`` may have chosen and that is there."""
    return tuple(path for path in _runtime_paths(state) if _is_own(path))


def of_gateway(args: argparse.Namespace) -> Places:
    """All of them, for a verb that runs a gateway."""
    from doorward.gateway.command_use import Places

    state, path, lock = state_directory(args), policy_path(args), lock_path(args)
    config = path.parent if path is not None else lock.parent
    return Places(state, runtime_directory(state), lock, config, policy_folders())


def _state_path(args: argparse.Namespace) -> Path:
    if given := getattr(args, "state", None) or os.environ.get("DOORWARD_STATE"):
        return Path(given).absolute()
    return (_xdg("XDG_STATE_HOME") or home() / ".local" / "state") / "doorward"


def _runtime_paths(state: Path) -> tuple[Path, ...]:
    user = os.geteuid()
    sessions = (_xdg("XDG_RUNTIME_DIR"), Path(LOGIN_DIRECTORIES, str(user)))
    paths = [session / "doorward" for session in sessions if session and _is_own(session)]
    paths += [state / "run", Path(_SHORT_DIRECTORIES, f"doorward-{user}")]
    return tuple(dict.fromkeys(path for path in paths if _fits(path)))


def _xdg(variable: str) -> Path | None:
    given = os.environ.get(variable, "")
    return Path(given) if given.startswith("/") else None


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory)) + 1 + SOCKET_NAME_BYTES <= _SOCKET_PATH_BYTES


def _is_own(directory: Path) -> bool:
    try:
        return not _problem(directory.stat())
    except OSError:
        return False


def _own_directory(directory: Path, hint: str) -> Path:
    try:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.stat()
    except OSError as problem:
        raise UsageError(f"cannot use {directory}: {(problem.strerror or str(problem)).lower()}", hint=hint) from None
    if problem_found := _problem(status):
        raise UsageError(f"will not use {directory}: {problem_found}", hint=hint)
    return directory


def _problem(status: os.stat_result) -> str:
    if not stat.S_ISDIR(status.st_mode):
        return "it is not a directory"
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}"
    return "others may write in it" if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else ""
