"""What a request says it sends and takes (RFC 9110 §8.3 and §12.5.1), as far as a door needs to know."""

from __future__ import annotations

import functools


@functools.lru_cache(maxsize=256)
def is_json(content_type: str) -> bool:
    """Whether a Content-Type is that of JSON."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


@functools.lru_cache(maxsize=256)
def accepts(accept: tuple[str, ...], media: str) -> bool:
    """Whether a media type is among those of Accept; quality values are not weighed, but 0 is a no."""
    kind = media.partition("/")[0]
    for part in ",".join(accept).split(","):
        name, _, parameters = part.strip().lower().partition(";")
        if name.strip() in (media, f"{kind}/*", "*/*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
