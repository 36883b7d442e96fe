"""The published ``mcp-server-git`` 2025.7.1 as a target of two scenarios: a repository that it is given, and one beside
it that it is not.

CVE-2025-68143: ``git_init`` makes a repository of any folder. CVE-2025-68144: what names a revision may begin with a
dash, and is an option to git. CVE-2025-68145: ``--repository`` restricts nothing. All three were mended in later
releases; the server speaks the legacy era only.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from doorward.lab.scenario import BenignTwinBrokenError, Era, Target
from doorward.lab.targets import published

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from doorward.lab.stage import Stage

PUBLISHED: Final = "mcp-server-git-2025.7.1"
NOTE: Final = "minutes.txt"
_GIT_LIMIT_SECONDS: Final = 30


def furnish(work: Path, greeting: str) -> None:
    """A repository with one commit, and beside it one that holds the secret of this stage."""
    (work / NOTE).write_text(f"minutes of the meeting: {greeting}\n", encoding="utf-8")
    _commit(work, NOTE)
    vault = work.parent / "outside" / "vault"
    vault.mkdir(mode=0o700)
    shutil.copyfile(vault.parent / "secret.txt", vault / "secret.txt")
    _commit(vault, "secret.txt")


def _commit(repository: Path, file: str) -> None:
    """The user's own git configuration is not read: the home of a stage is empty, and so is this one's."""
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "--quiet"), ("add", file), ("commit", "--quiet", "--message=first")):
        subprocess.run(
            ("git", *who, "-C", str(repository), *words),  # noqa: S607
            check=True,
            capture_output=True,
            timeout=_GIT_LIMIT_SECONDS,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
        )


def _command(stage: Stage) -> tuple[str, ...] | None:
    argv = published.argv(PUBLISHED)
    return None if argv is None else (*argv, "--repository", str(stage.layout.work))


def _missing() -> str:
    return published.missing(PUBLISHED) or ("" if shutil.which("git") else "without its git: install git")


async def _look(stage: Stage) -> str:
    """What an honest user does with it: read the history, and a commit.

    Raises:
        BenignTwinBrokenError: the note that was committed did not come back.
    """
    work = str(stage.layout.work)
    shown: Any = await stage.client.call_tool("git_show", {"repo_path": work, "revision": "HEAD"})
    compared: Any = await stage.client.call_tool("git_diff", {"repo_path": work, "target": "HEAD"})
    if stage.greeting not in shown.content[0].text or compared.is_error:
        raise BenignTwinBrokenError("git_show and git_diff did not show the commit")
    return "git_show and git_diff showed the commit"


GIT = Target(
    id="git-server",
    title="mcp-server-git 2025.7.1",
    command=_command,
    furnish=furnish,
    configuration="""\
[servers.git-server.tools.git_diff.arguments]
repo_path = { path_below = "{work}" }
target = { no_leading_dash = true }
[servers.git-server.tools.git_init.arguments.repo_path]
path_below = "{work}"
[servers.git-server.tools.git_show.arguments.repo_path]
path_below = "{work}"
""",
    tools=("git_diff", "git_init", "git_add", "git_commit", "git_show", "git_log"),
    eras=(Era.LEGACY,),
    missing=_missing,
    over_http=False,
    benign=_look,
)
