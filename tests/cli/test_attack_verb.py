"""``doorward attack`` as people type it: what is refused before anything is sent, and what is left afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from doorward.cli.main import main
from doorward.lab.certificates import Authority
from doorward.lab.report import document

SCHEMA = json.loads(Path(document.__file__).with_name("schema.json").read_text(encoding="utf-8"))
NOWHERE = "http://127.0.0.1:1/mcp"
THING = Path(__file__).parents[1] / "lab" / "attacked" / "thing.py"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no target"),
        (["--stdio"], "no command to attack"),
        (["--stdio", "--url", "http://127.0.0.1:1/mcp", "--", "x"], "a URL and a command"),
        (["--url", "https://mcp.example.com/mcp"], "is not on this machine"),
        (["--url", "http://127.0.0.1:1/mcp", "--header-env", "X=NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
        (["--only", "nonsense", "--stdio", "--", "x"], "there is no family 'nonsense'"),
        (["--only", "argument-injection", "--stdio", "--", "x"], "may change what it touches"),
        (["--plant", "/", "--stdio", "--", "true"], "no folder that something could be planted beside"),
    ],
)
def test_what_cannot_or_may_not_be_attacked_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["attack", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("named", "said"), [("", True), ("seen", False)])
def test_a_folder_above_what_is_planted_is_said_to_make_false_alarms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: str, said: bool
) -> None:
    (tmp_path / "seen").mkdir()
    command = [sys.executable, "-c", "raise SystemExit", str(tmp_path / named)]
    main(["attack", "--plant", str(tmp_path / "seen"), "--only", "log-leakage", "--stdio", "--", *command])
    assert ("will be called an escape" in capsys.readouterr().err) is said


def test_the_families_are_listed_without_a_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attack", "--list", "--json", "-"]) == 0
    listed = json.loads(capsys.readouterr().out)["families"]
    assert [family["id"] for family in listed if not family["side_effects"]] == ["path-traversal", "log-leakage"]


@pytest.mark.parametrize(("manner", "code"), [("careless", 1), ("careful", 0), ("refusing", 2)])
def test_the_exit_code_says_whether_harm_was_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manner: str, code: int
) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    command = [sys.executable, "-I", "-S", str(THING), manner, str(folder)]
    options = ["--plant", str(folder), "--seed", "7", "--json", "-"]
    assert main(["attack", *options, "--stdio", "--", *command]) == code
    told = json.loads(capsys.readouterr().out)
    jsonschema_rs.validate(SCHEMA, told)
    assert (told["seed"], told["target"]) == (7, {"command": command})
    assert bool(told["findings"]) is (code == 1)
    assert list(folder.iterdir()) == []


def test_what_stands_in_the_baseline_is_told_and_only_what_is_new_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    only = ["--plant", str(folder), "--only", "path-traversal", "--allow-inconclusive"]
    target = ["--stdio", "--", sys.executable, "-I", "-S", str(THING), "careless", str(folder)]
    assert main(["attack", *only, "--seed", "7", "--json", str(first), *target]) == 1
    again = ["--seed", "8", "--baseline", str(first), "--json", str(second)]
    capsys.readouterr()
    assert main(["attack", *only, *again, *target]) == 0
    said = capsys.readouterr().out
    told = json.loads(second.read_text())
    jsonschema_rs.validate(SCHEMA, told)
    count = len(told["findings"])
    assert count == len(json.loads(first.read_text())["findings"]) > 1
    assert {finding["state"] for finding in told["findings"]} == {"known"}
    assert told["unseen"] == []
    assert f"compared with {first}: 0 new, {count} known, 0 not seen any more\n" in said
    assert said.count("  known: path-traversal on ") == count
    assert "SUCCEEDED" in said

    mended = json.loads(first.read_text())
    mended["findings"] = mended["findings"][1:]
    first.write_text(json.dumps(mended))
    assert (
        main(["attack", *only, "--baseline", str(second), *target]) == 0
    )  # a report with known ones is a baseline too
    assert main(["attack", *only, "--baseline", str(first), *target]) == 1
    capsys.readouterr()
    other = [str(shutil.copy(THING, tmp_path / "another.py")) if word == str(THING) else word for word in target]
    assert main(["attack", *only, "--baseline", str(second), *other]) == 1
    assert "is about another target, so nothing in it counts as known" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read"),
        ("[]", "is no report"),
        ("\xff", "is no report"),
        ('{"schema": "doorward-report/2", "verb": "attack", "findings": []}', "of the form 'doorward-report/2'"),
        ('{"schema": "doorward-report/1", "verb": "demo", "findings": []}', "is a report of `doorward demo`"),
        ('{"schema": "doorward-report/1", "verb": "attack", "findings": [{}]}', "is no report"),
    ],
)
def test_what_is_no_baseline_is_refused_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = tmp_path / "baseline.json"
    if text is not None:
        file.write_text(text, encoding="latin-1")
    assert main(["attack", "--baseline", str(file), "--stdio", "--", "true"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "attacking" not in told


def test_a_credential_on_the_command_line_is_masked_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", "raise SystemExit", "--api-key", "swordfish-and-chips"]
    assert main(["attack", "--only", "log-leakage", "--json", "-", "--stdio", "--", *command]) == 2
    said = capsys.readouterr().out
    assert "swordfish" not in said
    assert json.loads(said)["target"]["command"][:4] == command[:4]
    assert (
        main(["attack", "--only", "log-leakage", "--json", "-", "--url", f"{NOWHERE}?api_key=swordfish-and-chips"]) == 2
    )
    said = capsys.readouterr().out
    assert "swordfish" not in said
    assert json.loads(said)["target"]["url"].startswith(NOWHERE)


def test_what_a_server_says_at_its_end_is_masked_in_every_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dying = "import sys; sys.exit('no licence for password=swordfish-and-chips')"
    files = {name: tmp_path / name for name in ("json", "junit", "sarif", "html")}
    options = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    command = ["--stdio", "--", sys.executable, "-c", dying]
    assert main(["attack", "--only", "log-leakage", *options, *command]) == 2
    said = capsys.readouterr().out
    for text in (said, *(file.read_text() for file in files.values())):
        assert "swordfish" not in text
    assert "it said: no licence for password=" in said


def test_an_interrupted_attack_leaves_neither_its_plants_nor_the_target(tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    here = tmp_path / "target.pid"
    target = f"import os, sys; open({str(here)!r}, 'w').write(str(os.getpid())); sys.stdin.read()"
    command = ("attack", "--plant", str(folder), "--stdio", "--", sys.executable, "-c", target)
    with subprocess.Popen([sys.executable, "-P", "-m", "doorward", *command], stderr=subprocess.DEVNULL) as attack:
        until = time.monotonic() + 30
        while not (here.exists() and here.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        assert any(folder.iterdir())
        attack.send_signal(signal.SIGINT)
        assert attack.wait(30) == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seen", "target.pid"]
    assert list(folder.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(here.read_text()), 0)


def test_whoever_interrupts_twice_leaves_no_target_either(tmp_path: Path) -> None:
    here, left = tmp_path / "target.pid", tmp_path / "left"
    target = (
        "import os, pathlib, signal, sys\n"
        f"pathlib.Path({str(here)!r}).write_text(str(os.getpid()))\n"
        "sys.stdin.read()\n"
        f"pathlib.Path({str(left)!r}).write_text('now')\n"
        "signal.pause()"
    )
    command = ("attack", "--stdio", "--", sys.executable, "-c", target)
    with subprocess.Popen([sys.executable, "-P", "-m", "doorward", *command], stderr=subprocess.DEVNULL) as attack:
        for until_there in (here, left):
            until = time.monotonic() + 30
            while not (until_there.exists() and until_there.read_text()) and time.monotonic() < until:
                time.sleep(0.05)
            attack.send_signal(signal.SIGINT)
        assert attack.wait(30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(here.read_text()), 0)


def test_a_target_that_was_not_reached_is_no_clean_one_whatever_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attack", "--allow-inconclusive", "--stdio", "--", sys.executable, "-c", "raise SystemExit"]) == 2
    assert "SUCCEEDED" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("session", "version", "result"),
    [
        ("caf\xe9", "2025-11-25", "{}"),
        ("a", "2025-11-25 \u2028", "{}"),
        ("a", "2025-11-25", "[" * 100_000 + "]" * 100_000),
    ],
    ids=["session", "version", "depth"],
)
def test_what_a_url_answers_is_no_defect_of_ours(
    session: str, version: str, result: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            greeting = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "a"}}
            told = json.dumps(greeting) if asked["method"] == "initialize" else result
            body = f'{{"jsonrpc":"2.0","id":{json.dumps(asked.get("id"))},"result":{told}}}'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Mcp-Session-Id", session)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest shows what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        code = main(["attack", "--only", "log-leakage", "--url", f"http://127.0.0.1:{server.server_port}/mcp"])
        server.shutdown()
        serving.join()
    said = capsys.readouterr()
    assert "internal error" not in said.err
    assert (code, "INCONCLUSIVE" in said.out) == (2, True)


def test_a_header_from_the_environment_reaches_the_server_and_no_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    got: list[str | None] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.headers.get("Authorization"))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest shows what matters."""

    monkeypatch.setenv("SECRET_OF_MINE", "Bearer swordfish")
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}/mcp"
        assert main(["attack", "--url", url, "--header-env", "Authorization=SECRET_OF_MINE", "--json", "-"]) == 2
        server.shutdown()
        serving.join()
    assert set(got) == {"Bearer swordfish"}
    said = capsys.readouterr()
    assert "swordfish" not in said.out + said.err
    assert {run["outcome"] for run in json.loads(said.out)["runs"]} == {"INCONCLUSIVE"}
    assert all(run["reason"].endswith("; HTTP 401") for run in json.loads(said.out)["runs"])


def test_a_server_that_asks_who_comes_is_shown_the_certificate_and_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path / "authority.pem")
    server, ours = authority.issue(tmp_path / "server.pem"), authority.issue(tmp_path / "ours.pem", host="auditor")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("THE_TOKEN", "a-token-of-the-owner")
    with mutual(server, authority.file) as (url, came):
        command = ["attack", "--url", url, "--only", "log-leakage", "--token-env", "THE_TOKEN"]
        assert main([*command, "--client-certificate", str(ours)]) == 2  # it answers 404 to everything
        assert came
        assert set(came) == {("auditor", "Bearer a-token-of-the-owner")}
        came.clear()
        assert main(command) == 2
        assert came == []
    assert "a-token-of-the-owner" not in "".join(capsys.readouterr())


@contextmanager
def mutual(server: Path, trusted: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server that wants a certificate: its URL, and who came with which ``Authorization``."""
    came: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            connection: Any = self.connection
            subject = dict(pair for part in connection.getpeercert()["subject"] for pair in part)
            came.append((subject["commonName"], self.headers.get("Authorization", "")))
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.load_verify_locations(trusted)
    context.verify_mode = ssl.CERT_REQUIRED
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"https://127.0.0.1:{listening.server_address[1]}/mcp", came
        listening.shutdown()
        thread.join()


def test_a_file_without_a_key_is_refused_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Authority(tmp_path / "authority.pem")
    for file in (tmp_path / "authority.pem", tmp_path / "none.pem"):
        assert main(["attack", "--url", NOWHERE, "--client-certificate", str(file)]) == 2
        assert "holds no key with its certificate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no client to attack"),
        (["--plant", "/tmp", "--", "x"], "--plant is about a server"),
        (["--", "/no/such/client"], "there is no program '/no/such/client'"),
        (["--client-seconds", "nan", "--", "true"], "nan is no time"),
        (["--client-seconds", "-1", "--", "true"], "-1 is no time"),
        (["--only", "log-leakage", "--", "x"], "there is no family 'log-leakage' for a client"),
    ],
)
def test_what_is_no_attack_on_a_client_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["attack", "--client", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("program", ["/no/such/server", "no-such-server", "./no-such-server"])
def test_a_server_that_is_not_there_is_an_error_and_no_verdict(
    capsys: pytest.CaptureFixture[str], program: str
) -> None:
    assert main(["attack", "--stdio", "--", program]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"doorward: error: there is no program {program!r}\n")


def test_a_verdict_on_what_spoke_no_revision_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attack", "--only", "log-leakage", "--stdio", "--", "true"]) == 2
    row = next(line for line in capsys.readouterr().out.splitlines() if "INCONCLUSIVE" in line)
    assert "bare, everything: not reached: it ended before it answered initialize" in row


def test_a_client_that_never_comes_is_inconclusive_for_a_script_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    never = [sys.executable, "-I", "-S", "-c", "raise SystemExit('not today')"]
    report = tmp_path / "report.json"
    command = ["attack", "--client", "--only", "message-tampering", "--seed", "7", "--json", str(report)]
    assert main([*command, "--", *never]) == 2
    told = json.loads(report.read_text(encoding="utf-8"))
    jsonschema_rs.validate(SCHEMA, told)
    assert (told["target"], told["findings"]) == ({"client": never}, [])
    assert "it said: not today" in capsys.readouterr().out
