"""Whether an earlier report is about the same target: the program or package counts, not its version or its folders."""

from __future__ import annotations

import pytest

from doorward.lab.report.baseline import Target

NPX = ("npx", "-y", "@modelcontextprotocol/server-filesystem@2025.3.28", "/tmp/a/notes")


@pytest.mark.parametrize(
    "other",
    [
        ("npx", "-y", "@modelcontextprotocol/server-filesystem@2026.1.14", "/tmp/a/notes"),
        ("npx", "-y", "@modelcontextprotocol/server-filesystem", "/home/ci/b/other"),
        ("/usr/local/bin/npx", "-y", "@modelcontextprotocol/server-filesystem@2025.3.28", "~/notes"),
    ],
)
def test_another_version_or_folder_is_the_same_target(other: tuple[str, ...]) -> None:
    assert Target(NPX).is_like(Target(other))


@pytest.mark.parametrize(
    "other",
    [
        Target(("npx", "-y", "@modelcontextprotocol/server-memory", "/tmp/a/notes")),
        Target(("npx", "-y", "server-filesystem@2025.3.28", "/tmp/a/notes")),
        Target((*NPX, "--all")),
        Target(url="https://mcp.example.com/mcp"),
        Target(client=NPX),
        Target(),
    ],
)
def test_another_program_option_or_kind_is_another_target(other: Target) -> None:
    assert not Target(NPX).is_like(other)


def test_scripts_are_told_apart_by_name_and_urls_exactly() -> None:
    run = ("python", "/srv/one/server.py")
    assert Target(run).is_like(Target(("python3.12", "/srv/two/server.py"))) is False
    assert Target(run).is_like(Target(("/usr/bin/python", "/srv/two/server.py")))
    assert not Target(run).is_like(Target(("python", "/srv/one/other.py")))
    assert not Target(url="https://a.example/mcp").is_like(Target(url="https://a.example/other"))
    assert Target().is_like(Target())
