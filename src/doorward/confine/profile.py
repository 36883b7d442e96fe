"""What one server may touch: derived from its command line, shown to people, enforced by ``process`` and ``launch``.

Architecture §7, rows *child: files* and *child: environment*. *Folders* are what the operator gave the server: every
argument (or its part after ``=``) that names an existing directory, to read and write; an existing file, to read, and
its folder too where the argument follows an option; and what ``--read`` and ``--write`` name. Everything else here is
what a program needs in order to start at all.

Decisions, each with its reason:

- */opt is not a system folder.* Add-on software keeps configuration and data there; the server's own installation is
  found wherever it lies.
- */etc/ssl/private is left out* although ``/etc/ssl`` is named: root could read keys there. Landlock cannot subtract,
  so the other entries are granted one by one. Fedora's places for the same things count as ``ssl``.
- */etc/mime.types* is granted: Python's standard library raises where it exists and cannot be read. ``ld.so.conf`` and
  ``/etc/alternatives`` are not: only ``ldconfig`` reads the first, and following a link needs no right.
- *Of /proc, the server's own entry and a few files about the machine.* The kernel denies the ``environ``, ``fd`` and
  ``root`` of processes outside anyway, but not their ``cmdline``, where other servers' keys often stand, nor, to root,
  ``kcore``. The price: processes that the server starts cannot open their own ``/proc/self`` (``readlink`` works).
- *Of /sys, the processors and the page size*, for thread pools and allocators; control groups would show what else
  runs.
- *HOME stays set and unreadable.* Programs that look there find that they may not; in a namespace it is empty.
  Only git takes that for the end of the world, so it is told not to look (unless ``--read`` gives it its settings).
- *What the server may write does not widen its walls.* A link, a path file or a ``node_modules`` that it left in its
  folder would give it, at its next start, whatever it points to. So a file or folder reached through a link that lies
  in a folder to be written, and leads out of it, is refused when the operator named it, and left out when it was found.
  A relative argument that a link in the working directory leads elsewhere is refused too: a cloned repository can hold
  a link named like any argument. Code among the arguments is no exception. What was fetched (it lies in ``state``) is
  nobody's word either.
- *What a repository holds does not widen them either* (``hearsay``): a link, a ``.venv``, a path file in it leads to
  nothing outside of it but the parts that an interpreter starts with. What is left out so is said.
- *No server writes where Doorward itself lies*: its package, its virtual environment, its interpreter. A project whose
  ``.venv`` has Doorward in it is no folder to write in: the server would write what runs outside of walls next time.
- *A file after an option brings its folder, unless that is /etc or the like* (directly below ``/``) *or a hidden folder
  of the home*: what lies there belongs to many programs, so the file alone is given.
- *PATH reaches the server without its relative parts*, so that what it starts by name cannot come from where it stands.
- *npm and uv keep what they fetch in the server's own cache*, uv its tools as well: it makes that folder before use.

Does not protect what lies inside the folders. Files are granted as they are found now: one that is replaced later
(``resolv.conf`` by a network manager) is lost to a running server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from doorward.confine import accounts
from doorward.confine import network as networks
from doorward.confine.environment import Profile, ancestor_environment, select_environment
from doorward.confine.hearsay import leads_out, outermost, sift
from doorward.confine.installation import find_installation, is_shared
from doorward.confine.paths import is_below, links_on_the_way
from doorward.errors import ConfinementError

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_ETC = (
    *("ca-certificates", "ca-certificates.conf", "ld.so.cache", "resolv.conf", "hosts", "nsswitch.conf", "localtime"),
    *("pki/ca-trust/extracted", "pki/tls/certs", "pki/tls/openssl.cnf", "crypto-policies", "mime.types"),
    *("locale.alias", *(f"python3.{minor}/sitecustomize.py" for minor in range(9, 20))),  # which Debian's start reads
)
_PROC = ("cpuinfo", "meminfo", "stat", "uptime", "loadavg", "version", "filesystems", "sys/vm/overcommit_memory")
_SYS = ("devices/system/cpu", "kernel/mm/transparent_hugepage")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_HOMES = ("/home", "/Users")
_OWN_FOLDERS = {"npm_config_cache": "npm", "UV_CACHE_DIR": "uv", "UV_TOOL_DIR": "uv-tools"}
_LONGEST_SERVER_NAME = 120
_TEMP = "/tmp"  # noqa: S108 - only where a fresh private folder is made

_HINT = "name a narrower folder there, or give one with --read FOLDER or --write FOLDER"
_HINT_OF_PROGRAM = "name a narrower folder, give it with --read, or install doorward outside of it (pipx, uv tool)"


Mechanism = Literal["auto", "namespaces", "landlock"]


class Folder(msgspec.Struct, frozen=True, gc=False):
    """Something that the operator gave the server: a resolved path, whether to write there, and what named it.

    ``is_file`` where it is a single file, which a relative path cannot be joined to. ``origin`` is ``argument``,
    ``--read`` or ``--write``.
    """

    path: str
    write: bool
    origin: str
    is_file: bool = False


class SandboxProfile(msgspec.Struct, frozen=True):
    """Everything that decides what a server's process may touch. All paths are absolute and resolved.

    ``program`` is the file to execute (links kept) for the command line; ``read`` and ``write`` are the system, the
    devices and the installation; ``folders`` the operator's, directories first, in the order they were named;
    ``env`` what the server gets and ``withheld`` the names it does not; ``cwd`` where it starts; ``temp`` the
    folder in which ``process.start`` makes a fresh one for it; ``cache`` its own lasting one, for package managers.
    ``links`` are the symbolic links by which its paths are also known, each with its target, and ``home`` the
    user's: where the server has a root folder of its own the links are there again, and the home is there and
    empty; ``account`` is the name that it then has for itself, and ``user`` and ``group`` who it is: we, but that
    of what root starts it is the first other owner of a folder that it may write. ``left_out`` are things that
    belong to the program by the word of a project only (the link or file, and what it names). ``mechanism`` is by what
    it is confined: ``auto`` is namespaces where the machine allows them, else Landlock alone. Where it may connect to
    (``network``): ``network`` is public addresses or none, of the former only ``hosts`` if there are any (``*.``
    before a domain: all below it); ``connect`` are targets beside that. The numbers at the end are what it may use
    up (``caps``, ``cgroups``); 0 leaves that as it is for Doorward.
    """

    program: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    folders: tuple[Folder, ...]
    env: tuple[tuple[str, str], ...]
    withheld: tuple[str, ...]
    cwd: str
    temp: str
    cache: str
    links: tuple[tuple[str, str], ...] = ()
    home: str = ""
    account: str = "user"
    user: int = -1
    group: int = -1
    left_out: tuple[tuple[str, str], ...] = ()
    mechanism: Mechanism = "auto"
    network: networks.Network = "none"
    connect: tuple[networks.Target, ...] = ()
    hosts: tuple[str, ...] = ()
    memory_bytes: int = 0
    file_bytes: int = 0
    descriptors: int = 0
    processes: int = 0
    processor_percent: int = 0

    def readable(self) -> tuple[str, ...]:
        """All that may be read and not written."""
        return (*self.read, *(folder.path for folder in self.folders if not folder.write))

    def writable(self) -> tuple[str, ...]:
        """All that may be written, the fresh temporary folder not yet among it."""
        return (*self.write, self.cache, *(folder.path for folder in self.folders if folder.write))


def derive(  # noqa: PLR0913 - each is one fact about the world that the answer depends on
    argv: Sequence[str],
    *,
    environ: Mapping[str, str],
    cwd: str,
    home: str,
    state: str,
    config: str,
    server: str,
    read: Iterable[str] = (),
    write: Iterable[str] = (),
    grants: Iterable[str] = (),
    network: networks.Network | None = None,
    connect: Iterable[networks.Target] = (),
    hosts: Iterable[str] = (),
    profile: Profile = "standard",
    parent_pid: int | None = None,
    also_own: Iterable[str] = (),
    words: int | None = None,
) -> SandboxProfile:
    """Look at a command line and say what its server may touch. Changes nothing on disk.

    ``state`` and ``config`` are Doorward's folders (they need not exist yet), ``server`` its name for the server,
    ``grants`` the names of ``--env``, ``network`` what was said of it (None: nothing, so as the profile has it), with
    ``connect`` and ``hosts``, ``parent_pid`` where the search for whoever launched us begins (our parent),
    ``also_own`` more folders to be kept from servers as those two are. Only the first ``words`` of ``argv`` (None: all)
    say what belongs to the program; the rest is somebody else's, and gives it nothing.

    Raises ConfinementError when the program cannot be found; when a folder is ``/``, a home or an ancestor of one, or
    contains or lies inside ``state`` or ``config``; when ``--read`` or ``--write`` names nothing; when a link that the
    server or a repository could have placed leads to a folder; when ``state`` lies in a system folder, where no wall
    could hide it; when a target is none.
    """
    read, write = tuple(read), tuple(write)
    guard = _Guard(home, state, config, also_own)
    passed, withheld = select_environment(
        environ, inherited=ancestor_environment(parent_pid), grants=grants, profile=profile
    )
    if "PATH" in passed:
        passed["PATH"] = ":".join(filter(os.path.isabs, passed["PATH"].split(":")))
    installation = find_installation(argv[:words], environ=passed, cwd=cwd, home=home, too_wide=guard.is_too_wide)
    folders = _Folders(guard, cwd)
    if profile == "standard":
        folders.add_arguments(argv[:words], installation.code)
    for path in read:
        folders.add_named(path, "--read")
    for path in write:
        folders.add_named(path, "--write")
    for path in installation.named:
        folders.add_code(path)
    folders.check_links()
    written = tuple(folder.path for folder in folders.in_order() if folder.write)
    system = _system_paths()
    guard.check_system(system)
    found, left_out = sift(
        installation.read, written, os.path.realpath(state), guard.is_too_wide, (*system, *folders.paths())
    )
    cache = os.path.join(os.path.realpath(state), "cache", _file_name(server))
    passed |= {name: os.path.join(cache, folder) for name, folder in _OWN_FOLDERS.items()}
    passed |= _without_hidden_git_settings(passed, home, folders.paths())
    temp = environ.get("TMPDIR", "")
    user, group = accounts.owner(written)
    return SandboxProfile(
        program=installation.program,
        read=outermost((*system, *found)),
        left_out=left_out,
        write=tuple(f"/dev/{name}" for name in _DEVICES),
        folders=folders.in_order(),
        env=tuple(passed.items()),
        withheld=withheld,
        cwd=cwd,
        temp=os.path.realpath(temp if os.path.isabs(temp) and os.path.isdir(temp) else _TEMP),
        cache=cache,
        links=_links(
            os.path.join(cwd, path)
            for path in (
                *_SYSTEM,
                *(f"/etc/{name}" for name in _ETC),
                *(one.named_by for one in installation.read),
                *installation.programs,
                cwd,
                *passed.get("PATH", "").split(":"),
                *argv[1:words],
                *(argument.partition("=")[2] for argument in argv[1:words]),
                *read,
                *write,
            )
        ),
        home=os.path.realpath(home),
        account=accounts.name(user),
        user=user,
        group=group,
        network=network or networks.default(profile),
        connect=networks.targets(connect, network or networks.default(profile)),
        hosts=tuple(hosts),
    )


class _Guard:
    """Knows which folders are never given, and why."""

    def __init__(self, home: str, state: str, config: str, also_own: Iterable[str]) -> None:
        account = accounts.home() or home
        self._homes = {os.path.realpath(path) for path in (home, account, "/root") if os.path.isabs(path)}
        self._own = {
            "the state directory": os.path.realpath(state),
            "the configuration directory": os.path.realpath(config),
            **{path: os.path.realpath(path) for path in also_own},
        }
        package = os.path.dirname(os.path.dirname(__file__))
        environment = (sys.prefix,) if sys.prefix != sys.base_prefix else ()
        self._program = [os.path.realpath(path) for path in (package, *environment, sys.executable) if path]

    def is_too_wide(self, path: str) -> bool:
        """For what nobody named: ``~/.local`` too, which holds an installation and much else."""
        return self._problem(path) != "" or any(path == os.path.join(home, ".local") for home in self._homes)

    def holds_others(self, path: str) -> bool:
        """For the folder beside a file: one that many programs keep their things in."""
        above = os.path.dirname(path)
        is_hidden = above in self._homes and os.path.basename(path).startswith(".")
        return is_hidden or above == "/" or self.is_too_wide(path) or is_shared(path)

    def check(self, path: str, named: str, *, write: bool) -> None:
        """Raises ConfinementError when this resolved path must not be given to a server."""
        if problem := self._problem(path):
            raise ConfinementError(f"{named} would give the server {problem}", hint=_HINT)
        own = next((own for own in self._program if is_below(own, path) or is_below(path, own)), "") if write else ""
        if own:
            raise ConfinementError(
                f"{named} would let the server write doorward's own program ({own})", hint=_HINT_OF_PROGRAM
            )

    def check_system(self, paths: Iterable[str]) -> None:
        for name, own in self._own.items():
            for path in paths:
                if is_below(own, path):
                    raise ConfinementError(
                        f"{name} lies in {path}, which every server can read", hint="move it with --state or -c"
                    )

    def _problem(self, path: str) -> str:
        if path == "/":
            return "the whole file system"
        if any(is_below(home, path) for home in self._homes) or os.path.dirname(path) in _HOMES or path in _HOMES:
            return f"a whole home directory ({path})"
        for name, own in self._own.items():
            if is_below(own, path) or is_below(path, own):
                return f"doorward's own files ({path} and {name} lie in each other)"
        return ""


class _Folders:
    """Collects what the operator gave, one entry for each path; writing wins over reading."""

    def __init__(self, guard: _Guard, cwd: str) -> None:
        self._guard = guard
        self._cwd = cwd
        self._found: dict[str, Folder] = {}
        self._named: list[tuple[str, str, str]] = []

    def add_arguments(self, argv: Sequence[str], code: frozenset[int]) -> None:
        for index, argument in enumerate(argv):
            if index not in code:
                after_option = index > 0 and argv[index - 1].startswith("-") and argv[index - 1] != "--"
                self._add_argument(argument, after_option=after_option)

    def add_named(self, path: str, option: str) -> None:
        real = self._resolve(path)
        if not os.path.exists(real):
            raise ConfinementError(f"{option} {path} does not exist", hint="create it first, or correct the path")
        self._guard.check(real, f"{option} {path}", write=option == "--write")
        self._named.append((f"{option} {path}", path, real))
        self._add(Folder(real, option == "--write", option, is_file=not os.path.isdir(real)))

    def add_code(self, path: str) -> None:
        """What is part of the program is given as such; here only how it was named is kept."""
        self._named.append((f"the argument {path}", path, self._resolve(path)))

    def check_links(self) -> None:
        """Raises ConfinementError when a link that is not the operator's own decided where a name leads."""
        written = [folder.path for folder in self._found.values() if folder.write]
        for said, path, real in self._named:
            untrusted = written if os.path.isabs(path) else [*written, os.path.realpath(self._cwd)]
            # A folder is no link that leads out of itself: where the name arrived does not judge how it got there.
            places = [place for place in untrusted if place != real]
            if link := leads_out(os.path.join(self._cwd, path), real, places):
                raise ConfinementError(
                    f"{said} leads through the link {link}, which somebody else could have placed, to {real}",
                    hint="write the path to which it leads, if that is meant",
                )

    def in_order(self) -> tuple[Folder, ...]:
        return tuple(sorted(self._found.values(), key=lambda folder: folder.is_file))

    def paths(self) -> tuple[str, ...]:
        return tuple(folder.path for folder in self.in_order())

    def _add_argument(self, argument: str, *, after_option: bool) -> None:
        name, equals, value = argument.partition("=")
        path = argument
        if equals and not os.path.exists(self._resolve(argument)):
            path, after_option = value, name.startswith("-") or after_option
        if not path:
            return
        real = self._resolve(path)
        if os.path.isdir(real):
            self._guard.check(real, f"the argument {argument}", write=True)
            self._named.append((f"the argument {argument}", path, real))
            self._add(Folder(real, True, "argument"))
        elif os.path.isfile(real):
            self._guard.check(real, f"the argument {argument}", write=False)
            self._named.append((f"the argument {argument}", path, real))
            self._add(Folder(real, False, "argument", is_file=True))
            # Nobody named the folder itself: where it is too wide the file alone is given, without complaint.
            folder = os.path.dirname(real)
            if after_option and not self._guard.holds_others(folder):
                self._add(Folder(folder, False, "argument"))

    def _resolve(self, path: str) -> str:
        if "\0" in path:
            raise ConfinementError("a command line or an option contains a NUL")
        return os.path.realpath(os.path.join(self._cwd, path))

    def _add(self, folder: Folder) -> None:
        known = self._found.get(folder.path)
        if known is None or (folder.write and not known.write):
            self._found[folder.path] = folder


def _system_paths() -> tuple[str, ...]:
    paths = [path for path in _SYSTEM if os.path.isdir(path)]
    paths += [f"/etc/{name}" for name in _ETC]
    paths += [f"/proc/{name}" for name in _PROC]
    paths += [f"/sys/{name}" for name in _SYS]
    if os.path.isdir("/etc/ssl"):
        paths += [
            f"/etc/ssl/{name}" for name in _names("/etc/ssl", otherwise=("certs", "openssl.cnf")) if name != "private"
        ]
    return tuple(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.exists(path)))


def _links(paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The links that the kernel follows along these paths, as far as there are any, each with its target."""
    found = (link for path in dict.fromkeys(paths) if os.path.exists(path) for link in links_on_the_way(path))
    return tuple((link, os.readlink(link)) for link in dict.fromkeys(found))


def _names(folder: str, *, otherwise: tuple[str, ...]) -> Iterable[str]:
    """What is in a folder; ``otherwise`` where it may not be listed, as inside walls like these."""
    try:
        return os.listdir(folder)
    except OSError:
        return otherwise


def _without_hidden_git_settings(environ: Mapping[str, str], home: str, given: Iterable[str]) -> dict[str, str]:
    """Tell git not to look for settings that it would find and could not read: it ends itself over that."""
    told: dict[str, str] = {}
    settings = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    for name, value, files in (
        ("GIT_CONFIG_GLOBAL", os.devnull, (os.path.join(home, ".gitconfig"), os.path.join(settings, "git/config"))),
        ("GIT_CONFIG_NOSYSTEM", "1", ("/etc/gitconfig",)),
    ):
        found = [os.path.realpath(path) for path in files if os.path.exists(path)]
        hidden = [path for path in found if not any(is_below(path, folder) for folder in given)]
        if hidden and name not in environ:
            told[name] = value
    return told


def _file_name(server: str) -> str:
    """One path component for a server's name, different for different names."""
    safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    name = "".join(c if c in safe else "".join(f"%{byte:02X}" for byte in os.fsencode(c)) for c in server)
    if not name or len(name) > _LONGEST_SERVER_NAME:
        raise ConfinementError(f"the name of a server has 1 to {_LONGEST_SERVER_NAME} characters, this one {len(name)}")
    return name
