"""Who a server is to the machine, and what stands in its own table of users."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable


def owner(written: Iterable[str]) -> tuple[int, int]:
    """As whom, user and group, a server runs inside namespaces that may write these folders.

    As we, but that of root's it is the first other owner of one of them, with that user's own group: it need not be
    root to write there. Outside of namespaces nobody changes: an installation may lie where only root can go.
    """
    for path in written if os.geteuid() == 0 else ():
        try:
            found = _look(path)
        except OSError:  # exchanged since it was found, so it will not be given either
            continue
        if found.st_uid != 0:
            account = _account(found.st_uid)
            return found.st_uid, account.pw_gid if account else found.st_gid
    return os.geteuid(), os.getegid()


def name(user: int) -> str:
    """A user's name, where it can stand in a table of users."""
    account = _account(user)
    found = account.pw_name if account else ""
    return found if found and found.isascii() and found.isprintable() and ":" not in found else "user"


def home() -> str:
    """The home that our account has, whatever HOME says; empty without an account."""
    account = _account(os.getuid())
    return account.pw_dir if account else ""


def _look(path: str) -> os.stat_result:
    from doorward.confine import landlock  # ctypes, which nobody but root needs here

    # Without following a link: who runs in a folder above would else choose the user.
    place = landlock.open_without_links(os.fsencode(path))
    try:
        return os.fstat(place)
    finally:
        os.close(place)


def _account(user: int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(user)
    except KeyError:
        return None
