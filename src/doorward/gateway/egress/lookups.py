"""Where a name leads, and whether a server may go there.

Each lookup has a thread of its own, which the end of the process does not wait for: the resolver of the C library
answers when it likes, up to half a minute, and the threads that the rest of Doorward uses must stay free. So many
lookups at once; further ones wait for their turn.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

from doorward.content.destinations import is_public

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host, in the order in which to try them. Raises OSError where there are none."""

Judge = Callable[[str], str]
"""Why a server may not go to an address; empty where it may."""


class Lookups:
    """The system's resolver, ``most`` names at a time."""

    def __init__(self, most: int) -> None:
        self._turns = asyncio.Semaphore(most)

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of ``host``, as the system has them; an address is its own.

        Raises OSError where there are none, and where no thread can be had.
        """
        if is_address(host):
            return [host]
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[list[str]] = loop.create_future()
        await self._turns.acquire()

        def settle(found: list[str] | OSError) -> None:
            self._turns.release()  # now, and not when nobody waits any more: the thread is what is counted
            if answered.done():
                return
            if isinstance(found, OSError):
                answered.set_exception(found)
            else:
                answered.set_result(found)

        def look() -> None:
            found: list[str] | OSError
            try:
                places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found = list(dict.fromkeys(str(place[4][0]) for place in places))
            except (OSError, UnicodeError) as error:
                found = error if isinstance(error, OSError) else OSError("not the name of a host")
            with suppress(RuntimeError):  # the loop is over, and with it whoever asked
                loop.call_soon_threadsafe(settle, found)

        try:
            threading.Thread(target=look, name="lookup", daemon=True).start()
        except RuntimeError:
            self._turns.release()
            raise OSError("too much is going on") from None
        return await answered


def is_address(host: str) -> bool:
    """Whether ``host`` is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def why_closed(address: str) -> str:
    """Why ``address`` is closed to a server that was given public addresses; empty if it is not.

    This machine's own addresses are, also where they are public: what listens there is often meant for neighbours only,
    and a firewall in front of the machine would not see us come.
    """
    if not is_public(address):
        return "is not a public address"
    return "is this machine" if _is_ours(address) else ""


def _is_ours(address: str) -> bool:
    """Whether the kernel would come from ``address`` to reach it, as it does only where it does not leave the machine.
    No packet is sent for that.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as looking:
            looking.connect((address, 9))
            return bool(looking.getsockname()[0] == address)
    except OSError:
        return False  # no way leads there, as the connection will find too
