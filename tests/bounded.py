"""Asynchronous tests that end: a bound around each, and a wait for what other processes do."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

BOUND_S = 20.0


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test, bounded."""

    def run(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(test(**fixtures), BOUND_S * 2))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


async def until(condition: Callable[[], object]) -> None:
    """Wait for ``condition``, bounded."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110 (what is waited for also happens in other processes)
            await asyncio.sleep(0.005)
