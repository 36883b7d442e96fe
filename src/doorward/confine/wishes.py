"""What a watched server wanted beyond its profile: from the calls that it made (``tracing``) to what might be given.

A file that exists outside and that it opened, ran or looked for; a folder in which it wanted to change something; an
address that it connected to by itself. What does not exist is no wish: programs look in many places. Of what it merely
looked at, a folder counts only where it went no deeper. Three files of one folder become that folder, unless many
programs keep their things in it. ``/proc``, ``/sys`` and ``/dev`` are never proposed, nor what leads through them (a
server's ``/proc/self/exe`` is another file when we resolve it), nor are the places where Python keeps what it compiled:
it does without.

What should rather not be given says so, and is left out of the flags: whole homes and shared folders, credentials of
the user's other programs, the system's own programs to be written, Doorward's own files. That list is of well-known
places and cannot be complete: a proposal is to be read by a person before anything of it is written down.

Of a server that is not watched, what it says itself that it missed is all there is (``wish_behind``). It may say
anything, so only what its walls really keep from it counts, and what leads through a place that it may write does not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from doorward.confine.paths import is_below, links_on_the_way

if TYPE_CHECKING:
    from doorward.confine.profile import SandboxProfile
    from doorward.confine.tracing import Seen

_NEVER: Final = ("/proc", "/sys", "/dev")
_OF_OTHER_HOSTS: Final = "/net"
"""Where an automounter asks the host of that name: not for a path that a server made up."""
_SHARED: Final = ("/", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr", "/var")  # noqa: S108 - named as too wide
_MANY_FILES: Final = 3
_CREDENTIALS: Final = {
    ".ssh": "keys of ssh",
    ".gnupg": "keys of GnuPG",
    ".aws": "credentials of AWS",
    ".azure": "credentials of Azure",
    ".config/gcloud": "credentials of Google Cloud",
    ".config/gh": "credentials of GitHub",
    ".kube": "credentials of Kubernetes",
    ".docker": "credentials of Docker",
    ".password-store": "passwords",
    ".local/share/keyrings": "passwords",
    ".mozilla": "a browser's sessions",
    ".config/google-chrome": "a browser's sessions",
    ".config/chromium": "a browser's sessions",
    ".netrc": "passwords",
    ".npmrc": "credentials of npm",
    ".pypirc": "credentials of PyPI",
    ".git-credentials": "passwords",
    ".pgpass": "passwords",
    ".vault-token": "credentials of Vault",
    ".terraform.d": "credentials of Terraform",
    ".cargo/credentials.toml": "credentials of Cargo",
    ".config/op": "credentials of 1Password",
    ".config/sops": "keys of sops",
    ".config/rclone": "credentials of rclone",
    ".local/share/kwalletd": "passwords",
    ".thunderbird": "mail and passwords",
    ".my.cnf": "passwords",
    **dict.fromkeys((".bash_history", ".zsh_history", ".python_history", ".psql_history"), "what was typed"),
}
_OF_THE_SYSTEM: Final = {
    "/etc/shadow": "passwords",
    "/etc/gshadow": "passwords",
    "/etc/sudoers": "rights of users",
    "/etc/ssh": "keys of this machine",
    "/etc/ssl/private": "keys of this machine",
    "/run/docker.sock": "a way to be root",
    "/var/run/docker.sock": "a way to be root",
}
_ENDINGS: Final = (".pem", ".key", ".p12", ".pfx", ".kdbx", ".jks", ".keystore", ".ppk", ".env")
_BEGINNINGS: Final = ("id_rsa", "id_dsa", "id_ed25519", "id_ecdsa", ".env", "client_secret")
_NAMES: Final = (
    "credentials",
    "credentials.json",
    *(f"secrets.{ending}" for ending in ("json", "toml", "yaml", "yml")),
)
_MADE_FOR_IT: Final = ("/etc/passwd", "/etc/group", "/etc/hosts")
"""In a namespace it has its own ones."""


_MOST: Final = 10_000
"""Of each kind: a server may think of as many as it likes, and nobody reads them."""


class Wish(msgspec.Struct, frozen=True, order=True):
    """``what`` is a path, or HOST:PORT where ``access`` is ``connect``; else that is ``read`` or ``write``.
    ``rather_not`` says why it should not be given, and ``files`` are those that led to a folder.
    """

    access: str
    what: str
    rather_not: str = ""
    files: tuple[str, ...] = ()


class Lessons:
    """What was seen of one run. ``temp`` is the server's own temporary folder, ``own`` are folders of Doorward's."""

    def __init__(self, profile: SandboxProfile, temp: str, *, own: Iterable[str] = ()) -> None:
        self._home = profile.home
        self._own = tuple(map(os.path.realpath, own))
        self._written = (*profile.writable(), temp)
        self._read = (*profile.readable(), *self._written)
        self._opened: set[str] = set()
        self._looked: set[str] = set()
        self._changed: set[str] = set()
        self._connects: dict[str, None] = {}

    def take(self, seen: Seen) -> None:
        """Take in one call."""
        if seen.does != "connect":
            self.missed(seen.does, seen.what)
        elif not _is_own_address(seen.what):
            self.refused(seen.what)

    def missed(self, does: str, path: str) -> None:
        """Take in that it wanted to ``look`` at a path, to ``read``, ``run`` or ``write`` it."""
        links = links_on_the_way(path)
        path = os.path.realpath(path)
        if any(_is_below_any(place, _NEVER) for place in (*links, path)) or "__pycache__" in path.split("/"):
            return
        if does == "write":
            if not _is_below_any(path, self._written):
                _add(path, self._changed)
        elif not _is_below_any(path, self._read) and os.path.lexists(path):
            _add(path, self._looked if does == "look" else self._opened)

    def refused(self, target: str) -> None:
        """Take in that HOST:PORT was refused to it on its way out."""
        if len(self._connects) < _MOST:
            self._connects[target] = None

    def wishes(self) -> tuple[Wish, ...]:
        """What it wanted, what may be written first, each only once."""
        write = {self._folder_of(path) for path in self._changed}
        deeper = {os.path.dirname(path) for path in (*self._opened, *self._looked, *self._changed, *self._read)}
        ancestors = {above for path in deeper for above in (path, *_above(path))}
        looked = {path for path in self._looked if path not in ancestors or not os.path.isdir(path)}
        read = {path for path in self._opened | looked if path not in ancestors or path in self._opened}
        found = [Wish("write", folder, self._why_not(folder) or _of_the_system(folder)) for folder in write]
        given = tuple(wish.what for wish in found if not wish.rather_not)
        found += self._grouped(path for path in read if not _is_below_any(path, given))
        folders = tuple(wish.what for wish in found if not wish.rather_not)
        found = [wish for wish in found if not any(is_below(wish.what, one) for one in folders if one != wish.what)]
        return (
            *sorted(found, key=lambda wish: (wish.access != "write", wish)),
            *(Wish("connect", to) for to in self._connects),
        )

    def _grouped(self, paths: Iterable[str]) -> list[Wish]:
        by_folder: dict[str, list[str]] = {}
        for path in sorted(paths):
            by_folder.setdefault(os.path.dirname(path), []).append(path)
        found = []
        for folder, files in by_folder.items():
            innocent = [path for path in files if not self._why_not(path)]
            if len(innocent) >= _MANY_FILES and not self._why_not(folder):
                found.append(Wish("read", folder, files=tuple(map(os.path.basename, innocent))))
                innocent = []
            found += [Wish("read", path) for path in innocent]
            found += [Wish("read", path, why) for path in files if (why := self._why_not(path))]
        return found

    def _folder_of(self, path: str) -> str:
        """What would have to be given, so that this could be changed: a file that is there, or the nearest folder."""
        while not os.path.exists(path):
            path = os.path.dirname(path)
        return path

    def _why_not(self, path: str) -> str:
        if os.path.isdir(path) and (path in _SHARED or (self._home and is_below(self._home, path))):
            return "many programs keep their things there"
        if any(is_below(path, own) or is_below(own, path) for own in self._own):
            return "doorward's own"
        for place, why in (
            *((os.path.join(self._home, place), why) for place, why in _CREDENTIALS.items() if self._home),
            *_OF_THE_SYSTEM.items(),
        ):
            if is_below(path, place):
                return why
        name = os.path.basename(path).lower()
        is_secret = name in _NAMES or name.startswith(_BEGINNINGS) or name.endswith(_ENDINGS)
        return "its name says that it is a secret" if is_secret else ""


def wish_behind(path: str, how: str, profile: SandboxProfile, own: Iterable[str] = ()) -> Wish | None:
    """What would have to be given to a server that says it missed ``path``; None where its walls are not the reason.

    ``how`` is what the kernel answered it: ``missing``, ``denied`` or ``read-only``. ``own`` are folders of Doorward's.
    """
    path = os.path.normpath(f"/{path.lstrip('/')}")
    written = profile.writable()
    if path.startswith(os.path.join(profile.temp, "doorward-")) or _is_below_any(
        path, (*written, *_MADE_FOR_IT, _OF_OTHER_HOSTS)
    ):
        return None
    if any(_is_below_any(link, (*written, *_NEVER)) for link in links_on_the_way(path)):
        return None  # it would lead where the server likes, or to what we are and not what it is
    real = os.path.realpath(path)
    is_there, is_shown = os.path.lexists(real), _is_below_any(real, profile.readable())
    writes = how == "read-only" or (how == "denied" and (is_shown or not is_there))
    lessons = Lessons(profile, profile.cache, own=own)
    lessons.missed("write" if writes else "read", real)
    for wish in lessons.wishes():
        if os.access(wish.what, os.W_OK if writes else os.R_OK) and (wish.rather_not or _can_be_given(wish.what)):
            return wish
    return None


def _can_be_given(path: str) -> bool:
    mode = os.stat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _of_the_system(path: str) -> str:
    return "the system's own" if _is_below_any(path, ("/usr", "/bin", "/sbin", "/lib", "/etc", "/boot")) else ""


def _add(path: str, known: set[str]) -> None:
    if len(known) < _MOST:
        known.add(path)


def _is_own_address(target: str) -> bool:
    """Loopback, where the server talks to itself and to our proxy, and the resolver's port, which no wish is."""
    host, _, port = target.rpartition(":")
    return port in ("53", "0") or host.startswith("127.") or host == "[::1]"


def _above(path: str) -> Iterable[str]:
    while path != "/" and path:
        path = os.path.dirname(path)
        yield path


def _is_below_any(path: str, folders: Iterable[str]) -> bool:
    return any(is_below(path, folder) for folder in folders)
