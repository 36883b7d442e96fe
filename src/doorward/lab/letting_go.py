"""The launcher, less the end that it makes of what a server started: the stand-in for ``no-orphans`` (``ablated``).

Run in the launcher's place, as ``python -I -S letting_go.py``. The server itself is ended as ever.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys

CONFINE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "confine")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doorward.confine import supervise
else:
    sys.path.append(CONFINE)  # as the launcher does, whose folder it is
    import supervise


class Careless(supervise.Supervisor):
    """Ends the server, and looks no further."""

    def _end_tree(self) -> None:
        if self._status is None:
            os.kill(self._server, signal.SIGKILL)
            self._status = os.waitpid(self._server, 0)[1]


if __name__ == "__main__":
    supervise.Supervisor = Careless  # type: ignore[misc]
    runpy.run_path(os.path.join(CONFINE, "launch.py"), run_name="__main__")
