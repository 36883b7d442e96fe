"""For authors of MCP servers: what a tool needs to do its work without becoming somebody else's.

``from doorward import guard`` costs nothing: each name below is loaded when it is first used, and none of them loads
the gateway or the MCP SDK.
"""

from __future__ import annotations

from typing import Any, Final

from doorward.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.content.text import has_hidden as has_hidden
    from doorward.content.text import reveal as reveal
    from doorward.content.text import signals as signals
    from doorward.guard.budgets import Concurrency as Concurrency
    from doorward.guard.budgets import RateLimit as RateLimit
    from doorward.guard.budgets import check_size as check_size
    from doorward.guard.demands import Demand as Demand
    from doorward.guard.demands import arguments as arguments
    from doorward.guard.demands import check as check
    from doorward.guard.demands import identifier as identifier
    from doorward.guard.demands import max_length as max_length
    from doorward.guard.demands import no_leading_dash as no_leading_dash
    from doorward.guard.demands import no_shell_metacharacters as no_shell_metacharacters
    from doorward.guard.demands import number_range as number_range
    from doorward.guard.demands import one_of as one_of
    from doorward.guard.demands import path_below as path_below
    from doorward.guard.demands import pattern as pattern
    from doorward.guard.demands import single_line as single_line
    from doorward.guard.demands import undemanded as undemanded
    from doorward.guard.demands import url_allow as url_allow
    from doorward.guard.demands import violation as violation
    from doorward.guard.features import FeatureGate as FeatureGate
    from doorward.guard.features import Features as Features
    from doorward.guard.masking import MaskingFilter as MaskingFilter
    from doorward.guard.masking import MaskingProcessor as MaskingProcessor
    from doorward.guard.masking import mask_logs as mask_logs
    from doorward.guard.masking import masker as masker
    from doorward.guard.programs import Finished as Finished
    from doorward.guard.programs import run as run
    from doorward.guard.programs import run_async as run_async
    from doorward.guard.root import Entry as Entry
    from doorward.guard.root import Root as Root
    from doorward.guard.sandbox import Profile as Profile
    from doorward.guard.servers import current_features as current_features
    from doorward.guard.servers import protect as protect
    from doorward.guard.services import ServiceControl as ServiceControl
    from doorward.guard.services import Status as Status
    from doorward.guard.states import open_state as open_state
    from doorward.guard.states import seal_state as seal_state

_MODULES: Final = {
    "doorward.guard.root": "Entry Root",
    "doorward.guard.demands": (
        "Demand arguments check identifier max_length no_leading_dash no_shell_metacharacters number_range one_of "
        "path_below pattern single_line undemanded url_allow violation"
    ),
    "doorward.guard.programs": "Finished run run_async",
    "doorward.guard.sandbox": "Profile",
    "doorward.guard.masking": "MaskingFilter MaskingProcessor mask_logs masker",
    "doorward.guard.servers": "current_features protect",
    "doorward.guard.services": "ServiceControl Status",
    "doorward.guard.budgets": "Concurrency RateLimit check_size",
    "doorward.guard.features": "FeatureGate Features",
    "doorward.guard.states": "open_state seal_state",
    "doorward.content.text": "has_hidden reveal signals",
}
_PLACES: Final = {name: module for module, names in _MODULES.items() for name in names.split()}
"""Where each name lives."""

__all__ = ["RefusedError", *_PLACES]  # noqa: PLE0604 - the names stand in the table, once


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
