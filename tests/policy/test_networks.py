"""Where a server may connect to: what a table may say of it, and what of two tables holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from doorward.errors import PolicyError
from doorward.policy.load import load
from doorward.policy.model import Policy, ServerPolicy


def policy(folder: Path, text: str) -> Policy:
    file = folder / "doorward.toml"
    file.write_text(text)
    return load(file)


def said(server: ServerPolicy) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    return server.network, server.hosts, server.connect


def test_nothing_is_said_unless_it_is(tmp_path: Path) -> None:
    assert said(policy(tmp_path, "[servers.notes]").for_server("notes")) == ("", (), ())


def test_a_list_of_hosts_says_that_there_is_a_network(tmp_path: Path) -> None:
    found = policy(tmp_path, 'profile = "strict"\n[servers.notes]\nhosts = ["api.example.com", "2606:4700::1111"]')
    assert said(found.for_server("notes")) == ("public", ("api.example.com", "2606:4700::1111"), ())


def test_its_own_table_decides_and_targets_of_both_count(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        """
        [servers."*"]
        network = "public"
        hosts = ["*.example.org"]
        connect = ["127.0.0.1:5432"]
        [servers.notes]
        network = "none"
        connect = ["[::1]:80"]
        [servers.other]
        hosts = ["example.net"]
        """,
    )
    assert said(found.for_server("notes")) == ("none", ("*.example.org",), ("127.0.0.1:5432", "[::1]:80"))
    assert said(found.for_server("other")) == ("public", ("example.net",), ("127.0.0.1:5432",))
    assert said(found.for_server("third")) == ("public", ("*.example.org",), ("127.0.0.1:5432",))


def test_it_is_part_of_the_digest(tmp_path: Path) -> None:
    texts = ("", 'network = "none"', 'network = "public"', 'hosts = ["a.example"]', 'connect = ["a.example:1"]')
    assert len({policy(tmp_path, f"[servers.notes]\n{text}").digest for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('network = "private"', "is not one of: public, none"),
        ("network = true", "is not one of"),
        ("hosts = []", "names no host"),
        ('hosts = ["a.example"]\nnetwork = "none"', "is of no use beside"),
        ('hosts = ["*"]', "is not the name of a host"),
        ('hosts = ["api.*.example"]', "is not the name of a host"),
        ('hosts = ["*.127.0.0.1"]', "is neither a name nor an address"),
        ('hosts = ["a.example:443"]', "is not a host"),
        ('hosts = ["https://a.example"]', "is not a host"),
        ('hosts = ["127.1"]', "not everybody reads alike"),
        ('connect = ["a.example"]', "is not HOST:PORT"),
        ('connect = ["a.example:0"]', "is not HOST:PORT"),
        ('connect = ["*.example:1"]', "is not the name of a host"),
        ('connect = ["::1:80"]', "is not HOST:PORT"),
        ('connect = ["user@a.example:80"]', "is not HOST:PORT"),
        ('connect = ["0x7f.1:80"]', "not everybody reads alike"),
        ('connect = "a.example:1"', "is not a list of texts"),
    ],
)
def test_what_is_no_network_is_a_problem(tmp_path: Path, line: str, what: str) -> None:
    with pytest.raises(PolicyError, match=r"network|hosts|connect") as refused:
        policy(tmp_path, f"[servers.notes]\n{line}")
    (problem,) = refused.value.problems
    assert what in problem.what
