"""Paths that a program says it could not open, in the words of the runtimes that servers are written in."""

from __future__ import annotations

import pytest

from doorward.content.missed import MAX_PATHS, find_missed, may_name_missed

SAID = [
    ("[Errno 2] No such file or directory: '/srv/x'", "missing"),
    ("PermissionError: [Errno 13] Permission denied: '/srv/x'", "denied"),
    ("OSError: [Errno 30] Read-only file system: '/srv/x'", "read-only"),
    ("Error: ENOENT: no such file or directory, open '/srv/x'", "missing"),
    ("EACCES: permission denied, mkdir '/srv/x'", "denied"),
    ("{ code: 'EROFS', syscall: 'open', path: '/srv/x' }", "read-only"),
    ("cat: /srv/x: No such file or directory", "missing"),
    ("bash: line 1: /srv/x: Permission denied", "denied"),
    ("open /srv/x: no such file or directory", "missing"),
    ("java.io.FileNotFoundException: /srv/x (No such file or directory)", "missing"),
    ('failed to open "/srv/x": Operation not permitted (os error 1)', "denied"),
    ("/srv/x: cannot open: EPERM.", "denied"),
    ("warning: unable to access '/srv/x': Permission denied", "denied"),
]


@pytest.mark.parametrize(("said", "how"), SAID)
def test_a_path_is_found_beside_the_words_of_the_kernel(said: str, how: str) -> None:
    assert may_name_missed(said.encode())
    assert find_missed(said) == (("/srv/x", how),)
    assert find_missed(f"first line\n{said}\nlast line") == (("/srv/x", how),)


@pytest.mark.parametrize(
    "said",
    [
        "cat: /srv/my file: No such file or directory",
        "open /srv/my file: permission denied",
        "EPERM: open '/srv/my file'",
    ],
)
def test_white_space_belongs_to_a_path_that_is_quoted_or_stands_before_the_words(said: str) -> None:
    assert find_missed(said)[0].path == "/srv/my file"


@pytest.mark.parametrize(
    "said",
    [
        "listening on /srv/x",
        "no such file: srv/x",
        "no such file: https://example.org/srv/x",
        "/srv/x\nno such file or directory",
        "no such file: '/srv/\x1b[2Jx'",
        "no such file: '/srv/\u202ex'",
        f"no such file: '/{'x' * 600}'",
        f"{'x' * 9000} no such file: '/srv/x'",
    ],
)
def test_what_is_no_complaint_or_could_deceive_a_reader_is_none(said: str) -> None:
    assert find_missed(said) == ()


@pytest.mark.parametrize("piece", ["'/srv/{}'\n", "'/srv/{}' ", "/srv/{}: ", "`/srv/{}` /srv/{} "])
def test_no_more_than_the_first_few_paths_are_taken(piece: str) -> None:
    found = find_missed("".join(f"no such file {piece.format(*2 * (number,))}" for number in range(1000)))
    assert 1 < len(found) <= MAX_PATHS
