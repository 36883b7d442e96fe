"""Reading how large arguments and results may be, in the table of one server or one tool."""

from __future__ import annotations

from typing import Final

from doorward.policy import keys
from doorward.policy.amounts import PartSizes, Sizes
from doorward.policy.shapes import Key, Raw, Shapes

_FRAMES: Final = {
    "arguments_bytes": "to_server_bytes",
    "string_argument_bytes": "to_server_bytes",
    "result_bytes": "from_server_bytes",
    "content_bytes": "from_server_bytes",
}
"""The message that each part is in: no part is larger."""
_WHOLE: Final = ("arguments_bytes", "result_bytes")


def part_sizes(shapes: Shapes, key: Key, raw: Raw, usual: Sizes) -> PartSizes:
    """What the table ``key`` says, 0 where it says nothing: ``sizes`` lower what is ``usual`` in this process, only
    ``unsafe_sizes`` raise it, and nothing raises it above what a whole message may have.
    """
    said: dict[str, int] = {}
    for table in ("sizes", "unsafe_sizes"):
        here, given = (*key, table), shapes.table(raw, key, table)
        shapes.known(given, here, keys.PART_SIZES)
        for name in given.keys() & keys.PART_SIZES.keys():
            size, frame = given[name], _FRAMES[name]
            most = getattr(usual, frame)
            usually = most if name in _WHOLE else min(getattr(usual, name), most)
            if type(size) is not int or size < 1:
                shapes.add((*here, name), "is not a positive whole number")
            elif name in said:
                shapes.add((*here, name), "stands under 'sizes' and under 'unsafe_sizes'", "keep one of them")
            elif size > most:
                shapes.add(
                    (*here, name),
                    f"{size} is more than a whole message may have, {most}",
                    f"raise {frame} under [unsafe_sizes] first",
                )
            elif table == "sizes" and size > usually:
                shapes.add(
                    (*here, name), f"{size} is above what holds for all, {usually}", "write it under unsafe_sizes"
                )
            else:
                said[name] = size
    return PartSizes(**said)
