"""What stands around a server and between it and its client: ``arm`` is the one place that builds the walls of the
child and the pipeline of the relay.

The other controls of ``doorward.controls`` are not built here. Limits are part of decoding (``wire``); pins, channels
and the archive belong to one link and are put together in ``gateway.app``.

Fields are the pieces that a door needs, as callables that load what they need when they are called: the child is
started before the judgment is imported, so that both come up side by side. No flag or policy key reaches into this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from doorward.confine import process

if TYPE_CHECKING:
    from doorward.policy.model import Policy, ServerPolicy
    from doorward.relay.pipeline import Pipeline


def _pipeline(masking_key: bytes) -> Pipeline:
    from doorward.content.redaction import Masker
    from doorward.relay import pipeline

    return pipeline.build(Masker(masking_key))


def _warm(server: ServerPolicy) -> None:
    """Load what judgment needs at the first call of ``server``, while nobody waits for it."""
    import jsonschema_rs
    import rfc8785

    _ = (jsonschema_rs, rfc8785)
    if server.reads_sql:
        from doorward.content import sql

        sql.load()


class Defences(msgspec.Struct, frozen=True):
    """``confine`` starts a server inside its walls (as ``confine.process.start``); ``pipeline`` builds the controls
    of the relay, given 32 random bytes that key the fingerprints of masks; ``warm`` loads, in a thread, what they
    need later for a server of which so much is demanded.
    """

    confine: Callable[..., process.Child] = process.start
    pipeline: Callable[[bytes], Pipeline] = _pipeline
    warm: Callable[[ServerPolicy], None] = _warm


def arm(policy: Policy) -> Defences:  # noqa: ARG001 - what it says reaches the controls with each message
    """The walls and the pipeline, whole. ``policy`` says how strict they judge, never whether they stand."""
    return Defences()
