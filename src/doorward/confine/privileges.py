"""What a server may do beyond what its user may: nothing, from before its first instruction and for ever.

``no_new_privs`` means that no program gives the server more than it was started with, by a set-user-ID bit or by
capabilities of its file (``sudo`` gains nothing). All capabilities go: effective, permitted, inheritable and ambient,
and the bounding set, since root would get its own back with the next program it starts. It is what lets the other walls
stand: Landlock and seccomp may be armed by whoever has ``no_new_privs``, and without CAP_SYS_RESOURCE nobody raises a
limit again (``caps``).

Sources: capabilities(7), PR_SET_NO_NEW_PRIVS(2const). Does not protect what the server's user owns: root without
capabilities is still the owner of root's files, and may change their modes where it can name them. Inside namespaces it
can name those only that it was given.
"""

from __future__ import annotations

import ctypes
import errno
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.confine import landlock
else:
    try:
        import landlock  # beside us: the launcher has no packages
    except ImportError:
        from doorward.confine import landlock

_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

_libc = ctypes.CDLL(None, use_errno=True)


def give_up_new() -> None:
    """No program started from now on has more than this process."""
    landlock.prctl(landlock.PR_SET_NO_NEW_PRIVS, 1)


def drop() -> None:
    """Give up every capability. Raises OSError as the kernel gave it."""
    for number in range(_MOST_CAPABILITIES):
        try:
            landlock.prctl(_PR_CAPBSET_DROP, number)
        except PermissionError:
            break  # who may not take it away gets none back either: with no_new_privs no file gives any
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            break  # the kernel knows no more
    try:
        landlock.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise  # only kernels before 4.3 have no ambient ones
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    landlock.checked(_libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))))
