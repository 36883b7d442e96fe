"""A program that reads one path of a root over and over while others change the tree, and tells what it saw as JSON.

usage: reading.py FOLDER PATH TIMES [careless|without-openat2]

``careless`` resolves the path first and opens it then, as most servers do. ``without-openat2`` takes that call from
this process before it reads, by a filter of the kernel, as some containers do.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import sys
from collections import Counter
from collections.abc import Callable

from doorward.confine import beneath, landlock
from doorward.guard import RefusedError, Root


def take_openat2_away() -> None:
    instructions = (
        struct.pack("HBBI", 0x20, 0, 0, 0),  # the number of the call
        struct.pack("HBBI", 0x15, 0, 1, 437),
        struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | errno.ENOSYS),
        struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000),
    )
    program = b"".join(instructions)
    code = ctypes.create_string_buffer(program, len(program))
    landlock.prctl(landlock.PR_SET_NO_NEW_PRIVS, 1)
    landlock.prctl(22, 2, struct.pack("HP", len(instructions), ctypes.addressof(code)))


def careless(folder: str, path: str) -> bytes:
    whole = os.path.join(folder, path)
    if not os.path.realpath(whole).startswith(folder + os.sep):
        raise RefusedError("root", "outside")
    with open(whole, "rb") as file:
        return file.read()


def outcome(read: Callable[[], bytes]) -> str:
    try:
        return read().decode()
    except RefusedError:
        return "refused"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def main(folder: str, path: str, times: str, how: str = "") -> None:
    if how == "without-openat2":
        take_openat2_away()
        assert not beneath.follows_links()
    with Root(folder) as root:
        read = (lambda: careless(folder, path)) if how == "careless" else (lambda: root.read(path))
        seen = Counter(outcome(read) for _ in range(int(times)))
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
