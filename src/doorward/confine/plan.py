"""What the gateway tells a launcher, in the form that ``begin`` reads: what to start, and inside which walls."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from doorward.confine import network
from doorward.errors import ConfinementError

if TYPE_CHECKING:
    from doorward.confine.profile import SandboxProfile

_MECHANISMS = {
    "auto": ("namespaces", "landlock"),
    "namespaces": ("namespaces",),
    "landlock": ("landlock",),
}
_ALL_PERCENT = 100


def encode_plan(
    argv: Sequence[str],
    profile: SandboxProfile,
    temp: str,
    held: Collection[str],
    *,
    walls: bool,
    bound: bool,
    umask: int | None,
    trace: bool,
) -> bytes:
    """What is started, and how: inside ``walls`` or without, ``bound`` to the end of the thread that made the launcher.
    ``held`` are the resources that a control group caps. Raises ConfinementError for a NUL.
    """
    if umask is None:
        umask = os.umask(0o077)  # it can only be read by setting it; nothing another thread makes now is too open
        os.umask(umask)
    variables = dict(profile.env) | {"TMPDIR": temp, "TMP": temp, "TEMP": temp}
    return encode(
        ("mechanism", _MECHANISMS[profile.mechanism] if walls else [""]),
        ("program", [profile.program]),
        ("argument", argv),
        ("env", (f"{name}={value}" for name, value in variables.items())),
        ("proxy", (f"{name}={value}" for name, value in network.proxy_environment(profile).items())),
        ("network", [profile.network]),
        ("connect", map(network.spelt, profile.connect)),
        ("empty", (profile.cwd, profile.home)),
        ("account", [profile.account]),
        ("user", [str(profile.user)]),
        ("owner", [str(profile.group)]),
        ("cache", [profile.cache]),
        ("home", [profile.home if profile.home and not set(profile.home) & set(":\n") else "/"]),
        ("link", (f"{place}\n{target}" for place, target in profile.links)),
        ("read", profile.readable()),
        ("write", (*profile.writable(), temp)),
        ("cwd", [profile.cwd]),
        ("temp", [temp]),
        ("umask", [f"{umask:o}"]),
        ("memory", [str(profile.memory_bytes)]),
        ("file", [str(profile.file_bytes)]),
        ("descriptors", [str(profile.descriptors)]),
        ("nice", ["1" if 0 < profile.processor_percent < _ALL_PERCENT and "cpu" not in held else "0"]),
        ("tasks", ["0" if "pids" in held else str(profile.processes)]),
        ("bound", ["thread"] if bound else []),
        ("trace", ["calls"] if trace else []),
    )


def encode(*records: tuple[str, Iterable[str]]) -> bytes:
    """One message: kinds, each with its values."""
    encoded = [f"{kind}:{value}" for kind, values in records for value in values]
    if any("\0" in record for record in encoded):
        raise ConfinementError("a command line, path or variable contains a NUL")
    body = b"".join(os.fsencode(record) + b"\0" for record in encoded)
    return len(body).to_bytes(8, "big") + body
