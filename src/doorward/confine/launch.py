"""What the gateway runs to start a server: ``python -I -S launch.py``. All of it is in ``begin``.

Python compiles a script each time that it is run, and a module once. A server is started often.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.confine.begin import main
else:
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out; last, so it can shadow nothing
    from begin import main

__all__ = ("main",)

if __name__ == "__main__":
    main()
