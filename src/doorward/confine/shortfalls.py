"""What walls could not be, in words for people: what they leave open or close, and why a server was not started."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from doorward.errors import ConfinementError

if TYPE_CHECKING:
    from doorward.confine.profile import SandboxProfile


def gaps(mechanism: str, abi: int, profile: SandboxProfile) -> tuple[str, ...]:
    """What this mechanism leaves open, or closes though the profile would not, in words; nothing where there is none.

    ``abi`` is Landlock's. Inside namespaces it is a second wall, and what an old one leaves open is closed.
    """
    if mechanism != "landlock":
        return ()
    from doorward.confine import landlock  # ctypes, not needed before

    old = (f"this kernel's landlock is old: {what}" for first, what in landlock.GAPS if abi < first)
    network = "this machine gives the server no network of its own, so it has "
    if profile.connect:
        ports = ", ".join(dict.fromkeys(str(port) for _, port in profile.connect))
        return (*old, f"{network}TCP to port {ports}, of any host, and nothing else")
    return (*old, f"{network}none at all") if profile.network == "public" else tuple(old)


def left_out(profile: SandboxProfile) -> tuple[tuple[str, str], ...]:
    """In words, what a project names as part of the program and the server is not shown; and the path that it is."""
    return tuple(
        (f"{named_by} leads out of its project, to {path}, which the server is not shown", path)
        for named_by, path in profile.left_out
    )


def explain(failure: str) -> ConfinementError:
    """The error for a stage of the launcher and the kernel's number, as it reports them."""
    stage, _, number = failure.partition(" ")
    code = int(number or 0)
    reason = os.strerror(code) if code else "no reason given"
    if stage == "namespaces":
        return ConfinementError(
            f"this machine gives the server no namespaces: {reason}",
            hint="--sandbox landlock confines it by other means, without a network; doorward doctor tells more",
        )
    if stage == "landlock" and code == errno.ENOSYS:
        return ConfinementError(
            "this machine allows neither namespaces nor landlock, so the server cannot be confined as its profile says",
            hint="allow user namespaces, use a kernel with landlock (5.13, for TCP ports 6.7), or --unsafe-no-sandbox",
        )
    if stage == "landlock":
        return ConfinementError(
            f"landlock could not confine the server: {reason}",
            hint="--unsafe-no-sandbox starts the server without walls",
        )
    if stage in ("seccomp", "privileges"):
        return ConfinementError(
            f"the server could not be confined ({stage}): {reason}",
            hint="--unsafe-no-sandbox starts the server without walls",
        )
    if stage == "caps":
        return ConfinementError(f"the server's memory and files could not be capped: {reason}")
    if stage == "group":
        return ConfinementError(f"the server could not be put into its control group: {reason}")
    if stage == "folder":
        return ConfinementError(f"the server's working directory cannot be entered: {reason}")
    if stage == "program":
        hint = (
            "a script needs a first line such as #!/bin/sh" if code == errno.ENOEXEC else "check the command after --"
        )
        return ConfinementError(f"the server's program cannot be executed: {reason}", hint=hint)
    if stage:
        return ConfinementError(f"the launcher failed before the server ran: {reason}")
    return ConfinementError("the launcher ended or stood still before the server ran", hint="its stderr may say why")
