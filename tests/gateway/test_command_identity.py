"""Who a command is before it starts, and what follows for the first use, the next, and a changed one.

The attacks are those of ``server-imitation`` on stdio: another executable first on PATH, the same package at another
version or digest, changed arguments, names made to be mistaken.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import IdentityError
from doorward.gateway.identity.command import CommandIdentity, derived_name, identify, is_masked
from doorward.gateway.identity.judgment import (
    Changed,
    First,
    Known,
    NearMiss,
    accept_hint,
    differences,
    judge,
    record_first_use,
)
from doorward.policy.lock import Pin, Pins, read
from doorward.policy.profiles import PROFILES

AT = "2026-11-22T09:00:00Z"
NATIVE = Path(shutil.which("true") or "/bin/true")
ENV = Path(shutil.which("env") or "/usr/bin/env")


def file(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def native(path: Path, extra: bytes = b"") -> Path:
    """A real executable; ``extra`` at its end makes another one of it."""
    return file(path, NATIVE.read_bytes() + extra, 0o755)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def who(*argv: str | Path, cwd: Path, path: str = "", name: str = "") -> CommandIdentity:
    return identify(tuple(map(str, argv)), path=path or f"{cwd}/bin", cwd=str(cwd), name=name)


def pinned(*identities: CommandIdentity) -> Pins:
    return {one.name: one.pin(first_seen=AT, accepted_by="first use") for one in identities}


def changed(pin: CommandIdentity, now: CommandIdentity) -> set[str]:
    verdict = judge(now, pinned(pin), "standard")
    assert isinstance(verdict, Changed)
    return {field for field, _, _ in verdict.differences}


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment in which an installer put the distribution ``notes-server`` with one console script."""
    root = tmp_path / "venv"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    file(root / "pyvenv.cfg", "home = /usr/bin\n")
    site = root / "lib" / "python3.11" / "site-packages"
    file(site / "notes_server" / "__main__.py", "print('notes')\n")
    install(root, "1.0")
    file(root / "bin" / "notes", f"#!{root}/bin/python\nfrom notes_server import main\nmain()\n", 0o755)
    return root


def install(root: Path, version: str) -> None:
    site = root / "lib" / "python3.11" / "site-packages"
    for old in site.glob("*.dist-info"):
        shutil.rmtree(old)
    described = site / f"notes_server-{version}.dist-info"
    file(described / "METADATA", f"Metadata-Version: 2.4\nName: Notes_Server\nVersion: {version}\n\nName: no header\n")
    file(described / "entry_points.txt", "[console_scripts]\nnotes = notes_server:main\n")
    file(described / "RECORD", f"../../../bin/notes,,\nnotes_server/__main__.py,sha256={version},15\n")


# What is known of a command.


def test_an_executable_is_known_by_its_path_and_digest(tmp_path: Path) -> None:
    server = native(tmp_path / "bin" / "server")
    one = who("server", "--fast", cwd=tmp_path)
    assert (one.invoked, one.executable, one.executable_sha256) == (str(server), str(server), digest(server))
    assert (one.script, one.package, one.executable_owner, one.notes) == ("", "", -1, ())


def test_a_link_is_followed_for_the_proof_and_kept_for_the_start(tmp_path: Path) -> None:
    real = native(tmp_path / "opt" / "server")
    link = tmp_path / "bin" / "server"
    link.parent.mkdir()
    link.symlink_to(real)
    one = who("server", cwd=tmp_path)
    assert (one.invoked, one.executable) == (str(link), str(real))


def test_an_interpreter_is_known_by_path_and_owner_and_its_script_by_digest(tmp_path: Path) -> None:
    script = file(tmp_path / "server.py", "print(1)\n")
    one = who(sys.executable, "-W", "error", "-Iu", "server.py", "/data", cwd=tmp_path)
    assert one.executable == os.path.realpath(sys.executable)
    assert one.executable_sha256 == ""
    assert one.executable_owner == Path(one.executable).stat().st_uid
    assert (one.script, one.script_sha256) == (str(script), digest(script))


@pytest.mark.parametrize(
    "words",
    [
        ("-r", "./hook.js", "app.js"),
        ("--require=./hook.js", "app.js"),
        ("--max-old-space-size=64", "app.js", "hook.js"),
        ("--", "app.js"),
    ],
)
def test_nodes_options_are_not_mistaken_for_its_script(tmp_path: Path, words: tuple[str, ...]) -> None:
    native(tmp_path / "bin" / "node")
    file(tmp_path / "hook.js", "")
    script = file(tmp_path / "app.js", "run()")
    assert who("node", *words, cwd=tmp_path).script == str(script)


def test_a_script_is_known_by_its_digest_and_by_the_interpreter_of_its_first_line(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "node")
    script = file(tmp_path / "bin" / "server", f"#!{ENV} -S node --no-warnings\nrun()\n", 0o755)
    one = who("server", cwd=tmp_path)
    assert (one.executable, one.script) == (str(tmp_path / "bin" / "node"), str(script))
    assert one.script_sha256 == digest(script)


def test_a_python_module_is_known_by_its_entry_file_and_its_distribution(venv: Path, tmp_path: Path) -> None:
    one = who(venv / "bin" / "python", "-m", "notes_server", cwd=tmp_path)
    entry = venv / "lib" / "python3.11" / "site-packages" / "notes_server" / "__main__.py"
    assert (one.script, one.script_sha256) == (str(entry), digest(entry))
    assert one.package == "pypi:notes-server 1.0"
    assert one.package_sha256
    assert one.invoked == str(venv / "bin" / "python")


def test_a_module_in_the_working_folder_shadows_the_installed_one_as_it_does_for_python(
    venv: Path, tmp_path: Path
) -> None:
    installed = who(venv / "bin" / "python", "-m", "notes_server", cwd=tmp_path, name="notes")
    shadow = file(tmp_path / "notes_server.py", "print('not the notes')\n")
    one = who(venv / "bin" / "python", "-m", "notes_server", cwd=tmp_path, name="notes")
    assert (one.script, one.package) == (str(shadow), "")
    assert changed(installed, one) == {"script", "script_sha256", "package", "package_sha256"}


def test_a_console_script_is_known_by_the_distribution_behind_it(venv: Path, tmp_path: Path) -> None:
    one = who(venv / "bin" / "notes", cwd=tmp_path)
    assert one.package == "pypi:notes-server 1.0"
    assert one.script == str(venv / "bin" / "notes")


@pytest.mark.parametrize(("folder", "label"), [("pkg", "npm:pkg 1.2.3"), ("@scope/pkg", "npm:@scope/pkg 1.2.3")])
def test_a_node_package_is_known_by_its_entry_file_and_its_description(tmp_path: Path, folder: str, label: str) -> None:
    native(tmp_path / "bin" / "node")
    root = tmp_path / "node_modules" / folder
    described = file(root / "package.json", f'{{"name": "{folder}", "version": "1.2.3"}}')
    entry = file(root / "dist" / "index.js", f"#!{ENV} node\nrun()", 0o755)
    link = tmp_path / "node_modules" / ".bin" / "pkg"
    link.parent.mkdir()
    link.symlink_to(entry)
    one = who(link, cwd=tmp_path)
    assert (one.script, one.package, one.package_sha256) == (str(entry), label, digest(described))


@pytest.mark.parametrize(
    ("words", "package", "noted"),
    [
        ("npx -y @scope/server@2025.3.28 /data", "npm:@scope/server 2025.3.28", False),
        ("npx -y server", "npm:server", True),
        ("npx --package=server@1.0.0 -- bin", "npm:server 1.0.0", False),
        ("npx server@latest", "npm:server", True),
        ("npm exec --yes server@1.0.0", "npm:server 1.0.0", False),
        ("pnpm dlx server@1.0.0", "npm:server 1.0.0", False),
        ("uvx --python 3.12 Notes_Server==1.0", "pypi:notes-server 1.0", False),
        ("uvx --from notes-server[http]@1.0 notes", "pypi:notes-server 1.0", False),
        ("uv tool run notes-server", "pypi:notes-server", True),
        ("pipx run --spec notes-server==1.0 notes", "pypi:notes-server 1.0", False),
        ("uvx notes-server>=1.0", "pypi:notes-server", True),
        ("uvx --from notes-server[http]~=1.0,!=1.3 notes", "pypi:notes-server", True),
        ("uvx notes-server==1.*", "pypi:notes-server", True),
        ("uvx notes-server===1.0", "pypi:notes-server 1.0", False),
        ("uvx notes-server==1.0,>=0.9", "pypi:notes-server", True),
        ("bun x server@1.0.0", "npm:server 1.0.0", False),
        ("bun server.ts", "", True),
        ("npx -y github:who/server", "npm:github:who/server", True),
        ("npm run start", "", True),
        ("env X=1 server", "", True),
    ],
)
def test_a_launcher_is_known_by_the_package_that_it_is_told_to_run(
    tmp_path: Path, words: str, package: str, noted: bool
) -> None:
    argv = words.split()
    native(tmp_path / "bin" / argv[0])
    one = who(*argv, cwd=tmp_path)
    assert one.package == package
    assert bool(one.notes) is noted
    assert (one.executable_sha256, one.executable_owner) == ("", os.geteuid())


@pytest.mark.parametrize("argv", [("python", "-c", "print()"), ("sh", "-c", "server"), ("node", "-e", "1"), ("ruby",)])
def test_code_on_the_command_line_is_known_by_the_arguments_and_said_so(tmp_path: Path, argv: tuple[str, ...]) -> None:
    native(tmp_path / "bin" / argv[0])
    one = who(*argv, cwd=tmp_path)
    assert (one.script, len(one.notes)) == ("", 1)
    assert "by its arguments only" in one.notes[0]


def test_the_verified_identity_holds_the_whole_proof(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    one = who("server", "x", cwd=tmp_path)
    proof = one.verified()
    assert (proof.kind, proof.name) == ("command", one.name)
    assert dict(proof.evidence) == {
        "arguments-sha256": one.arguments_sha256,
        "executable": one.executable,
        "executable-sha256": one.executable_sha256,
    }
    assert who("server", "y", cwd=tmp_path).verified().fingerprint != proof.fingerprint


# What has no identity.


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        ((), "there is no command"),
        (("",), "there is no command"),
        (("missing",), "'missing' is nowhere on PATH"),
        (("./missing",), "is not an executable file"),
        (("server", "a\0b"), "NUL"),
        (("server", "\udcff"), "not UTF-8"),
    ],
)
def test_what_cannot_be_a_command_has_no_identity(tmp_path: Path, argv: tuple[str, ...], what: str) -> None:
    native(tmp_path / "bin" / "server")
    with pytest.raises(IdentityError, match=what):
        who(*argv, cwd=tmp_path)


def test_a_file_that_everybody_may_write_has_no_identity(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server").chmod(0o777)
    with pytest.raises(IdentityError, match="everybody may write"):
        who("server", cwd=tmp_path)
    file(tmp_path / "server.py", "", 0o666)
    with pytest.raises(IdentityError, match="everybody may write"):
        who(sys.executable, "server.py", cwd=tmp_path)


def test_a_name_that_could_be_mistaken_is_no_name(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    with pytest.raises(IdentityError, match="cannot be the name"):
        who("server", cwd=tmp_path, name="no tes")


# Names.


def test_two_entries_of_one_package_with_other_folders_have_two_names() -> None:
    one, other = (derived_name(("npx", "-y", "@scope/server-files@1.0.0", folder)) for folder in ("/a", "/b"))
    assert one != other
    assert one.startswith("server-files-")
    assert len(one) == len("server-files-") + 8


@pytest.mark.parametrize(
    ("argv", "start"),
    [
        (("python3.12", "-m", "notes.server"), "notes.server-"),
        (("python", "/srv/notes/main.py"), "main-"),
        (("/opt/Größe", "x"), "Gr-e-"),
        (("node", "-e", "1"), "node-"),
        (("bash", "start.sh"), "start-"),
        (("/--",), "server-"),
    ],
)
def test_a_derived_name_tells_what_runs(argv: tuple[str, ...], start: str) -> None:
    assert derived_name(argv).startswith(start)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=4))
def test_any_command_gets_a_name_that_is_one(argv: list[str]) -> None:
    from doorward.policy.identity import name_problem

    assert name_problem(derived_name(tuple(argv))) == ""


# The judgment.


def test_the_first_use_is_recorded_by_standard_and_asks_in_strict(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    one = who("server", cwd=tmp_path)
    assert judge(one, {}, "standard") == First(asks=False)
    assert judge(one, {}, "strict") == First(asks=True)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_command_is_known(tmp_path: Path, profile: str) -> None:
    native(tmp_path / "bin" / "server")
    one = who("server", cwd=tmp_path)
    pins = pinned(one)
    assert judge(who("server", cwd=tmp_path), pins, profile) == Known(pins[one.name])


@pytest.mark.parametrize("profile", PROFILES)
def test_another_executable_first_on_path_is_a_change(tmp_path: Path, profile: str) -> None:
    native(tmp_path / "bin" / "server")
    native(tmp_path / "evil" / "server", b"\0")
    before = who("server", cwd=tmp_path)
    now = who("server", cwd=tmp_path, path=f"{tmp_path}/evil:{tmp_path}/bin")
    verdict = judge(now, pinned(before), profile)
    assert verdict == Changed(
        (
            ("executable", f"{tmp_path}/bin/server", f"{tmp_path}/evil/server"),
            ("executable_sha256", before.executable_sha256, now.executable_sha256),
        )
    )


def test_a_script_that_replaces_an_executable_is_a_change_under_the_same_name(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    before = who("server", cwd=tmp_path)
    native(tmp_path / "bin" / "node")
    file(tmp_path / "evil" / "server", f"#!{tmp_path}/bin/node\n", 0o755)
    now = who("server", cwd=tmp_path, path=f"{tmp_path}/evil")
    assert {"executable", "script", "executable_owner"} <= changed(before, now)


def test_an_edited_script_is_a_change(tmp_path: Path) -> None:
    script = file(tmp_path / "server.py", "print(1)\n")
    before = who(sys.executable, "server.py", cwd=tmp_path)
    script.write_text("print(2)\n")
    assert changed(before, who(sys.executable, "server.py", cwd=tmp_path)) == {"script_sha256"}


def test_an_upgraded_distribution_is_a_change_though_its_console_script_is_the_same(venv: Path, tmp_path: Path) -> None:
    before = who(venv / "bin" / "notes", cwd=tmp_path)
    install(venv, "1.1")
    now = who(venv / "bin" / "notes", cwd=tmp_path)
    verdict = judge(now, pinned(before), "standard")
    assert isinstance(verdict, Changed)
    assert ("package", "pypi:notes-server 1.0", "pypi:notes-server 1.1") in verdict.differences
    assert {field for field, _, _ in verdict.differences} == {"package", "package_sha256"}


def test_changed_arguments_are_a_change_under_a_name_and_another_entry_without_one(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    before, now = (who("server", folder, cwd=tmp_path, name="files") for folder in ("/a b", "/"))
    assert judge(now, pinned(before), "standard") == Changed((("arguments", "'/a b'", "/"),))
    before, now = (who("server", folder, cwd=tmp_path) for folder in ("/a b", "/"))
    assert judge(now, pinned(before), "standard") == First(asks=False)


def test_words_are_compared_and_not_the_line_that_they_make(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    before, now = who("server", "a b", cwd=tmp_path, name="x"), who("server", "a", "b", cwd=tmp_path, name="x")
    assert changed(before, now) == {"arguments"}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("known", "new"),
    [
        ("trusted.internal", "trustecl.internal"),
        ("github-tools", "gihtub-tools"),
        ("notes", "Notes"),
        ("notes", "notse"),
        ("git", "gti"),
        ("trusted.internal", "trusted.1nternal"),
    ],
)
def test_a_name_like_a_known_one_asks_in_every_profile(tmp_path: Path, profile: str, known: str, new: str) -> None:
    native(tmp_path / "bin" / "one")
    native(tmp_path / "bin" / "something-else", b"\0")
    verdict = judge(
        who("something-else", cwd=tmp_path, name=new), pinned(who("one", cwd=tmp_path, name=known)), profile
    )
    assert verdict == NearMiss(known, f"the name {new} can be mistaken for {known}")


def test_a_name_in_its_encoded_form_is_compared_as_it_displays(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "one")
    native(tmp_path / "bin" / "something-else", b"\0")
    known = pinned(who("one", cwd=tmp_path, name="trusted.internal"))
    verdict = judge(who("something-else", cwd=tmp_path, name="xn--truted-kvf.internal"), known, "standard")
    assert isinstance(verdict, NearMiss)
    assert (verdict.of, "displays as tru\u0455ted.internal" in verdict.why) == ("trusted.internal", True)


@pytest.mark.parametrize(
    ("known", "new"),
    [("git", "fs"), ("notes", "mail"), ("git", "gitlab"), ("a", "b"), ("server-1", "server-2"), ("db-9", "db-10")],
)
def test_a_name_that_is_merely_short_or_related_does_not_ask(tmp_path: Path, known: str, new: str) -> None:
    native(tmp_path / "bin" / "first-program")
    native(tmp_path / "bin" / "second", b"\0")
    pins = pinned(who("first-program", cwd=tmp_path, name=known))
    assert judge(who("second", cwd=tmp_path, name=new), pins, "standard") == First(asks=False)


@pytest.mark.parametrize(
    "spec",
    [
        "@modelcontextpr0tocol/server-filesystem@1.0.0",
        "@modelcontextprotocol/server-filesystern@1.0.0",
        "@modelcontextprotocol/server\u2010filesystem@1.0.0",
        "@modelcontextprotocol/server-file\u200bsystem@1.0.0",
        "@modelcontextprotocol/\uff53erver-filesystem@1.0.0",
        "@modelcontextprotocol/server-fil\u0435system@1.0.0",
        "@evil/server-filesystem@1.0.0",
        "server-filesystem@1.0.0",
    ],
)
def test_a_package_like_a_known_one_asks(tmp_path: Path, spec: str) -> None:
    native(tmp_path / "bin" / "npx")
    pins = pinned(who("npx", "@modelcontextprotocol/server-filesystem@1.0.0", cwd=tmp_path, name="files"))
    verdict = judge(who("npx", spec, cwd=tmp_path, name="something"), pins, "standard")
    assert isinstance(verdict, NearMiss)
    assert verdict.of == "files"
    assert "can be mistaken for npm:@modelcontextprotocol/server-filesystem" in verdict.why


def test_the_same_package_in_another_registry_asks(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "npx")
    native(tmp_path / "bin" / "uvx")
    pins = pinned(who("uvx", "mcp-server-git@1.0.0", cwd=tmp_path, name="git"))
    assert isinstance(
        judge(who("npx", "mcp-server-git@1.0.0", cwd=tmp_path, name="versions"), pins, "standard"), NearMiss
    )


def test_the_same_package_at_another_version_asks(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "npx")
    pins = pinned(who("npx", "server@1.0.0", "/a", cwd=tmp_path))
    verdict = judge(who("npx", "server@1.0.1", "/a", cwd=tmp_path), pins, "standard")
    assert isinstance(verdict, NearMiss)
    assert verdict.why == "package npm:server is known at 1.0.0, this is 1.0.1"


def test_an_executable_of_the_same_name_elsewhere_asks(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    native(tmp_path / "tmp" / "server", b"\0")
    pins = pinned(who(tmp_path / "bin" / "server", cwd=tmp_path, name="files"))
    verdict = judge(who(tmp_path / "tmp" / "server", cwd=tmp_path, name="other"), pins, "standard")
    assert verdict == NearMiss("files", f"{tmp_path}/tmp/server can be mistaken for {tmp_path}/bin/server")


def test_a_command_without_a_name_does_not_pass_for_a_named_server(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "first")
    native(tmp_path / "bin" / "notes", b"\0")
    pins = pinned(who("first", cwd=tmp_path, name="notes"))
    verdict = judge(who("notes", cwd=tmp_path), pins, "standard")
    assert verdict == NearMiss("notes", "another program is already called notes")


def test_two_scripts_of_one_file_name_in_two_projects_are_two_servers(tmp_path: Path) -> None:
    for project in ("one", "two"):
        file(tmp_path / project / "server.py", project)
    pins = pinned(who(sys.executable, tmp_path / "one" / "server.py", cwd=tmp_path))
    assert judge(who(sys.executable, tmp_path / "two" / "server.py", cwd=tmp_path), pins, "standard") == First(
        asks=False
    )


# Keeping it.


def test_a_first_use_is_kept_and_then_known(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    lock = tmp_path / "state" / "doorward.lock"
    one = who("server", cwd=tmp_path)
    assert record_first_use(lock, one, "standard", at=AT) == First(asks=False)
    pins = read(lock)
    assert pins == pinned(one)
    assert record_first_use(lock, one, "standard", at=AT) == Known(pins[one.name])


def test_what_asks_or_changed_is_not_kept(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    native(tmp_path / "bin" / "other", b"\0")
    lock = tmp_path / "state" / "doorward.lock"
    one = who("server", cwd=tmp_path, name="notes")
    assert record_first_use(lock, one, "strict", at=AT) == First(asks=True)
    assert read(lock) == {}
    record_first_use(lock, one, "standard", at=AT)
    for name in ("notes", "note5"):
        record_first_use(lock, who("other", cwd=tmp_path, name=name), "standard", at=AT)
    assert read(lock) == pinned(one)


def test_a_secret_among_the_arguments_is_compared_but_not_kept(tmp_path: Path) -> None:
    native(tmp_path / "bin" / "server")
    tokens = ["ghp_" + letter * 36 for letter in "aB"]
    before, now = (who("server", "--token", token, "/data", cwd=tmp_path, name="hub") for token in tokens)
    pin = before.pin(first_seen=AT, accepted_by="first use")
    assert tokens[0] not in str(pin)
    assert pin.argv[3] == "/data"
    assert is_masked(pin)
    [(field, old, new)] = differences(pin, now)
    assert field == "arguments"
    assert tokens[1] not in old + new
    assert new.endswith("(a masked value differs)")
    assert tokens[1] not in accept_hint(now, pin)


def test_the_hint_says_what_to_type(tmp_path: Path) -> None:
    script = file(tmp_path / "server.py", "1")
    argv = (sys.executable, "server.py", "/a b")
    one = who(*argv, cwd=tmp_path)
    pin = one.pin(first_seen=AT, accepted_by="first use")
    assert not is_masked(pin)
    script.write_text("2")
    assert accept_hint(who(*argv, cwd=tmp_path), pin) == f"doorward pin accept {one.name}"
    assert accept_hint(one) == f"doorward pin accept -- {sys.executable} server.py '/a b'"
    assert accept_hint(who("sh", cwd=tmp_path, path=os.defpath, name="x")) == "doorward pin accept --name x -- sh"


def test_a_pin_is_read_back_as_it_was_made(tmp_path: Path, venv: Path) -> None:
    lock = tmp_path / "doorward.lock"
    for one in (who(venv / "bin" / "notes", cwd=tmp_path), who("sh", "-c", "x", cwd=tmp_path, path=os.defpath)):
        record_first_use(lock, one, "standard", at=AT)
        kept: Pin = read(lock)[one.name]
        assert kept == one.pin(first_seen=AT, accepted_by="first use")
