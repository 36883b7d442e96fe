"""``real_path`` arrives where the kernel arrives, and says None where the kernel would arrive nowhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doorward.confine.paths import MAX_LINKS, real_path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    top = tmp_path.resolve()
    (top / "ws" / "sub").mkdir(parents=True)
    (top / "ws" / "file").write_text("x")
    (top / "ws-evil").mkdir()
    (top / "ws" / "out").symlink_to("../ws-evil")
    (top / "ws" / "abs").symlink_to(top / "ws" / "sub")
    (top / "ws" / "loop").symlink_to("loop")
    (top / "ws" / "gone").symlink_to("nowhere/deeper")
    return top


@pytest.mark.parametrize(
    ("asked", "arrives"),
    [
        ("ws/file", "ws/file"),
        ("ws//./sub/../file", "ws/file"),
        ("ws/out/x", "ws-evil/x"),
        ("ws/out/..", ""),
        ("ws/abs/new/file", "ws/sub/new/file"),
        ("ws/missing/../../ws-evil/x", "ws-evil/x"),
        ("ws/missing/../out/y", "ws-evil/y"),
        ("ws/gone/x", "ws/nowhere/deeper/x"),
        ("ws/sub/", "ws/sub"),
    ],
)
def test_a_path_arrives_where_its_links_lead(place: Path, asked: str, arrives: str) -> None:
    assert real_path(f"{place}/{asked}") == str(place / arrives)


@pytest.mark.parametrize(
    "asked", ["ws/loop", "ws/loop/x", "ws/file/x", "ws/file/..", "ws/file/", "ws/fi\0le", "a" * 5000]
)
def test_a_path_that_the_kernel_refuses_arrives_nowhere(place: Path, asked: str) -> None:
    assert real_path(f"{place}/{asked}") is None


@pytest.mark.parametrize("asked", ["", "relative", "./x", "\udfff"])
def test_only_absolute_paths_have_an_answer(asked: str) -> None:
    assert real_path(asked) is None


def test_a_lone_surrogate_that_stands_for_no_byte_has_no_answer() -> None:
    assert real_path("/\ud800") is None


def test_above_the_root_is_the_root() -> None:
    assert real_path("/../../..") == "/"


def test_a_chain_of_links_is_followed_as_far_as_the_kernel_does(tmp_path: Path) -> None:
    end = tmp_path.resolve() / "link0"
    end.write_text("x")
    for number in range(1, MAX_LINKS + 2):
        (tmp_path / f"link{number}").symlink_to(f"link{number - 1}")
    assert real_path(str(tmp_path.resolve() / f"link{MAX_LINKS}")) == str(end)
    assert real_path(str(tmp_path.resolve() / f"link{MAX_LINKS + 1}")) is None
    with pytest.raises(OSError, match="symbolic links"):
        (tmp_path / f"link{MAX_LINKS + 1}").stat()


PARTS = st.lists(st.sampled_from(["ws", "sub", "file", "out", "abs", "gone", "loop", "..", ".", "", "new"]), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(parts=PARTS)
def test_whatever_can_be_opened_was_answered_with_the_path_that_was_opened(place: Path, parts: list[str]) -> None:
    asked = "/".join([str(place), *parts])
    try:
        opened = os.open(asked, os.O_PATH)
    except OSError:
        return
    try:
        assert real_path(asked) == str(Path(f"/proc/self/fd/{opened}").readlink())
    finally:
        os.close(opened)
