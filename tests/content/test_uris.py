"""Which texts are paths, every way to read one, and what lies below a folder."""

from __future__ import annotations

import os
import posixpath
import time
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doorward.content.path_names import PATH_NAMES, is_path_like, walk_path_arguments
from doorward.content.schemes import may_open_a_file, scheme_of
from doorward.content.uris import (
    MAX_READINGS,
    canonical,
    is_below,
    readings,
)

WORKSPACE = "/home/user/workspace"
OUTSIDE = "/etc/passwd"


def allowed(text: str, folder: str = WORKSPACE) -> bool:
    """The judgment of the door, where no link exists: every reading, collapsed, lies below the folder."""
    found = readings(text, folder)
    return not found.problem and all(is_below(posixpath.normpath(path), folder) for path in found.paths)


@pytest.mark.parametrize("name", sorted(PATH_NAMES))
def test_every_listed_name_is_path_like(name: str) -> None:
    assert is_path_like(name)


@pytest.mark.parametrize(
    "name",
    "file_path targetDir output-directory srcFile filePaths fileName FILE_PATH XMLFile path1 file_to_read pathList "
    "workdir cwd filepath outdir rootPath repoPath source_files inputURI Path".split(),
)
def test_compounds_of_a_path_word_are_path_like(name: str) -> None:
    assert is_path_like(name)


@pytest.mark.parametrize(
    "name",
    "profile direction rooted resourceUriTemplate source_code fileContent file_size content url pathology emailProfile "
    "filter rootCause query basename file_type encoding path_count compile scaffolder".split(),
)
def test_words_that_only_contain_a_path_word_are_not(name: str) -> None:
    assert not is_path_like(name)


def test_a_path_is_found_at_any_depth_and_with_its_pointer() -> None:
    arguments = {
        "q": "z",
        "nested": {"deep": [{"srcFile": ["p", ["q"]]}]},
        "files": [{"name": "n", "content": "c\nd"}, "x"],
        "a/b~path": "y",
    }
    assert dict(walk_path_arguments(arguments)) == {
        "/nested/deep/0/srcFile/0": "p",
        "/nested/deep/0/srcFile/1/0": "q",
        "/files/0/name": "n",
        "/files/1": "x",
        "/a~1b~0path": "y",
    }


def test_member_names_under_a_path_name_are_paths_unless_they_are_plain_words() -> None:
    assert list(walk_path_arguments({"files": {"../../x": "content", "encoding": "utf-8"}})) == [
        ("/files/..~1..~1x", "../../x")
    ]


def test_an_address_under_a_uri_name_is_no_path_but_a_file_uri_under_a_url_name_is() -> None:
    arguments = {
        "uri": "https://host/x",
        "url": "file:///etc/passwd",
        "href": "https://host",
        "root_uri": "git+file:///x",
    }
    assert dict(walk_path_arguments(arguments)) == {"/url": "file:///etc/passwd", "/root_uri": "git+file:///x"}


def test_a_scheme_does_not_excuse_a_text_under_a_path_name() -> None:
    assert list(walk_path_arguments({"path": "x://../../../etc"})) == [("/path", "x://../../../etc")]
    assert not allowed("x://../../../etc/passwd")


def test_a_drive_letter_is_no_scheme() -> None:
    assert scheme_of("FILE:///x") == "file"
    assert scheme_of("C:/x") == ""
    assert scheme_of("/a:b") == ""


@pytest.mark.parametrize(
    "text",
    [
        "file:///home/user/workspace/../../../../etc/passwd",
        "file:///home/user/workspace/../../../etc/passwd",
        "file:///home/user/workspace/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "file:///home/user/workspace/%252e%252e/%252e%252e/%252e%252e/etc/passwd",
        "file:///home/user/workspace/%25252e%25252e/x",
        "file:///home/user/workspace/..%2f..%2f..%2fetc/passwd",
        "file:///home/user/workspace/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
        "file:///home/user/workspace/%e0%80%ae%e0%80%ae/x",
        "file:///home/user/workspace/%u002e%u002e/x",
        r"file:///home/user/workspace\..\..\..\etc\passwd",
        "file:///home/user/workspace/..%5c..%5c..%5cetc",
        "file:///home/user/workspace-evil/x",
        "file:///home/user/workspace/x%00.txt",
        "file://evil/home/user/workspace/x",
        "file:////home/user/workspace/x",
        "file:///C:/Windows/win.ini",
        "file:///c|/Windows",
        "file:home/user/workspace/x",
        "file:///home/user/workspace/x?/../../../../etc/passwd",
        "file:///home/user/workspace/x#y",
        "%66ile:///etc/passwd",
        "url:file:///etc/passwd",
        "local_file:///etc/passwd",
        "jar:file:///home/user/workspace/x.jar!/y",
        "/etc/passwd",
        "../workspace-evil/x",
        "../../../etc/passwd",
        " /etc/passwd",
        "\u00a0/etc/passwd",
        "..\\..\\x",
        r"\\host\share\x",
        "//host/share/x",
        "C:\\x",
        "~/.ssh/id_ed25519",
        "~root/x",
        "%7e/x",
        "$HOME/x",
        "a/${HOME}/x",
        "x\n/etc/passwd",
        "x\x85y",
        "/proc/self/root/home/user/workspace/x",
        "/proc/self/cwd/x",
        "/dev/fd/3",
        "\uff0e\uff0e\uff0f\uff0e\uff0e\uff0fetc",
        "\uff0fetc/passwd",
        "\u2025/\u2025/\u2025/etc/passwd",
        "\uff052e\uff052e/x",
        "a%2fb%2fc/../../../x",
        "a\\b\\c/../../../x",
        "a%25252fb%25252fc/%252e%252e/%252e%252e/etc",
        "a/" * 3000,
        "\ud800",
    ],
)
def test_a_text_that_leaves_the_folder_in_any_reading_is_not_allowed(text: str) -> None:
    assert not allowed(text)


@pytest.mark.parametrize(
    "text",
    [
        "notes.txt",
        "src/routes/$id.tsx",
        "100%.txt",
        "C#/Program.cs",
        "what?.md",
        "a b/c d.txt",
        "資料\uff08最終\uff09.docx",
        "caf\u00e9.txt",
        ".git/config",
        "..hidden/...",
        "a/../b",
        "a%2f..%2fx",
        "a%252fb",
        "dir/",
        "",
        ".",
        "name~",
        "2024-01-01T10:00.log",
        "/home/user/workspace/x",
        "/home/user/workspace",
        "file:///home/user/workspace/a%20b.txt",
        "file:///home/user/workspace/%C3%A9.txt",
        "file://localhost/home/user/workspace/x",
        "FILE:///home/user/workspace/x",
        "https://github.com/org/repo",
        "git@github.com:org/repo.git",
    ],
)
def test_an_honest_path_is_allowed(text: str) -> None:
    assert allowed(text)


def test_both_the_literal_and_the_decoded_reading_are_asked_about() -> None:
    assert readings("a%2f..%2fx", "/ws").paths == ("/ws/a%2f..%2fx", "/ws/a/../x", "/ws/x")


def test_dots_after_a_link_are_read_as_the_kernel_does_and_as_text(tmp_path: Path) -> None:
    workspace, other = tmp_path / "ws", tmp_path / "other" / "deep"
    workspace.mkdir()
    other.mkdir(parents=True)
    (tmp_path / "other" / "secret").write_text("canary")
    (workspace / "link").symlink_to(other)
    real = [os.path.realpath(path) for path in readings("link/../secret", str(workspace)).paths]
    assert str(tmp_path / "other" / "secret") in real
    assert str(workspace / "secret") in real
    assert not all(is_below(path, str(workspace)) for path in real)


def test_a_relative_path_needs_a_folder() -> None:
    assert readings("x", "").problem
    assert readings("/x", "").paths == ("/x",)


def test_below_is_judged_by_whole_components() -> None:
    assert is_below("/ws", "/ws")
    assert is_below("/ws/a", "/ws")
    assert is_below("/a", "/")
    assert not is_below("/ws-evil/a", "/ws")
    assert not is_below("/w", "/ws")


@pytest.mark.parametrize("path", ["/ws/../x", "/ws/./x", "/ws//x", "/ws/", "ws/x", "", "/ws/\0"])
def test_a_path_that_no_kernel_answers_is_below_nothing(path: str) -> None:
    assert not is_below(path, "/ws")
    assert not is_below("/ws/x", path)


@pytest.mark.parametrize(
    "uri", ["file:///ws/a.txt", "file:///ws/a%20b.txt", "file:///ws/%C3%A9", "file:///ws/dir/", "file:///"]
)
def test_an_ordinary_file_uri_is_canonical(uri: str) -> None:
    found = canonical(uri)
    assert not found.changed
    assert not found.problems
    assert found.path == (unquote(uri.removeprefix("file://")).rstrip("/") or "/")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///ws/../x",
        "file:///ws/./x",
        "file:///ws//x",
        "file:///ws/%2e/x",
        "file:///ws/a%2fb",
        "file:///ws/%61",
        "file:///ws/a%2520b",
        "file:///ws\\x",
        "file://localhost/ws/x",
        "FILE:///ws/x",
        "file:/ws/x",
        " file:///ws/x",
        "file:///ws/e\u0301",
        "file:///ws/x ",
        "file:///ws/\uff0e\uff0e",
    ],
)
def test_a_file_uri_in_another_form_is_changed_or_a_problem(uri: str) -> None:
    found = canonical(uri)
    assert found.changed or found.problems


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "..",
            ".",
            "/",
            "\\",
            "%2e",
            "%2f",
            "%5c",
            "%252e",
            "%252f",
            "%25",
            "a",
            "b",
            "ws",
            "link",
            "~",
            "$",
            " ",
            "%",
            "\uff0e",
            "\uff0f",
            "\u2025",
            "file:",
            "//",
            "%c0%ae",
            "\u00e9",
            "?",
            "#",
            ":",
        ]
    ),
    max_size=12,
).map("".join)


def decoded_by_someone(text: str) -> set[str]:
    """What readers of our own making open for ``text``: each decodes, unifies and collapses as real libraries do."""
    found: set[str] = set()
    for strip_uri in (False, True):
        for rounds in range(4):
            for slashes in (False, True):
                for strip in (False, True):
                    path = text
                    if strip_uri and path.lower().startswith("file://"):
                        path = path[7:]
                    for _ in range(rounds):
                        path = unquote(path, errors="replace")
                    path = path.replace("\\", "/") if slashes else path
                    path = path.strip() if strip else path
                    found.add(posixpath.normpath(posixpath.join("/home/ws", path)))
    return found


@given(FRAGMENTS)
@example("file:///home/ws/x")
@example("a%25252fb/%252e%252e/%252e%252e")
def test_no_reader_leaves_the_folder_when_every_reading_lies_below(text: str) -> None:
    if allowed(text, "/home/ws"):
        for opened in decoded_by_someone(text):
            assert is_below(opened, "/home/ws"), opened


@given(st.text(max_size=60) | FRAGMENTS)
def test_readings_are_total_bounded_absolute_and_exclusive_of_a_problem(text: str) -> None:
    found = readings(text, "/ws")
    assert bool(found.paths) != bool(found.problem)
    assert len(found.paths) <= MAX_READINGS
    assert all(path.startswith("/") for path in found.paths)


@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_characters="/\\\x00", categories=("L", "N", "P", "S", "Zs")),
            min_size=1,
        ),
        min_size=1,
    )
)
def test_a_quoted_name_is_read_back(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    found = readings(f"file://{quote(path)}", "")
    if not found.problem:
        assert posixpath.normpath(path) in {posixpath.normpath(p) for p in found.paths}


@pytest.mark.parametrize(
    "unit", ["../", "a/", "%25", "%2e", "\\", "a:", "//", "\uff0f", "~", " ", "-file:", "${", "x-"]
)
def test_a_long_text_is_judged_in_a_moment(unit: str) -> None:
    # The limit of a string argument is 1 MiB; whatever it holds, the answer must not take longer than a call may.
    text = (unit * (1 << 20))[: 1 << 20]
    start = time.thread_time()
    readings(text, "/ws")
    readings(text[:4000], "/ws")
    canonical(text[:4000])
    assert time.thread_time() - start < 0.25


@pytest.mark.parametrize("name", ["url", "href", "path", "source_file"])
@pytest.mark.parametrize(
    "text",
    [
        "fi" + "\t" * 2_000 + "le:///etc/passwd",
        "fi\tle:///etc/passwd", "file\n:///etc/passwd", "\x01file:///etc/passwd", "\ufefffile:///etc/passwd",
        "local:///etc/passwd", "netdoc:///etc/passwd", "php://filter/resource=/etc/passwd", "glob:///etc/*",
        "simplecache::/etc/passwd", "filecache::file:///etc/passwd", "zip://a.csv::/etc/x.zip", "a::b::local:///etc/x",
        # Each of these was opened by fsspec.
        "local:/etc/passwd", "local:../x", "simplecache::local:/etc/passwd", "simplecache::../x", "simplecache::./../x",
        "dir://etc/passwd::local:/", "dir://" + "a" * 600 + "::local:/", "filecache::file:../x",
    ],
)  # fmt: skip
def test_what_some_reader_opens_as_a_file_is_no_address(name: str, text: str) -> None:
    assert [found for _, found in walk_path_arguments({name: text})] == [text]
    assert readings(text, "/w").problem


@pytest.mark.parametrize(
    "text",
    [
        "https://x.example/a", "s3://bucket/key", "data:text/plain,x", "http://[::1]/a", "http://[fe80::1]:80/x",
        "http://local:8080/x", "http://php:9000/x", "https://web.example/save/https://x.example/", "urn:a:b",
        "http://[fe80::1%25eth0]/x", "https://x.example/a::b",
    ],
)  # fmt: skip
def test_an_address_stays_one(text: str) -> None:
    assert list(walk_path_arguments({"url": text})) == []
    assert not may_open_a_file(text)


def test_a_scheme_of_a_server_may_have_such_a_name() -> None:
    assert list(walk_path_arguments({"uri": "local://notes/1"})) == []
    assert not may_open_a_file("local://notes/1")
    assert readings("Foo::Bar", "/w").paths == ("/w/Foo::Bar",)


@pytest.mark.parametrize(
    "text",
    [
        "a.txt,/etc/passwd",
        "a.txt, ../../etc/passwd",
        "a;/etc/x",
        "a|~/x",
        "/ws/a:/etc/passwd",
        "a,b/../../../x",
        "a,file:/x",
    ],
)
def test_a_list_in_a_text_is_taken_apart_under_a_name_for_several(text: str) -> None:
    found = [path for _, path in walk_path_arguments({"paths": text})]
    assert found[0] == text
    assert not all(allowed(path) for path in found)
    assert [path for _, path in walk_path_arguments({"path": text})] == [text]


@pytest.mark.parametrize("text", ["a.txt,b.txt", "Bach, J. S., ~1720.txt", "v1..v2,x", "test_a.py::test_b", "a: b"])
def test_a_list_whose_parts_stay_is_one_path_more_or_less(text: str) -> None:
    assert [path for _, path in walk_path_arguments({"files": text})] == [text]
    assert allowed(text)


def test_a_variable_that_is_followed_by_another_expands_as_well() -> None:
    assert readings("$HOME$x/.ssh/id", "/ws").problem
    assert readings("$postId.tsx", "/ws").paths == ("/ws/$postId.tsx",)


def test_a_mark_of_byte_order_before_a_path_is_trimmed_by_some() -> None:
    assert "/etc/passwd" in readings("\ufeff/etc/passwd", "/w").paths
    assert is_path_like("pathname")
