"""The product's launcher less one wall, or less a group of them: ``python -I -S launcher.py WALL…`` in its place.

Everything else is the product's own code and stands as ever. Only ``lab.ablated`` starts this.

It takes the walls out of the ``landlock`` mechanism, whatever the product would have chosen: there each wall is one
thing. Namespaces are several at once: taking one out would leave the others to hide what it did. What root starts keeps
its capabilities here until it becomes another user by itself, since namespaces would have made it that one.

*child-caps*: as much of everything as whoever starts the server has. It is put into no control group either.
*confine-calls*: no filter of calls, so that the machine's sockets are there again.
*confine-files*: Landlock is armed as ever, and gives the server all files. What it keeps of signals and sockets stays.
*confine-network*: TCP of this machine, to any address and port: by the filter of calls, which here keeps a server from
all sockets of the internet or, where the operator named targets, by Landlock from all ports but theirs. What else the
filter refuses stays refused.
*confine-processes*: Landlock is left out. The kernel keeps a server out of other processes by the very domain that
keeps it out of files, so files are open with it: which of both decided follows from the way of the harm.
*confine-privileges*: ``no_new_privs`` is left out. Landlock and seccomp stand without it only for who has
CAP_SYS_ADMIN; where the kernel refuses them to anybody else, they are gone with it, since they stand on it.
*no-orphans*: the server itself is ended as ever, and nothing that it started. It is put into no control group, with
which everything in it would end.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "confine")


def without_files() -> None:
    """Every path is one that the server was given."""
    landlock: Any = importlib.import_module("landlock")
    restrict = landlock.restrict
    landlock.restrict = lambda _read, _write, *ports: restrict((), ("/",), *ports)


def without_network() -> None:
    """Every place that this machine can reach by TCP is one that the operator named."""
    landlock: Any = importlib.import_module("landlock")
    seccomp: Any = importlib.import_module("seccomp")
    restrict, filter_calls = landlock.restrict, seccomp.restrict
    landlock.restrict = lambda read, write, *_ports: restrict(read, write)
    seccomp.restrict = lambda _internet, **how: filter_calls(seccomp.TCP, **how)


def without_processes() -> None:
    """No domain, so that a process of this user is one like any other."""
    landlock: Any = importlib.import_module("landlock")
    landlock.restrict = lambda *_: 0


def without_privileges() -> None:
    """A program that makes root of its caller does so."""
    landlock: Any = importlib.import_module("landlock")
    seccomp: Any = importlib.import_module("seccomp")
    prctl = landlock.prctl

    def less(option: int, value: int, more: bytes | None = None) -> None:
        if option != landlock.PR_SET_NO_NEW_PRIVS:
            prctl(option, value, more)

    landlock.prctl = less
    landlock.restrict, seccomp.restrict = _if_allowed(landlock.restrict), _if_allowed(seccomp.restrict)


def _if_allowed(arm: Callable[..., Any]) -> Callable[..., Any]:
    def armed(*what: Any, **how: Any) -> Any:
        try:
            return arm(*what, **how)
        except PermissionError:
            return 0

    return armed


def without_end_of_descendants() -> None:
    """The supervisor looks no further than the server."""
    supervise: Any = importlib.import_module("supervise")

    class Careless(supervise.Supervisor):  # type: ignore[misc]
        _status: int | None

        def _end_tree(self) -> None:
            if self._status is None:
                os.kill(self._server, signal.SIGKILL)
                self._status = os.waitpid(self._server, 0)[1]

    supervise.Supervisor = Careless


def without_caps() -> None:
    """Nobody counts."""
    caps: Any = importlib.import_module("caps")
    caps.restrict = lambda *_numbers, **_how: None


def without_calls() -> None:
    """Every call of the kernel and every socket, so that what listens on this machine has to defend itself."""
    seccomp: Any = importlib.import_module("seccomp")
    seccomp.restrict = lambda _internet, **_how: None


WALLS = {
    "child-caps": without_caps,
    "confine-calls": without_calls,
    "confine-files": without_files,
    "confine-network": without_network,
    "confine-processes": without_processes,
    "confine-privileges": without_privileges,
    "no-orphans": without_end_of_descendants,
}


def main() -> None:
    """Take the walls that are named out of the launcher, then be the launcher."""
    sys.path.append(PRODUCT)  # -I leaves it out; last, as the launcher itself has it
    for wall in sys.argv[1:]:
        WALLS[wall]()
    begin: Any = importlib.import_module("begin")
    begin.privileges.drop = lambda: None
    read = begin._read_records  # noqa: SLF001 - what the product's launcher is told, less what it would choose
    other: dict[bytes, list[bytes]] = {b"mechanism": [b"landlock"]}
    if {"no-orphans", "child-caps"} & {*sys.argv[1:]}:
        other[b"group"] = []
    begin._read_records = lambda: said | other if (said := read()) is not None else None  # noqa: SLF001
    begin.main()


if __name__ == "__main__":
    main()
