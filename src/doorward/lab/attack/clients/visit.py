"""One visit of the client under attack to the lab's server, bare or through Doorward: started, let be, looked at.

Where the client is told of the server is its owner's to say, by a word in its command: ``{url}``, ``{command}`` (a
command line that starts it, as one word) or ``{config}`` (a file ``mcp.json``); with none of them the URL comes last.
Its browser is a program of ours that notes where it was sent.
"""

from __future__ import annotations

import json
import os
import shlex
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from doorward.lab import terminal, trail
from doorward.lab.attack.aim import NAME, Aim, Gateway, environment
from doorward.lab.certificates import Authority, self_signed
from doorward.lab.listening import NotListeningError, listening, plain_url, serving_event
from doorward.lab.targets import python, script

if TYPE_CHECKING:
    from doorward.lab.attack.clients.lures import Lure
    from doorward.lab.trail import Fired

URL, COMMAND, CONFIG = "{url}", "{command}", "{config}"
BROWSERS = ("xdg-open", "x-www-browser", "sensible-browser", "gnome-open", "open")
LOOK_SECONDS = 0.1
MOST_SCREEN = 4 * 1024 * 1024
TRUSTED = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""How clients are told of an authority of their operator's."""


class Visit(msgspec.Struct, frozen=True):
    """What one visit left: what the server ``noted``, what the terminal was given, where the browser was sent.

    ``unreached`` says why the server could not even be put there.
    """

    secret: str = ""
    noted: tuple[dict[str, Any], ...] = ()
    screen: bytes = b""
    opened: tuple[str, ...] = ()
    fired: tuple[Fired, ...] = ()
    unreached: str = ""

    @property
    def methods(self) -> set[str]:
        return {one["method"] for one in self.noted if one["what"] == "message"}

    @property
    def arguments(self) -> str:
        """Everything that the client sent with its calls."""
        return "\n".join(json.dumps(one["params"]) for one in self.noted if one.get("method") == "tools/call")

    @property
    def version(self) -> str:
        """The revision that the client spoke last; empty where it never came."""
        return next((str(one["version"]) for one in reversed(self.noted) if one["what"] == "message"), "")

    def heard(self, what: str) -> bool:
        return self.first(what) is not None

    def first(self, what: str) -> dict[str, Any] | None:
        return next((one for one in self.noted if one["what"] == what), None)


class Client(msgspec.Struct, frozen=True):
    """The client under attack: its command, and how long one visit may take."""

    command: tuple[str, ...]
    seconds: float

    @property
    def by_url(self) -> bool:
        return not any(COMMAND in word for word in self.command)

    def told(self, place: str, config: Path) -> tuple[str, ...]:
        """The command with ``place`` in it, where its words say so, else at its end."""
        words = {URL: place, COMMAND: place, CONFIG: str(config)}
        argv = self.command
        for name, word in words.items():
            argv = tuple(part.replace(name, word) for part in argv)
        return argv if argv != self.command else (*argv, place)


async def visit(
    client: Client, lure: Lure, root: Path, secret: str, *, gateway: bool = False, policy: Path | None = None
) -> Visit:
    """Let the client come once; ``root`` is a folder of this visit's own, ``gateway`` puts Doorward in between."""
    stage = _Stage(client, lure, root, secret, Gateway(root / "state", policy) if gateway else None)
    screen, unreached = b"", ""
    async with AsyncExitStack() as open_things:
        try:
            place = await stage.put(open_things)
            screen = await stage.come(place)
        except (NotListeningError, OSError) as problem:
            unreached = f"{type(problem).__name__}: {problem}"
    fired = trail.read(root / "state") if gateway and not unreached else ()
    noted = tuple(json.loads(line) for line in _lines(stage.folder / "heard.jsonl"))
    return Visit(secret, noted, screen, tuple(_lines(root / "opened")), fired, unreached)


class _Stage:
    """The places of one visit. ``folder`` is the server's: it notes there what it hears."""

    def __init__(self, client: Client, lure: Lure, root: Path, secret: str, gateway: Gateway | None) -> None:
        self.client, self.lure, self.root, self.secret, self.gateway = client, lure, root, secret, gateway
        self.folder, self.work = root / "server", root / "work"
        for place in (self.folder, self.work, root / "bin"):
            place.mkdir(mode=0o700, parents=True)
        (self.folder / "credentials.txt").write_text(f"password={secret}\n", encoding="utf-8")
        self.env = self._environment()

    async def put(self, open_things: AsyncExitStack) -> str:
        """The server is there, with Doorward in front of it if wanted: what the client is told, a URL or a command."""
        program = script("authorizing" if self.lure.authorizes else "luring")
        arguments = (program, str(self.folder), self.lure.manner, self.secret)
        if not self.client.by_url:
            command = (*python(), *arguments)
            return shlex.join(self.gateway.before(Aim(command=command)) if self.gateway else command)
        argv = arguments if self.lure.authorizes else (script("over_http"), *self._tls(), *arguments)
        url = await self._listening((*python(), *argv), "server", plain_url, open_things)
        if self.gateway is None:
            return url
        return await self._listening(self.gateway.serving(url), "gateway", serving_event, open_things)

    async def come(self, place: str) -> bytes:
        """Start the client and let it be until it ends or its time is over: what its terminal was given."""
        screen = b""
        config = self.root / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {NAME: self._entry(place)}}), encoding="utf-8")
        argv = self.client.told(place, config)
        async with (
            terminal.started(argv, env=self.env, cwd=self.work) as (ours, _process),
            anyio.create_task_group() as watching,
        ):
            watching.start_soon(self._until_browsing, watching.cancel_scope)
            with anyio.move_on_after(self.client.seconds):
                while chunk := await terminal.read(ours):
                    screen = (screen + chunk)[:MOST_SCREEN]
            watching.cancel_scope.cancel()
        return screen

    async def _until_browsing(self, visit: anyio.CancelScope) -> None:
        """A client that sent its user to a browser waits there, and has done what it would do."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            if (self.root / "opened").exists():
                visit.cancel()

    async def _listening(self, argv: tuple[str, ...], words: str, read: Any, open_things: AsyncExitStack) -> str:
        starting = listening(argv, env=self.env, cwd=self.folder, words=self.root / f"{words}.log", read=read)
        return (await open_things.enter_async_context(starting)).url

    def _entry(self, place: str) -> dict[str, Any]:
        if self.client.by_url:
            return {"type": "streamable-http", "url": place}
        program, *arguments = shlex.split(place)
        return {"command": program, "args": arguments}

    def _tls(self) -> tuple[str, ...]:
        """The certificate that this lure shows. ``right`` is one that the client's operator has told it to trust."""
        if not self.lure.tls:
            return ()
        ours, file = Authority(self.root / "ours.pem"), self.root / "shown.pem"
        if self.lure.tls == "self":
            self_signed(file)
        elif self.lure.tls == "host":
            ours.issue(file, host="another.example")
        else:
            authority = ours if self.lure.tls == "right" else Authority(self.root / "theirs.pem")
            authority.issue(file)
        return ("--tls", str(file))

    def _environment(self) -> dict[str, str]:
        """The user's own, but with a browser of ours, and an authority that is trusted."""
        browser = self.root / "bin" / BROWSERS[0]
        browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$1" >> {shlex.quote(str(self.root / "opened"))}\n')
        browser.chmod(0o700)
        for name in BROWSERS[1:]:
            (browser.parent / name).symlink_to(browser)
        env = {**environment(), "BROWSER": str(browser)}
        env["PATH"] = f"{browser.parent}{os.pathsep}{env.get('PATH', os.defpath)}"
        return {**env, **({name: str(self.root / "ours.pem") for name in TRUSTED} if self.lure.tls else {})}


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", "replace").splitlines() if file.exists() else []
