"""The front of the command line: verbs, options on either side of them, errors, exit codes, places, output."""

from __future__ import annotations

import argparse
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import doorward
from doorward.cli import places, terminal
from doorward.cli.main import VERBS, main
from doorward.errors import UsageError

CONSOLE_ENTRY = "from doorward.cli.main import run; run()"
SHORT_ENVIRONMENT = ("HOME", "DOORWARD_STATE", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "NO_COLOR")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in (*SHORT_ENVIRONMENT, "DOORWARD_DEBUG"):
        monkeypatch.delenv(variable, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


# Help.


def test_help_names_every_verb_and_imports_none() -> None:
    probe = (
        "import sys\n"
        "from doorward.cli.main import main\n"
        "code = main(['--help'])\n"
        "heavy = {'msgspec', 'asyncio', 'json', 'tomllib', 'cryptography', 'rapidfuzz', 'jsonschema_rs', 'socket'}\n"
        "loaded = heavy & set(sys.modules) | {name for name in sys.modules if name.startswith('doorward.')}\n"
        "print(code, sorted(loaded))\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    for verb in ("wrap", "consent", "audit", "pin", "policy", "demo"):
        assert f"\n  {verb} " in done.stdout
    ours = ["doorward.cli", "doorward.cli.main", "doorward.cli.terminal", "doorward.errors"]
    assert done.stdout.splitlines()[-1] == f"0 {ours}"


def test_the_readme_names_every_verb() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## The verbs\n")[2].partition("\n## ")[0]
    assert [verb for verb in VERBS if f"`doorward {verb}" not in table] == []


def test_a_verb_imports_no_other_verb() -> None:
    probe = (
        "import sys\n"
        "from doorward.cli.main import VERBS, main\n"
        "main(['policy', 'show', '--help'])\n"
        "print(sorted(name for name, verb in VERBS.items() if verb.module in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "['policy']"


@pytest.mark.parametrize(
    "argv", ["demo", "demo --list", "attack --list", "attack --stdio -- true", "attack --client -- true"]
)
def test_without_the_extra_of_the_lab_it_is_named_and_nothing_is_a_defect(argv: str) -> None:
    without = "import sys\nsys.modules.update(dict.fromkeys(('anyio', 'httpx2', 'mcp', 'mcp_types')))\n"
    done = subprocess.run(
        [sys.executable, "-c", without + CONSOLE_ENTRY, *argv.split()],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("doorward: error: the lab needs the MCP SDK\ndoorward: hint: install doorward with")


def test_nothing_to_do_prints_help_on_stderr_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("doorward: the security layer")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"doorward {doorward.__version__}\n"


# Usage errors.


@pytest.mark.parametrize(
    ("argv", "error", "hint"),
    [
        (["polcy", "show"], "there is no verb 'polcy'", "doorward policy"),
        (["xyzzy"], "there is no verb 'xyzzy'", "doorward --help"),
        (["pin"], "the following arguments are required: list|accept|remove", "doorward pin --help"),
        (["policy", "show", "--prof", "strict"], "unrecognised: --prof strict", "doorward policy --help"),
        (["pin", "accept", "a", "b"], "unrecognised: b", "doorward pin [options] -- COMMAND…"),
        (["policy", "show", "--", "ls"], "policy takes no command after --", "doorward policy --help"),
        (["--state"], "argument --state: expected one argument", "doorward --help"),
        (["--stat", "/tmp", "pin", "list"], "unrecognised: --stat", "doorward --help"),
        (["-v"], "unrecognised: -v", "doorward --help"),
        (["wrap", "npx", "-y"], "'npx' is no option: a command begins after --", "doorward wrap [options] -- COMMAND…"),
        (["wrap", "--name", "", "--", "x"], "--name is empty", "leave it out, and a name is made of the command"),
        (["--json", "demo", "--list"], "--json of demo names a file", "doorward demo --json FILE, - for stdout"),
        (["--json", "attack"], "--json of attack names a file", "doorward attack --json FILE, - for stdout"),
    ],
)
def test_wrong_use_is_one_error_one_hint_and_exit_2(
    capsys: pytest.CaptureFixture[str], argv: list[str], error: str, hint: str
) -> None:
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"doorward: error: {error}\ndoorward: hint: {hint}\n")


# Options before and after the verb.


@pytest.mark.parametrize(
    "argv",
    [
        ["--state", "{}", "--json", "pin", "list"],
        ["pin", "--state", "{}", "list", "--json"],
        ["pin", "list", "--json", "--state={}"],
        ["--json", "pin", "list", "--state", "{}"],
    ],
)
def test_state_and_json_stand_before_or_after_the_verb(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: list[str]
) -> None:
    state = tmp_path / "pin"  # a verb's name as an option's value is a value
    if argv[1] == "--state" and argv[0] == "pin":
        argv = [argv[0], argv[3], *argv[1:3], *argv[4:]]
    assert main([word.format(state) for word in argv]) == 0
    assert capsys.readouterr().out == f'{{\n  "lock": "{state}/doorward.lock",\n  "pins": []\n}}\n'


def test_of_two_values_the_later_one_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--state", str(tmp_path / "a"), "pin", "list", "--json", "--state", str(tmp_path / "b")]) == 0
    assert f"{tmp_path}/b/doorward.lock" in capsys.readouterr().out


def test_a_verb_that_writes_json_to_a_file_takes_its_name_on_either_side(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "reporting_verb.py").write_text(
        "def register(verbs, common):\n"
        "    parser = verbs.add_parser('demo', parents=[common])\n"
        "    parser.set_defaults(run=lambda args: 0 if args.json == 'out.json' else 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(VERBS, "demo", VERBS["demo"]._replace(module="reporting_verb"))
    assert main(["demo", "--json", "out.json"]) == 0
    assert main(["--json", "out.json", "demo"]) == 0
    assert main(["demo"]) == 1
    assert main(["demo", "--json"]) == 2


def test_what_follows_the_dashes_is_the_command_whatever_it_looks_like(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taking_verb.py").write_text(
        "taken = []\n"
        "def register(verbs, common):\n"
        "    parser = verbs.add_parser('wrap', parents=[common])\n"
        "    parser.set_defaults(run=lambda args: taken.append((args.command, args.json)) or 7, takes_command=True)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(VERBS, "wrap", VERBS["wrap"]._replace(module="taking_verb"))
    assert main(["wrap", "--", "demo", "--json", "--", "--state", ""]) == 7
    assert main(["wrap"]) == 7
    import taking_verb  # type: ignore[import-not-found]

    assert taking_verb.taken == [(("demo", "--json", "--", "--state", ""), False), ((), False)]


# Ends.


def failing_verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, statement: str) -> None:
    (tmp_path / "failing_verb.py").write_text(
        "import os, signal, sys\n"
        "def register(verbs, common):\n"
        "    verbs.add_parser('wrap', parents=[common]).set_defaults(run=run)\n"
        f"def run(args):\n    {statement}\n"
    )
    sys.modules.pop("failing_verb", None)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(VERBS, "wrap", VERBS["wrap"]._replace(module="failing_verb"))


def test_a_defect_is_told_without_a_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing_verb(monkeypatch, tmp_path, "raise ValueError('odd \\x1b[2J thing')")
    assert main(["wrap"]) == 2
    assert capsys.readouterr().err == (
        "doorward: error: internal error: ValueError: odd \\x1b[2J thing\n"
        "doorward: hint: this is a defect of doorward; DOORWARD_DEBUG=1 shows where\n"
    )


def test_with_doorward_debug_a_defect_shows_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing_verb(monkeypatch, tmp_path, "raise ValueError('odd')")
    monkeypatch.setenv("DOORWARD_DEBUG", "1")
    with pytest.raises(ValueError, match="odd"):
        main(["wrap"])


def test_a_file_that_cannot_be_read_is_told_with_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing_verb(monkeypatch, tmp_path, "open('/nowhere/at/all')")
    assert main(["wrap"]) == 2
    assert capsys.readouterr().err == "doorward: error: /nowhere/at/all: no such file or directory\n"


def test_every_problem_of_a_policy_is_told_with_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text('profil = "strict"\n\n[log]\nfloor = "loud"\n')
    assert main(["-c", str(policy), "policy", "show"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition(" is not one of")[0] for line in err.splitlines()[:3]] == [
        f"doorward: error: {policy}:1: profil: is not a known key",
        "doorward: hint: did you mean 'profile'",
        f"doorward: error: {policy}:4: log.floor: 'loud'",
    ]


def test_an_interrupt_ends_quietly_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing_verb(monkeypatch, tmp_path, "os.kill(os.getpid(), signal.SIGINT); signal.pause()")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["wrap"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_left_ends_it_quietly_with_141() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-c", CONSOLE_ENTRY, "policy", "show"],
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


CLOSED = 'exec "$0" -c "$@" '
"""A shell's line that starts the console entry, to which redirections are added."""


def run_closed(closed: str, *argv: str) -> subprocess.CompletedProcess[str]:
    line = ("/bin/sh", "-c", CLOSED + closed, sys.executable, CONSOLE_ENTRY, *argv)
    return subprocess.run(line, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("to", "why"), [(">&-", "bad file descriptor"), (">/dev/full", "no space left on device")])
@pytest.mark.parametrize("argv", [("policy", "show"), ("policy", "check"), ("--json", "policy", "show")])
def test_a_result_that_nobody_can_get_is_an_error_and_no_defect(argv: tuple[str, ...], to: str, why: str) -> None:
    done = run_closed(to, *argv)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"doorward: error: {why}\n")


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_a_stream_that_was_closed_before_is_not_taken_for_another(closed: str) -> None:
    """Else what is opened first becomes the input or the log, and libuv ends the process when it is closed."""
    done = run_closed(closed, "wrap", "--name", "x", "--", "cat")
    assert (done.returncode, done.stdout) == (0, "")
    assert ("first use of x" in done.stderr) == ("2>" not in closed)


def test_a_wrap_whose_output_is_closed_ends(own_home: Path) -> None:
    assert run_closed("<&- >&- 2>&-", "wrap", "--name", "x", "--", "cat").returncode == 0
    assert list((own_home / ".local/state/doorward/audit").glob("*")), "it was started"


def test_a_terminal_that_knows_ascii_only_gets_escapes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONSOLE_ENTRY, "policy", "show"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u2212" in done.stdout


# Output.


def test_what_a_terminal_would_obey_or_an_eye_would_miss_is_written_out() -> None:
    assert terminal.visible("a\x1b]0;x\x07\u202e\u200b\x9bb\ud800\U000e0041é—\n") == (
        "a\\x1b]0;x\\x07\\u202e\\u200b\\x9bb\\ud800\\U000e0041é—\n"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_and_ends_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.has_colour(Terminal())
    assert not terminal.has_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.has_colour(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert terminal.has_colour(Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.has_colour(Terminal())


def test_a_style_encloses_the_text_and_the_text_cannot_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen)
    terminal.write("a\x1b[0mb", style=terminal.BOLD)
    assert screen.getvalue() == "\x1b[1ma\\x1b[0mb\x1b[0m\n"


# Places.


def given(**options: str) -> argparse.Namespace:
    return argparse.Namespace(**options)


def test_the_state_is_where_the_nearest_word_says(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert places.state_directory(given()) == own_home / ".local" / "state" / "doorward"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert places.state_directory(given()) == tmp_path / "xdg" / "doorward"
    monkeypatch.setenv("DOORWARD_STATE", str(tmp_path / "variable"))
    assert places.state_directory(given()) == tmp_path / "variable"
    assert places.state_directory(given(state=str(tmp_path / "option"))) == tmp_path / "option"


def test_a_relative_option_is_made_absolute_and_a_relative_xdg_variable_ignored(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "xdg")
    assert places.state_directory(given()) == own_home / ".local" / "state" / "doorward"
    assert places.state_directory(given(state="here")) == tmp_path / "here"


def test_without_home_the_password_database_knows_where_the_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    from doorward.policy.home import home

    monkeypatch.delenv("HOME")
    assert home() == Path(pwd.getpwuid(os.geteuid()).pw_dir)


def test_the_state_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    made = places.state_directory(given(state=str(tmp_path / "new" / "state")))
    assert made.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_state_in_which_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)
    with pytest.raises(UsageError, match="others may write in it"):
        places.state_directory(given(state=str(tmp_path / "state")))


def test_a_state_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(UsageError, match="it belongs to user"):
        places.state_directory(given(state=str(tmp_path / "state")))


def test_a_state_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(UsageError, match=r"cannot use .*state: file exists"):
        places.state_directory(given(state=str(tmp_path / "state")))


def test_policy_never_comes_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cloned = tmp_path / "cloned"
    cloned.mkdir()
    (cloned / "doorward.toml").write_text('profile = "strict"\n')
    monkeypatch.chdir(cloned)
    assert places.policy_path(given()) is None
    monkeypatch.setenv("XDG_CONFIG_HOME", ".")
    assert places.policy_path(given()) is None


def test_the_policy_is_the_named_one_else_the_users(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = own_home / ".config" / "doorward" / "doorward.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text("")
    assert places.policy_path(given()) == usual
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert places.policy_path(given()) is None
    assert places.policy_path(given(config="/not/there.toml")) == Path("/not/there.toml")


def test_a_policy_that_went_missing_is_not_the_absence_of_one(own_home: Path) -> None:
    usual = own_home / ".config" / "doorward" / "doorward.toml"
    usual.parent.mkdir(parents=True)
    usual.symlink_to("gone")
    assert places.policy_path(given()) == usual


def test_the_lock_file_lies_beside_the_named_policy_else_in_the_state(own_home: Path, tmp_path: Path) -> None:
    assert places.lock_path(given(config=str(tmp_path / "p.toml"))) == tmp_path / "doorward.lock"
    assert places.lock_path(given()) == own_home / ".local" / "state" / "doorward" / "doorward.lock"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose name leaves room for a socket's path, on a machine on which nobody is logged in."""
    with tempfile.TemporaryDirectory(prefix="dw-") as name:
        folder = Path(name)
        for title in ("login", "tmp"):
            (folder / title).mkdir()
        monkeypatch.setattr(places, "LOGIN_DIRECTORIES", f"{name}/login")
        monkeypatch.setattr(places, "_SHORT_DIRECTORIES", f"{name}/tmp")
        yield folder


def private(path: Path) -> Path:
    path.mkdir(0o700, parents=True)
    return path


def test_sockets_lie_in_the_session_else_in_the_state(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = private(short / "state")
    assert places.runtime_directory(state) == state / "run"
    session = private(short / "session")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    assert places.runtime_directory(state) == session / "doorward"
    assert places.runtime_directories(state) == (session / "doorward", state / "run")


def test_a_wrap_without_session_variables_meets_a_consent_that_has_them(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = private(short / "state")
    session = private(short / "login" / str(os.geteuid()))
    assert places.runtime_directory(state) == session / "doorward"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    assert places.runtime_directory(state) == session / "doorward"


def test_a_session_directory_that_others_may_write_is_passed_over(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = private(short / "state")
    shared = private(short / "shared")
    shared.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))
    assert places.runtime_directory(state) == state / "run"


def test_a_state_too_deep_for_sockets_has_them_in_a_short_directory_of_the_user(short: Path) -> None:
    state = private(short / ("deep" * 20))
    chosen = places.runtime_directory(state)
    assert chosen == short / "tmp" / f"doorward-{os.geteuid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(chosen / ("x" * places.SOCKET_NAME_BYTES)))


def test_a_short_directory_that_somebody_else_prepared_is_refused(short: Path) -> None:
    trap = private(short / "tmp" / f"doorward-{os.geteuid()}")
    trap.chmod(0o777)
    with pytest.raises(UsageError, match="others may write in it"):
        places.runtime_directory(private(short / ("deep" * 20)))


@pytest.mark.parametrize("system", ["win32", "darwin", "freebsd14"])
def test_what_is_not_linux_is_refused_in_words_before_anything_starts_or_is_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str
) -> None:
    state, started = tmp_path / "state", tmp_path / "started"
    server = ["--", sys.executable, "-c", f"open({str(started)!r}, 'w')"]
    monkeypatch.setattr(sys, "platform", system)
    for verb in (["policy", "show"], ["demo"], ["wrap", *server], ["wrap", "--unsafe-no-sandbox", *server]):
        assert main(["--state", str(state), *verb]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err == (
            f"doorward: error: doorward runs on linux only, and this is {system}\n"
            "doorward: hint: run it, and the server behind it, on linux: in a virtual machine, or in WSL 2\n"
        )
    assert not state.exists()
    assert not started.exists()
