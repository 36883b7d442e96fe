"""What is attacked, and how it is reached: a command or a URL, bare or with Doorward in front."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from doorward.policy.addresses import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

NAME = "attack-target"
"""What the gateway calls the target in its log."""


class Aim(msgspec.Struct, frozen=True):
    """One target: ``command`` or ``url``. ``headers`` go with each request to the URL and are never reported."""

    command: tuple[str, ...] = ()
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        return self.url or " ".join(self.command)

    @property
    def local(self) -> bool:
        """Whether it is on this machine by its own words. A command is, whatever it then talks to."""
        return not self.url or is_loopback(urlsplit(self.url).hostname or "")


class Gateway(msgspec.Struct, frozen=True):
    """Doorward in front: its own ``state``, the user's ``policy`` or none, and the wall that is left out, if any."""

    state: Path
    policy: Path | None = None
    without: str = ""

    def before(self, aim: Aim) -> tuple[str, ...]:
        """The command that is ``doorward wrap`` in front of ``aim``."""
        entry = ("doorward.lab.ablated", self.without) if self.without else ("doorward",)
        policy = ("-c", str(self.policy)) if self.policy else ()
        target = ("--url", aim.url) if aim.url else ("--", *aim.command)
        gateway = (sys.executable, "-P", "-m", *entry, "wrap", "--state", str(self.state), *policy)
        return (*gateway, "--name", NAME, "--json", *target)


def environment() -> dict[str, str]:
    """The user's own, less what would lead Doorward to the user's own state."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
