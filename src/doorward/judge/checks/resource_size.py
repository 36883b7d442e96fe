"""Check: a resource that no message from its server could carry is not asked for (threat ``oversized-payload``).

A server that reads a file as a whole before it answers holds all of it, whatever becomes of the answer. So the size is
looked at before: what the file at each reading of a ``file:`` URI holds (``relay.foresee`` asks the doors), where the
server has folders on this machine, and what the server itself announced as ``size`` in its list of resources. The bound
is ``from_server_bytes``, since a text takes at least its own size in a message and a blob a third more. A size that
nobody found out refuses. Reading, subscribing and listening are judged alike: what is watched is read next.

Does not judge arguments of tools: a tool may count, hash or move a file that it never sends. Does not protect against a
resource that is no file and whose size nobody announced, nor against one that grows after it was looked at: then the
frame limit keeps it from us, and the memory cap (``child-caps``) from the machine. A resource that a server sends
in part, or in fewer bytes than it has (UTF-16 as UTF-8), is refused although it might fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from doorward.content import schemes, uris
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding, Peer
from doorward.protocol.actions import Action, ReadResource

CONTROL: Final = "resource-size"


def require_carriable_resource(action: Action, context: Context) -> Finding | None:
    if not isinstance(action, ReadResource) or action.verb == "unsubscribe":
        return None
    limit = context.policy.sizes.from_server_bytes
    for uri in action.uris:
        announced = context.definitions.announced_size(uri)
        if announced > limit:
            return _too_large(f"{uri}: {announced} bytes announced", limit)
    for path in measured(action, context.folders):
        size = context.facts.file_size(path)
        if size is None:
            return Finding(CONTROL, Effect.DENY, "a file whose size could not be found out", path[:MAX_EVIDENCE])
        if size > limit:
            return _too_large(f"{path}: {size} bytes", limit)
    return None


def measured(action: Action, folders: tuple[str, ...]) -> Iterator[str]:
    """The paths in ``action`` whose files would be read, in every reading; none for a server without folders."""
    if not folders or not isinstance(action, ReadResource) or action.verb == "unsubscribe":
        return
    for uri in action.uris:
        if schemes.may_open_a_file(uri):
            yield from uris.readings(uri, folders[0]).paths


def _too_large(what: str, limit: int) -> Finding:
    return Finding(
        CONTROL,
        Effect.DENY,
        f"a resource larger than a message from its server may be: at most {limit} bytes",
        what[:MAX_EVIDENCE],
        peer=Peer(-32602, "too large: the resource", {"limit": limit}),
    )
