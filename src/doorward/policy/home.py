"""Where the user lives. One answer for the policy's ``~`` and for the directories of the command line."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from doorward.errors import UsageError


def home() -> Path:
    """``$HOME`` where it is an absolute path, else the home in the password database.

    MCP clients start their servers with a short environment; some leave HOME out, and an empty HOME would turn
    ``~/notes`` into ``/notes``.

    Raises:
        UsageError: HOME is unset and the password database does not know this user.
    """
    told = os.environ.get("HOME", "")
    if told.startswith("/"):
        return Path(told)
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        raise UsageError(f"user {os.geteuid()} has no home directory", hint="set HOME, or give --state DIR") from None
