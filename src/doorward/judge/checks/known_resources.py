"""Check: a resource is asked for that the server itself named, or described by a template (threat ``path-traversal``).

What a URI of a server's own scheme means only that server knows, and of a ``file:`` URI on another machine nobody here
knows where it leads. So what passes is what the server has shown: listed by ``resources/list``, linked to or embedded
in a result, announced as changed; or what one of its listed templates describes with values that stay in their place
(``content.templates``). Everything else passes only below what the operator wrote as ``uris`` (or, a file, as
``below``); that ``uris`` let it pass is noted. Before the first resource that was not shown Doorward asks for both
lists itself (``relay.errands``). A ``file:`` URI for a server whose folders are known is judged by its real path
instead (``judge.checks.paths``). The values that complete a template must stay in their place as well.

Does not protect against a server that shows what it should not, nor against what it makes of a harmless value.
"""

from __future__ import annotations

from typing import Final

from doorward.content import schemes
from doorward.content.climbing import climbs
from doorward.judge.vocabulary import MAX_EVIDENCE, Context, Effect, Finding
from doorward.protocol.actions import Action, Complete, ReadResource
from doorward.protocol.shown import allowed

CONTROL: Final = "known-resources"


def require_known_resources(action: Action, context: Context) -> Finding | None:
    if isinstance(action, Complete):
        return _completed(action)
    if not isinstance(action, ReadResource) or action.verb == "unsubscribe":
        return None
    unknown = next((uri for uri in action.uris if not _is_known(uri, context)), None)
    if unknown is not None:
        why = climbs(unknown, as_uri=True)
        reason = f"a URI that {why}" if why else "a resource that the server did not name, by no template of it"
        return Finding(CONTROL, Effect.DENY, reason, unknown[:MAX_EVIDENCE])
    for uri in action.uris:
        if not _is_shown(uri, context) and not schemes.may_open_a_file(uri):
            return Finding(CONTROL, Effect.NOTE, "a resource that only the policy lets pass", uri[:MAX_EVIDENCE])
    return None


def may_be_listed(action: ReadResource, context: Context) -> bool:
    """Whether ``action`` asks for something that nobody vouches for yet, and all of it could pass once it is listed."""
    missing = [uri for uri in action.uris if not _is_known(uri, context)]
    return bool(missing) and action.verb != "unsubscribe" and not any(climbs(uri, as_uri=True) for uri in missing)


def _is_known(uri: str, context: Context) -> bool:
    is_file = schemes.may_open_a_file(uri)
    if is_file and (context.folders or (context.server.below and schemes.scheme_of(uri))):
        return True  # or not: `judge.checks.paths` says so
    return _is_shown(uri, context) or (not climbs(uri, as_uri=True) and allowed(uri, context.server.uris))


def _is_shown(uri: str, context: Context) -> bool:
    """Whether the server itself named ``uri``, or describes it by a template."""
    if context.shown is None:
        return False
    return context.shown.named(uri) or (not climbs(uri, as_uri=True) and context.shown.fits(uri))


def _completed(action: Complete) -> Finding | None:
    """Of a template the values so far, each by itself."""
    if not schemes.scheme_of(action.reference) or schemes.may_open_a_file(action.reference):
        return None
    if why := climbs(action.reference.partition("{")[0], as_uri=True):
        return Finding(CONTROL, Effect.DENY, f"a template that {why}", action.reference[:MAX_EVIDENCE])
    for name, value in ((action.argument, action.value), *action.others.items()):
        if not isinstance(value, str):
            continue
        why = climbs(value) or ("begins with a slash" if value.lstrip().startswith(("/", "\\")) else "")
        if why:
            return Finding(CONTROL, Effect.DENY, f"a value that {why}", f"{name}: {value}"[:MAX_EVIDENCE])
    return None
