"""What is attacked, and how it is reached: a command or a URL, bare or with Doorward in front."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from doorward.policy.addresses import is_loopback

NAME = "attack-target"
"""What the gateway calls the target in its log."""


def located(command: tuple[str, ...]) -> tuple[str, ...]:
    """``command`` with every word that names a file here, or with a slash a folder, as an absolute path.

    A target is not started where the user stands: what it makes under a relative path would be made there.
    """
    return tuple(_located(word) for word in command)


def _located(word: str) -> str:
    is_place = Path(word).is_file() or (("/" in word or word in (".", "..")) and Path(word).is_dir())
    return str(Path(word).absolute()) if is_place and not word.startswith("-") else word


class Aim(msgspec.Struct, frozen=True):
    """One target: ``command`` or ``url``. ``headers`` go with each request to the URL and are never reported;
    ``certificate`` is a file with the client's key and certificate (PEM), for a server that asks who comes.
    """

    command: tuple[str, ...] = ()
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    certificate: Path | None = None

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
        target = ("--url", aim.url) if aim.url else ("--", *aim.command)
        return (*self._verb("wrap"), *target)

    def serving(self, url: str) -> tuple[str, ...]:
        """The command that is ``doorward serve`` in front of ``url``, on a port of the kernel's choice."""
        return (*self._verb("serve"), "--listen", "127.0.0.1:0", "--upstream", url)

    def _verb(self, verb: str) -> tuple[str, ...]:
        entry = ("doorward.lab.ablated", self.without) if self.without else ("doorward",)
        policy = ("-c", str(self.policy)) if self.policy else ()
        return (sys.executable, "-P", "-m", *entry, verb, "--state", str(self.state), *policy, "--name", NAME, "--json")


def environment() -> dict[str, str]:
    """The user's own, less what would lead Doorward to the user's own state."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD_")}
