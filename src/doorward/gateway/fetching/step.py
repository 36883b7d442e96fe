"""One step of a package manager, inside walls, with a proxy as its only way to a registry.

The proxy is the one that servers have (`doorward.gateway.egress`): it reaches public addresses and, of others, what the
operator's settings name: a registry on this machine or in this network. A step finds it at one port of loopback: in a
network of its own that is the launcher's socket, without one it is a socket of this machine, listened to as long as the
step runs. The package manager thereby needs no name service, and where Landlock alone confines it no other port.

Where the operator's settings name a proxy themselves, that is used, and can be reached in place of ours; then no host
is closed to the step but by that one.

Does not protect against other programs of this machine that find the socket meanwhile: they can go through it where
they could go themselves.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from doorward.confine import process
from doorward.confine.fetching import Outcome, Own, finish, step_walls
from doorward.confine.network import Target, spelt, through_proxy
from doorward.confine.process import Listener
from doorward.confine.profile import Mechanism
from doorward.gateway.egress.server import Egress, Refuse
from doorward.gateway.fetching.settings import Settings
from doorward.gateway.fetching.tree import Step
from doorward.policy.amounts import Caps

if TYPE_CHECKING:
    from doorward.gateway.reporter import Say

_LOOPBACK: Final = "127.0.0.1"
_MOST_TOLD: Final = 8
_HINT: Final = "a registry that is not public must stand in the settings of the package manager"


async def do(  # noqa: PLR0913 - what is done, and each bound of it
    step: Step,
    *,
    folder: str,
    environ: Mapping[str, str],
    settings: Settings,
    doorward: Own,
    caps: Caps,
    mechanism: Mechanism,
    unsafe_no_sandbox: bool,
    say: Say,
) -> Outcome:
    """Have a step done in ``folder``, and wait for its end. Call it in the main thread's loop.

    Raises ConfinementError as `doorward.confine.fetching.finish` does.
    """
    with socket.create_server((_LOOPBACK, 0)) as listening:
        ours = (_LOOPBACK, listening.getsockname()[1])
        # For every host, whatever exceptions the operator has: nothing else can be reached.
        proxy = {} if settings.has_proxy else through_proxy(f"http://{spelt(ours)}", direct="")
        walls = step_walls(
            step.argv,
            folder=folder,
            environ=environ,
            read=settings.read,
            variables=settings.variables,
            told={**dict(step.told), **proxy},
            connect=settings.targets if settings.has_proxy else (ours,),
            own=doorward,
            caps=msgspec.structs.asdict(caps),
            mechanism=mechanism,
        )
        child = process.start(step.argv, walls, unsafe_no_sandbox=unsafe_no_sandbox)
        refuse = _refusals(os.path.basename(step.argv[0]), say)
        egress = Egress(refuse, closed=step.closed, connect=settings.targets)
        loop = asyncio.get_running_loop()

        def started() -> None:
            if child.listeners:
                egress.open([_proxied(one, ours) for one in child.listeners])
            elif not settings.has_proxy:
                egress.open([Listener(listening.detach(), "")])

        try:
            return await asyncio.to_thread(finish, child, lambda: loop.call_soon_threadsafe(started))
        except asyncio.CancelledError:
            child.send_signal(signal.SIGKILL)  # the thread sees its end, and would wait for it otherwise
            raise
        finally:
            await egress.close()


def _refusals(program: str, say: Say) -> Refuse:
    """Each host that was refused is said once, and so many."""
    told: set[Target] = set()

    def refuse(target: Target, why: str) -> str:
        if target not in told and len(told) < _MOST_TOLD:
            told.add(target)
            say(f"{program} may not connect to {spelt(target)}: {why}", _HINT)
        return ""

    return refuse


def _proxied(listener: Listener, ours: tuple[str, int]) -> Listener:
    """A listener that leads to the proxy is the proxy: it need not be connected to for that."""
    return Listener(listener.descriptor, "") if listener.target == spelt(ours) else listener
