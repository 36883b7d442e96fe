"""Another connection of the same user while a stage stands: to another server, or to the stage's own once more.

Bare, or behind Doorward with the same state: what Doorward knows of the stage's own target (its pin, its name) is known
there too.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from doorward.lab.scenario import Era, Topology
from doorward.lab.stage import command as command_of
from doorward.lab.stage import environment, gateway, over_http, target_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mcp import Client

    from doorward.lab.endpoint import Endpoint
    from doorward.lab.peer import Pipe
    from doorward.lab.stage import Stage


@asynccontextmanager
async def connected(
    stage: Stage,
    name: str,
    *,
    command: tuple[str, ...] = (),
    url: str = "",
    more: Mapping[str, str] | None = None,
    sampler: Any = None,
) -> AsyncIterator[Client]:
    """The SDK's client, connected to what the user has written down as ``name``: a ``command``, or a ``url``.

    ``more`` are variables for whatever is started; ``sampler`` is the client's sampling callback, None if it has none.
    A bare client takes any certificate for ``url``: that is its fault.
    Raises whatever the client raises where it does not get there.
    """
    from mcp import Client

    from doorward.lab.peer import ANSWER_LIMIT_SECONDS

    async with AsyncExitStack() as open_things:
        wire = await _wire(stage, name, command, url, {**environment(stage), **(more or {})}, open_things)
        client = Client(
            wire.streams(),
            mode="legacy" if stage.staging.era is Era.LEGACY else stage.staging.era.value,
            read_timeout_seconds=ANSWER_LIMIT_SECONDS,
            sampling_callback=sampler,
        )
        yield await open_things.enter_async_context(client)


async def _wire(
    stage: Stage, name: str, command: tuple[str, ...], url: str, env: Mapping[str, str], open_things: AsyncExitStack
) -> Pipe | Endpoint:
    from doorward.lab.endpoint import Endpoint
    from doorward.lab.listening import listening, serving_event
    from doorward.lab.peer import Pipe

    layout, era = stage.layout, stage.staging.era
    words = layout.root / f"stderr-{name}"
    if not stage.relayed:
        return (
            Endpoint(url, era=era, verify=False)
            if url
            else Pipe(command, env=env, cwd=layout.work, stderr=words, era=era)
        )
    argv = gateway(stage, name, command, url)
    if stage.staging.topology is Topology.WRAP:
        return Pipe(argv, env=env, cwd=layout.work, stderr=words, era=era)
    starting = listening(argv, env=env, cwd=layout.work, words=words, read=serving_event)
    return Endpoint((await open_things.enter_async_context(starting)).url, era=era)


@asynccontextmanager
async def elsewhere(stage: Stage, name: str) -> AsyncIterator[Client]:
    """The SDK's client, connected to a second one of the stage's target, behind a gateway of its own where the stage
    has one: for comparisons, since whatever else this machine does, it does to both.
    """
    from doorward.lab.listening import listening, plain_url

    layout = stage.layout
    async with AsyncExitStack() as open_things:
        command, url = target_command(stage), ""
        if stage.staging.topology is Topology.SERVE_URL:
            words = layout.root / f"target-{name}"
            starting = listening(over_http(stage), env=environment(stage), cwd=layout.work, words=words, read=plain_url)
            command, url = (), (await open_things.enter_async_context(starting)).url
        yield await open_things.enter_async_context(connected(stage, name, command=command, url=url))


@asynccontextmanager
async def beside(
    stage: Stage, era: Era, *, source: str = "", extra: Mapping[str, str] | None = None
) -> AsyncIterator[Pipe | Endpoint]:
    """A fresh connection to the stage's own target, as its client has one, on which nothing was said yet: for what the
    SDK's client would not say. It speaks ``era``; over HTTP it comes from the address ``source`` of loopback, and
    ``extra`` are headers of each request.
    """
    from doorward.lab.endpoint import Endpoint
    from doorward.lab.peer import Pipe

    layout = stage.layout
    if isinstance(stage.pipe, Endpoint):
        wire: Pipe | Endpoint = Endpoint(stage.pipe.url, era=era, source=source, extra=extra)
    else:
        words = layout.root / "stderr-beside"
        wire = Pipe(command_of(stage), env=environment(stage), cwd=layout.work, stderr=words, era=era)
    async with wire.streams():
        yield wire


def another_user(stage: Stage) -> dict[str, str]:
    """The headers of a request that a reverse proxy passes on for a user who may come in."""
    tokens = sorted(stage.layout.state.glob("serve-token-*"))
    token = tokens[0].read_text("ascii").strip() if tokens else "of another user"
    return {"x-forwarded-for": "203.0.113.7", "authorization": f"Bearer {token}"}
