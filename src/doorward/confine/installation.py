"""What belongs to the program that a command line starts: its interpreter, its script, its package.

A server must read itself, and an MCP server is seldom one file: ``python`` in a virtual environment is a link into an
installation below somebody's home, ``npx`` is a script for an interpreter found on PATH, a node package finds its
dependencies hoisted several folders up. This module follows those threads by looking, never by running anything.

What it finds is only ever read. A folder that would show too much (a home, shared temporary space, an ancestor of
Doorward's own state) is never taken as part of an installation: then only the file is, and the narrow parts of a
prefix.

Much of this is hearsay: a path file, a link named ``node_modules``. A server that may write there could widen its own
walls for the next start, so each path comes with what named it (`Found.named_by`), and ``hearsay`` judges that. A
``node_modules`` is one only if it is called so where it really lies; a path file counts only for a folder that looks
like a project; a module is never looked for through a link in the working directory; an interpreter that the first line
of a script names by its path is the script's word, unless it lies beside it.

Not found, and then named by the operator with ``--read``: libraries that a package manager keeps outside the prefix,
editable installs through an import hook instead of a path, programs outside of the system's folders which the server
starts itself.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from doorward.errors import ConfinementError

_INTERPRETERS = frozenset(
    {
        *("python", "pypy", "node", "bun", "deno", "ruby", "perl", "php", "lua", "java", "tsx", "ts-node"),
        *("sh", "bash", "dash"),
    }
)
# They fetch or pick the program themselves; an existing file among their arguments is code only if it looks so.
_LAUNCHERS = frozenset({"npx", "npm", "pnpm", "pnpx", "yarn", "bunx", "uv", "uvx", "pipx", "poetry", "hatch"})
_CODE_SUFFIXES = (".py", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".jsx", ".rb", ".sh", ".pl", ".wasm")
_OPTIONS_WITH_VALUE = {
    "python": frozenset({"-W", "-X", "--check-hash-based-pycs"}),
    "node": frozenset(
        {"-r", "--require", "--import", "--loader", "--experimental-loader", "--env-file", "-C", "--conditions"}
    ),
    "java": frozenset({"-cp", "-classpath", "--class-path", "-p", "--module-path"}),
}
_INLINE_CODE = frozenset({"-c", "-e", "-p", "--eval", "--print"})

_PREFIX_MARKS = ("pyvenv.cfg", "conda-meta", "lib/node_modules", "include/node")
_PREFIX_PARTS = ("lib/python3.*", "lib64/python3.*", "lib/node_modules")
_SYSTEM = "/usr/"  # everybody's, and on some machines thousands of libraries
_PREFIX_FILES = ("pyvenv.cfg", "lib/lib*.so*", "ssl/cert.pem", "ssl/openssl.cnf")
_SHIM_MARKS = ("libexec", "versions", "installs")
PACKAGE_MARKS = ("package.json", "pyproject.toml")
PROJECT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg")
_CODE_PATHS = ("PYTHONPATH", "NODE_PATH", "LD_LIBRARY_PATH")

_LINKS_IN_A_ROW = 40
_SHEBANGS_IN_A_ROW = 4
_SHEBANG_BYTES = 512
_STICKY_AND_OPEN = stat.S_ISVTX | stat.S_IWOTH
_VERSION = re.compile(r"[0-9.]+\Z")


class Found(msgspec.Struct, frozen=True, gc=False):
    """``path`` is resolved. ``named_by`` is the path as it was found, or the file in which it stood (``told``);
    ``through`` is what led to where that was looked for: a program that is a link, settings of an environment.
    ``narrow``: an interpreter, or what it cannot start without.
    """

    path: str
    named_by: str
    told: bool = False
    through: tuple[str, ...] = ()
    narrow: bool = False


class Installation(msgspec.Struct, frozen=True):
    """``program`` is what to execute; ``read`` what it consists of; ``code`` the arguments that name parts of it, of
    which ``named`` are the paths; ``programs`` are the paths by which it and its interpreters are executed, links kept.
    """

    program: str
    read: tuple[Found, ...]
    code: frozenset[int]
    named: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def resolve_executable(name: str, path: str, *, cwd: str = "") -> str:
    """The file that ``name`` starts: itself (from ``cwd``) if it has a slash, else the first match on ``path``.

    Links are kept: an interpreter recognises its virtual environment by the name it was called by. Relative entries of
    ``path`` are skipped, an empty one too: what lies in the working directory never stands in for a program. Raises
    ConfinementError when there is no such file, or it may not be executed.
    """
    if "/" in name:
        candidate = os.path.join(cwd or os.getcwd(), name)
        if _is_program(candidate):
            return candidate
        problem = "is not executable" if os.path.exists(candidate) else "does not exist"
        raise ConfinementError(f"the command {name} {problem}", hint="check the command after --")
    for folder in path.split(":"):
        candidate = os.path.join(folder, name)
        if name and os.path.isabs(folder) and _is_program(candidate):
            return candidate
    raise ConfinementError(
        f"the command {name or '(empty)'} is not on PATH",
        hint="write its full path after --, or set PATH where the client starts doorward",
    )


def find_installation(
    argv: Sequence[str], *, environ: Mapping[str, str], cwd: str, home: str, too_wide: Callable[[str], bool]
) -> Installation:
    """Follow a command line to everything that its program consists of.

    ``too_wide`` says of a resolved folder that it must not be granted whole. Raises ConfinementError when the program
    cannot be found.
    """
    search = environ.get("PATH", os.defpath)
    program = resolve_executable(argv[0] if argv else "", search, cwd=cwd)
    reader = _Reader(search, cwd, too_wide)
    reader.add_program(program)
    code = {0}
    first = _skip_env(argv)
    if first > 0 and first < len(argv):
        code.add(first)
        reader.add_program(resolve_executable(argv[first], search, cwd=cwd))
    if first < len(argv):
        code |= reader.add_code(argv, first)
        if _family(argv[first]) in ("uv", "uvx"):
            reader.add_uv(environ, home)
    for name in _CODE_PATHS:
        for entry in filter(os.path.isabs, environ.get(name, "").split(":")):
            reader.add_folder(entry)
    return Installation(program, tuple(reader.found), frozenset(code), tuple(reader.named), tuple(reader.programs))


class _Reader:
    """Collects the paths. A dict, since the order in which things were found explains them best."""

    def __init__(self, search: str, cwd: str, too_wide: Callable[[str], bool]) -> None:
        self.found: dict[Found, None] = {}
        self.named: list[str] = []
        self.programs: list[str] = []
        self._bases: set[str] = set()
        self._search = search
        self._cwd = cwd
        self._too_wide = too_wide

    def add_folder(self, path: str, told_by: str = "", through: tuple[str, ...] = (), *, narrow: bool = False) -> bool:
        real = os.path.realpath(path)
        if not os.path.isdir(real) or self._too_wide(real) or is_shared(real):
            return False
        self.found[Found(real, told_by or path, bool(told_by), through, narrow)] = None
        return True

    def add_file(self, path: str, told_by: str = "", through: tuple[str, ...] = (), *, narrow: bool = False) -> None:
        # Untold, it is what the command line itself names, or lies beside that.
        real = os.path.realpath(path)
        if os.path.isfile(real):
            self.found[Found(real, told_by or real, bool(told_by), through, narrow)] = None

    def add_program(self, path: str, shebangs: int = 0, told_by: str = "") -> None:
        """The file, the prefixes that it and the links to it lie in, and the interpreter that its first line names."""
        self.programs.append(path)
        self.add_file(path, told_by, narrow=True)
        folders = () if os.path.islink(path) else (os.path.dirname(path),)  # where a link is, if not the program itself
        for step in _link_steps(path):
            if step == path:
                self._add_prefix(os.path.dirname(step), told_by)
            else:
                self._add_prefix(os.path.dirname(step), told_by, (path,), folders)
        line = shebang(path)
        if line is None or shebangs >= _SHEBANGS_IN_A_ROW:
            return
        self._add_script(os.path.realpath(path), told_by, (path,))
        interpreter = line[0]
        if os.path.basename(interpreter) == "env":
            names = [word for word in line[1:] if not word.startswith("-") and "=" not in word]
            interpreter = names[0] if names else ""
        if "/" in interpreter and os.path.dirname(interpreter) != os.path.dirname(path):
            told_by = path  # what PATH finds is the operator's; in a virtual environment it lies beside
        interpreter = self._on_path(interpreter)
        if interpreter:
            self.add_program(interpreter, shebangs + 1, told_by)

    def add_code(self, argv: Sequence[str], first: int) -> set[int]:
        """The script, module or package among the arguments of an interpreter; returns where it stands."""
        family = _family(argv[first])
        if family in _LAUNCHERS:
            return self._add_launched_code(argv, first + 1)
        if family in _INTERPRETERS:
            return self._add_interpreted_code(argv, first + 1, family)
        return set()

    def _add_launched_code(self, argv: Sequence[str], start: int) -> set[int]:
        for index in range(start, len(argv)):
            path = os.path.join(self._cwd, argv[index])
            if argv[index].endswith(_CODE_SUFFIXES) and os.path.isfile(path):
                self.named.append(argv[index])
                self._add_script(os.path.realpath(path))
                return {index}
        return set()

    def _add_interpreted_code(self, argv: Sequence[str], start: int, family: str) -> set[int]:
        with_value = _OPTIONS_WITH_VALUE.get(family, frozenset())
        code: set[int] = set()
        is_value = False
        for index in range(start, len(argv)):
            argument = argv[index]
            if is_value:
                is_value = False
                if self._add_argument(argument):
                    code.add(index)  # code as well: a preload, a loader, a class path
            elif argument in with_value:
                is_value = True
            elif argument in _INLINE_CODE:
                break
            elif argument == "-m" and family in ("python", "pypy"):
                self._add_module("".join(argv[index + 1 : index + 2]))
                code.add(index + 1)  # a name, and not the folder of that name which may lie here
                break
            elif not argument.startswith("-") and self._add_argument(argument):
                code.add(index)
                break
        return code

    def add_uv(self, environ: Mapping[str, str], home: str) -> None:
        """Where uv keeps the interpreters it installed, and the ones that it may pick on PATH."""
        data = os.path.join(environ.get("XDG_DATA_HOME") or os.path.join(home, ".local/share"), "uv")
        self.add_folder(environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "python"))
        for name in ("python3", "python"):
            if found := self._on_path(name):
                self.add_program(found)

    def _add_argument(self, argument: str) -> bool:
        path = os.path.realpath(os.path.join(self._cwd, argument))
        if os.path.isdir(path):
            self.named.append(argument)
            self._add_package(path)
            return self.add_folder(path)
        if os.path.isfile(path):
            self.named.append(argument)
            self._add_script(path)
            return True
        return False

    def _add_script(self, path: str, told_by: str = "", through: tuple[str, ...] = ()) -> None:
        self.add_file(path, told_by)
        folder = os.path.dirname(path)
        if not _holds_programs(folder):
            self.add_folder(folder, told_by, through)
        self._add_package(folder, told_by, through)

    def _add_package(self, folder: str, told_by: str = "", through: tuple[str, ...] = ()) -> None:
        """The nearest package's root, and every ``node_modules`` on the way up, which is where node looks."""
        nearest = False
        for place in upwards(folder):
            if os.path.basename(place) == "node_modules":
                self.add_folder(place, told_by, through)
            modules = os.path.join(place, "node_modules")
            if os.path.basename(os.path.realpath(modules)) == "node_modules":
                self.add_folder(modules, told_by, through)
            marks = [mark for mark in PACKAGE_MARKS if os.path.isfile(os.path.join(place, mark))]
            if marks and not nearest:
                nearest = True
                if not self.add_folder(place, told_by, through):
                    for mark in marks:
                        self.add_file(os.path.join(place, mark), told_by)

    def _add_module(self, name: str) -> None:
        head = name.partition(".")[0]
        for place in (os.path.join(self._cwd, head), os.path.join(self._cwd, f"{head}.py")) if head else ():
            if os.path.islink(place):
                continue
            if not self.add_folder(place):
                self.add_file(place)

    def _add_prefix(
        self, folder: str, told_by: str = "", through: tuple[str, ...] = (), led: tuple[str, ...] = ()
    ) -> None:
        """``led`` is the way to the folder where links on it, and not one to a program, decided where that is."""
        prefix = os.path.dirname(os.path.realpath(folder))
        led = led if os.path.realpath(folder) == folder else (*led, folder)
        if os.path.basename(folder) == "shims" and has_any(prefix, _SHIM_MARKS):
            # pyenv, rbenv, asdf, mise: the shim looks the real program up below
            self.add_folder(prefix, told_by, (*through, *led))
            return
        if os.path.basename(folder) != "bin":
            return
        pythons = [library for part in _PREFIX_PARTS[:2] for library in glob.glob(os.path.join(prefix, part))]
        if not pythons and not has_any(prefix, _PREFIX_MARKS):
            return
        is_whole = self.add_folder(prefix, told_by, (*through, *led)) and not (told_by or through or led)
        if not is_whole and not (prefix + "/").startswith(_SYSTEM):
            # An interpreter that somebody else named starts with these, and they show nothing else that lies there.
            for library in (place for part in _PREFIX_PARTS for place in glob.glob(os.path.join(prefix, part))):
                self.add_folder(library, told_by, led, narrow=not led)
            for file in (place for part in _PREFIX_FILES for place in glob.glob(os.path.join(prefix, part))):
                self.add_file(file, told_by, led, narrow=not led)
        for library in pythons:
            self._add_editable(library, (*through, *led))
        self._add_base(os.path.join(prefix, "pyvenv.cfg"), (*through, *led))

    def _add_base(self, settings: str, through: tuple[str, ...]) -> None:
        for key, value in _settings(settings):
            if key == "home" and os.path.isabs(value) and value not in self._bases:
                self._bases.add(value)  # two that name each other must come to an end
                self._add_prefix(value, settings, (*through, settings))

    def _add_editable(self, library: str, through: tuple[str, ...]) -> None:
        """Folders that path files in site-packages add: what ``pip install -e`` leaves behind."""
        for path_file in glob.glob(os.path.join(library, "site-packages", "*.pth")):
            for line in _lines(path_file):
                if os.path.isabs(line) and _is_project(os.path.realpath(line)):
                    self.add_folder(line, path_file, through)

    def _on_path(self, name: str) -> str:
        try:
            return resolve_executable(name, self._search, cwd=self._cwd)
        except ConfinementError:
            return ""


def _skip_env(argv: Sequence[str]) -> int:
    """Where the real program stands behind ``env NAME=value …``; 0 without one."""
    index = 0
    while index < len(argv) and os.path.basename(argv[index]) == "env":
        index += 1
        while index < len(argv) and (argv[index].startswith("-") or "=" in argv[index]):
            index += 2 if argv[index] in ("-u", "--unset", "-C", "--chdir") else 1
    return index


def _family(program: str) -> str:
    name = os.path.basename(program)
    name = _VERSION.sub("", name) or name
    return "node" if name == "nodejs" else name


def _link_steps(path: str) -> Iterator[str]:
    """The path, and where each link in a row of links leads, the last without any."""
    for _ in range(_LINKS_IN_A_ROW):
        yield path
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:
            break
    yield os.path.realpath(path)


def shebang(path: str) -> list[str] | None:
    """The words of a script's first line, without ``#!``; None where there is none."""
    try:
        with open(path, "rb", opener=open_at_once) as program:
            line = (program.read(_SHEBANG_BYTES) or b"").partition(b"\n")[0]
    except OSError:
        return None
    words = os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []
    return words or None


def open_at_once(path: str, flags: int) -> int:
    """An ``opener`` that waits for nobody who writes to a pipe that was put in the place of a file."""
    return os.open(path, flags | os.O_NONBLOCK)


def upwards(folder: str) -> Iterator[str]:
    """The folder and those above it, without ``/``."""
    while folder != "/":
        yield folder
        folder = os.path.dirname(folder)


def _settings(path: str) -> Iterator[tuple[str, str]]:
    for line in _lines(path):
        key, _, value = line.partition("=")
        yield key.strip().lower(), value.strip()


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=open_at_once) as lines:
            return lines.read(1 << 16).splitlines()
    except OSError:
        return []


def has_any(folder: str, marks: Sequence[str]) -> bool:
    """Whether something of one of these names is in it."""
    return any(os.path.exists(os.path.join(folder, mark)) for mark in marks)


def _is_project(folder: str) -> bool:
    """Whether this can be what was installed editably: a project, or the ``src`` folder of one."""
    return has_any(folder, PROJECT_MARKS) or has_any(os.path.dirname(folder), PROJECT_MARKS)


def _holds_programs(folder: str) -> bool:
    """Folders of many programs that have nothing to do with each other: a script there is alone."""
    return os.path.basename(folder) in ("bin", "sbin", "shims")


def is_shared(folder: str) -> bool:
    """Whether everybody writes there, as in /tmp: what lies beside a script is not part of it."""
    return os.stat(folder).st_mode & _STICKY_AND_OPEN == _STICKY_AND_OPEN


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
