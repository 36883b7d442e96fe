"""Which variables of Doorward's environment a server gets (architecture §7, row *child: environment*).

*standard*: all of them, less four kinds. Handles to the user's agents and session (ssh, gpg, D-Bus, display, keyring,
terminal multiplexers, editors): through them a confined process would act unconfined. User and password of a proxy,
which are Doorward's own to use (``gateway.egress.onward``). Variables that carry a credential
or make a program load foreign code, when they were merely inherited: a client's own API key is not meant for every
server it starts, while a key that the operator wrote into ``mcp.json`` for this server is. And Doorward's own.
*strict*: the list that the MCP SDKs consider safe. In both, ``--env NAME`` adds a name.

Merely inherited means: the nearest ancestor that is not a launcher has the same name with the same value. What cannot
be read counts as inherited.

Does not protect: a credential under a name that says nothing, and with a value that is no URL and no PEM block; a value
that the ancestor got after its start (``/proc`` shows what a process was started with), as in a shell that exported it
by hand: that counts as given. Variables that steer an interpreter and were given on purpose pass, as they change what
runs within the walls and not the walls; the launcher itself gets none of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from doorward.confine.tree import parent
from doorward.errors import ConfinementError

Profile = Literal["standard", "strict"]

# What the SDKs pass to a stdio server that was given no environment (mcp.client.stdio, POSIX).
SAFE = frozenset({"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"})

SESSION_HANDLES = frozenset(
    {
        *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "GIT_ASKPASS", "SUDO_ASKPASS", "SSH_TTY", "GPG_TTY"),
        *("GPG_AGENT_INFO", "GNOME_KEYRING_CONTROL", "GNOME_KEYRING_PID", "PAM_KWALLET5_LOGIN"),
        *("DBUS_SESSION_BUS_ADDRESS", "DBUS_SESSION_BUS_PID", "DBUS_STARTER_ADDRESS", "DBUS_STARTER_BUS_TYPE"),
        *("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "XAUTHORITY", "ICEAUTHORITY", "SESSION_MANAGER"),
        *("XDG_RUNTIME_DIR", "SWAYSOCK", "I3SOCK", "HYPRLAND_INSTANCE_SIGNATURE", "PULSE_SERVER", "PIPEWIRE_REMOTE"),
        *("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"),
        *("TMUX", "TMUX_PANE", "STY", "NVIM", "NVIM_LISTEN_ADDRESS", "KITTY_LISTEN_ON", "KITTY_PUBLIC_KEY"),
        *("VSCODE_IPC_HOOK", "VSCODE_IPC_HOOK_CLI", "VSCODE_GIT_IPC_HANDLE", "VSCODE_GIT_ASKPASS_NODE"),
        *("VSCODE_GIT_ASKPASS_MAIN", "VSCODE_GIT_ASKPASS_EXTRA_ARGS"),
    }
)

# A debugger or tracer sets these for itself and all below; a confined server could not even read what they name.
CODE_LOADERS = frozenset(
    {
        *("LD_PRELOAD", "LD_AUDIT", "NODE_OPTIONS", "BASH_ENV", "ENV", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS"),
        *("_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "DOTNET_STARTUP_HOOKS"),
    }
)

_CREDENTIAL_WORDS = frozenset(
    {
        *("KEY", "KEYS", "TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE", "PASS", "PWD"),
        *("CREDENTIAL", "CREDENTIALS", "CREDS", "AUTH", "AUTHORIZATION", "COOKIE", "COOKIES", "BEARER", "JWT", "PAT"),
        *("APIKEY", "ACCESSKEY", "SECRETKEY", "PRIVATEKEY", "DSN"),
    }
)
_CREDENTIAL_ENDINGS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "CREDENTIALS")
_NOT_CREDENTIALS = frozenset({"PWD", "OLDPWD"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_VALUE = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]*:[^/?#@\s]+@|-----BEGIN ")

_OWN_PREFIX = "DOORWARD_"
_LAUNCHERS = frozenset({"env", "uv", "uvx", "pipx", "npx", "npm"})
# A shell is a launcher while it runs a command for someone; the one that a person types into is not.
_SHELLS = frozenset({"sh", "dash", "bash"})
_INTERPRETERS = frozenset({"node", "python", "python3"})
_LAUNCHERS_IN_A_ROW = 16


def select_environment(
    environ: Mapping[str, str],
    *,
    inherited: Mapping[str, str] | None,
    grants: Iterable[str] = (),
    profile: Profile = "standard",
) -> tuple[dict[str, str], tuple[str, ...]]:
    """What the server gets of ``environ``, and the names withheld, sorted (in *strict* too: all the others).

    ``inherited`` is ``ancestor_environment()``; None (unreadable) counts every candidate as inherited. ``grants`` are
    the names of ``--env``; one that is not set grants nothing. Raises ConfinementError when a grant names a variable
    of Doorward's own: they tell where its state and keys lie.
    """
    granted = frozenset(grants)
    for name in sorted(granted):
        if name.startswith(_OWN_PREFIX):
            raise ConfinementError(
                f"--env {name} would hand doorward's own settings to the server",
                hint="leave it out, and give the server a variable of its own",
            )
    passed = {
        name: value
        for name, value in environ.items()
        if name in granted or (name in SAFE if profile == "strict" else _passes(name, value, inherited))
    }
    return passed, tuple(sorted(name for name in environ if name not in passed))


def is_credential_like(name: str, value: str = "") -> bool:
    """Whether a variable looks like a credential: by a word of its name, or by a value that holds a password.

    Whole words count, so ``API_KEY``, ``apiKey`` and ``PGPASSWORD`` do, and ``KEYBOARD``, ``AUTHOR``, ``MAX_TOKENS``
    and ``TOKENIZERS_PARALLELISM`` do not. A URL with a password and a PEM block count under any name.
    """
    if name in _NOT_CREDENTIALS:
        return False
    for word in map(str.upper, _WORD.findall(name)):
        if word in _CREDENTIAL_WORDS or word.endswith(_CREDENTIAL_ENDINGS):
            return True
    return _SECRET_VALUE.search(value) is not None


def own_environment() -> dict[str, str]:
    """This process's environment as it was started with, for a server that is to get the same.

    Python puts LC_CTYPE into its own where the locale is C (PEP 538), and every child would inherit that.
    """
    given = dict(os.environ)
    started_with = _proc_fields(os.getpid(), "environ")
    if started_with is not None and not any(record.startswith("LC_CTYPE=") for record in started_with):
        given.pop("LC_CTYPE", None)
    return given


def ancestor_environment(pid: int | None = None) -> dict[str, str] | None:
    """What the nearest process that is not a launcher was started with, beginning at ``pid`` (default: our parent).

    None when it cannot be read: another user's, outside the namespace, gone, or behind too many launchers.
    """
    current = os.getppid() if pid is None else pid
    for _ in range(_LAUNCHERS_IN_A_ROW):
        if current <= 0:
            return None
        command = _proc_fields(current, "cmdline")
        if command is None:
            return None
        if not _is_launcher(command):
            records = _proc_fields(current, "environ")
            return None if records is None else dict(_split(record) for record in records if "=" in record)
        above = parent(current)
        if above is None:
            return None
        current = above
    return None


def _passes(name: str, value: str, inherited: Mapping[str, str] | None) -> bool:
    if name in SESSION_HANDLES or name.startswith(_OWN_PREFIX):
        return False
    if name.lower().endswith("_proxy") and "@" in value:
        return False
    if name in CODE_LOADERS or is_credential_like(name, value):
        return inherited is not None and inherited.get(name) != value
    return True


def _is_launcher(command: list[str]) -> bool:
    if not command:
        return False  # a kernel thread, or a process that has ended
    program = _program_name(command[0])
    if program in _SHELLS:
        return len(command) > 1
    if program in _INTERPRETERS and len(command) > 1:
        program = _program_name(command[1])  # npx and pipx are scripts
    return program in _LAUNCHERS


def _program_name(argument: str) -> str:
    # npm writes its title over its arguments: "npm exec NAME"
    name = os.path.basename(argument.partition(" ")[0]).lstrip("-")
    return name.removesuffix("-cli.js")


def _proc_fields(pid: int, name: str) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as fields:
            content = fields.readall()
    except OSError:
        return None
    return [os.fsdecode(field) for field in content.split(b"\0")[:-1]] if content else []


def _split(record: str) -> tuple[str, str]:
    name, _, value = record.partition("=")
    return name, value
