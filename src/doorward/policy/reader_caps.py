"""Reading how much of the machine one server may use up, in the table of that server."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from doorward.policy.amounts import CAPS, Caps
from doorward.policy.shapes import Key, Raw, Shapes

LEAST_BYTES: Final = 1 << 20
"""No program starts with less memory; a smaller number is a slip of the unit."""

LEAST_PROCESSES: Final = 16
"""A runtime has a dozen threads before it has done anything."""

LEAST_PERCENT: Final = 5
"""With less no runtime comes up in the time that a client waits."""


def bounds(name: str) -> tuple[int, int | None]:
    """The lowest and the highest number that the cap ``name`` may be; None where only the profile says."""
    if name.endswith("_percent"):
        return LEAST_PERCENT, 100
    return LEAST_BYTES if name.endswith("_bytes") else LEAST_PROCESSES, None


def caps(shapes: Shapes, key: Key, raw: Raw, base: Caps) -> dict[str, Any]:
    """What the table ``key`` says, 0 where it says nothing: a cap lowers that of the profile, and only ``unsafe_``
    before its name raises it.
    """
    usual: dict[str, int] = msgspec.structs.asdict(base)
    return {name: _cap(shapes, key, raw, name, usual[name]) for name in CAPS}


def _cap(shapes: Shapes, key: Key, raw: Raw, name: str, usual: int) -> int:
    unsafe = f"unsafe_{name}"
    if name in raw and unsafe in raw:
        shapes.add((*key, unsafe), f"stands beside {name!r}", "keep one of them")
    for given in (name, unsafe):
        if given not in raw:
            continue
        size = raw[given]
        least, most = bounds(name)
        if type(size) is not int or size < least or (most is not None and size > most):
            unit = " bytes" if name.endswith("_bytes") else ""
            wanted = f"of at least {least}{unit}" if most is None else f"from {least} to {most}"
            shapes.add((*key, given), f"is not a whole number {wanted}")
        elif given == name and size > usual:
            shapes.add((*key, given), f"{size} is above the profile's {usual}", f"write {unsafe}")
        else:
            return size
    return 0
