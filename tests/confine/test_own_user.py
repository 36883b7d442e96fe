"""As whom a server runs that root started: never as somebody who can do more than its folders ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.confine.conftest import World

from doorward.confine import process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start something as somebody else")

NOBODYS = 59_999
LOOK = 'id -u; stat -c %u "$0" "$TMPDIR" "$npm_config_cache/.."; echo mine > "$0/made"; cat "$0/made"'


def look(world: World) -> list[str]:
    script = f'mkdir -p "$npm_config_cache"; {LOOK}'
    status, out, err = world.run(["/bin/sh", "-c", script, str(world.folder)])
    assert (status, err) == (0, "")
    return out.split()


def test_it_is_the_owner_of_the_folder_that_it_was_given(tmp_path: Path) -> None:
    world = World(tmp_path, "namespaces")
    os.chown(world.folder, NOBODYS, NOBODYS)
    world.folder.chmod(0o700)
    assert look(world) == [str(NOBODYS)] * 4 + ["mine"]
    made = (world.folder / "made").stat()
    assert (made.st_uid, made.st_gid) == (NOBODYS, NOBODYS)


def test_of_a_folder_of_roots_it_is_the_owner_without_being_root(tmp_path: Path) -> None:
    world = World(tmp_path, "namespaces")
    assert look(world) == ["1000"] * 4 + ["mine"]
    assert (world.folder / "made").stat().st_uid == 0


def test_its_cache_goes_to_whoever_it_is_at_that_start_and_a_link_in_it_is_not_followed(tmp_path: Path) -> None:
    world = World(tmp_path, "namespaces")
    look(world)
    cache = world.state / "cache" / "test"
    kept = world.outside / "canary.txt"
    (cache / "link").symlink_to(kept)
    (cache / "npm" / "kept").write_text("by root")
    (world.folder / "made").unlink()
    os.chown(world.folder, NOBODYS, NOBODYS)
    assert look(world)[0] == str(NOBODYS)
    owners = {path: path.lstat().st_uid for path in (cache, cache / "link", cache / "npm", cache / "npm" / "kept")}
    assert set(owners.values()) == {NOBODYS}
    assert kept.stat().st_uid == 0


def test_by_landlock_alone_it_stays_root_without_a_capability(tmp_path: Path) -> None:
    world = World(tmp_path, "landlock")
    argv = ["/bin/sh", "-c", 'id -u; grep -h "^Cap" /proc/$$/status', str(world.folder)]
    os.chown(world.folder, NOBODYS, NOBODYS)
    child = process.start(argv, world.profile(argv))
    os.close(child.stdin)
    with child, open(child.stdout) as out, open(child.stderr):
        user, *capabilities = out.read().splitlines()
        assert child.wait(20) == 0
    assert user == "0"
    assert {int(line.split()[1], 16) for line in capabilities} == {0}
