"""No planted secret survives, masking twice changes nothing, and ordinary text stays as it is."""

from __future__ import annotations

import base64
import json
import string
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from doorward.content.credentials import is_excused, sensitive_kind, shapes_in
from doorward.content.quick import by_automaton, by_patterns
from doorward.content.redaction import MASK, Hit, Masker, contains_mask, maybe_masked

MASKER = Masker(b"a key of one process")
ENGINES = (by_patterns, by_automaton)
"""The two quick looks: which of them the masker takes depends on what is loaded."""
ALNUM = string.ascii_letters + string.digits
URLSAFE = ALNUM + "-_"


def drawn(alphabet: str, low: int, high: int | None = None) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(alphabet), min_size=low, max_size=high or low)


def secrets_of(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map("".join)


HEX = string.digits + "abcdef"
MIXED = drawn(ALNUM, 20, 40).map(lambda text: text + "aB3")
SHAPES: dict[str, st.SearchStrategy[str]] = {
    "aws-key-id": secrets_of(st.sampled_from(["AKIA", "ASIA"]), drawn(string.ascii_uppercase + string.digits, 16)),
    "github-token": secrets_of("gh", st.sampled_from("pousr"), "_", drawn(ALNUM, 36))
    | secrets_of("github_pat_", drawn(ALNUM, 22), "_", drawn(ALNUM, 59)),
    "gitlab-token": secrets_of("glpat-", drawn(URLSAFE, 20)),
    "slack-token": secrets_of("xox", st.sampled_from("bpars"), "-", drawn(string.digits, 12), "-", drawn(ALNUM, 24)),
    "stripe-key": secrets_of(st.sampled_from(["sk_live_", "rk_test_"]), drawn(ALNUM, 24, 99))
    | secrets_of("whsec_", drawn(ALNUM + "+/", 32)),
    "anthropic-key": secrets_of("sk-ant-api03-", drawn(URLSAFE, 90)),
    "openai-key": secrets_of("sk-", MIXED) | secrets_of("sk-proj-", drawn(URLSAFE, 60), "T3BlbkFJ", MIXED),
    "google-api-key": secrets_of("AIza", drawn(URLSAFE, 35)),
    "google-token": secrets_of("ya29.", drawn(URLSAFE, 60)),
    "huggingface-token": secrets_of("hf_", drawn(ALNUM, 34)),
    "npm-token": secrets_of("npm_", drawn(ALNUM, 36)),
    "pypi-token": secrets_of("pypi-AgEIcHlwaS5vcmc", drawn(URLSAFE, 80)),
    "jwt": secrets_of("eyJ", drawn(URLSAFE, 20), ".eyJ", drawn(URLSAFE, 30), ".", drawn(URLSAFE, 43)),
    "sendgrid-key": secrets_of("SG.", drawn(URLSAFE, 22), ".", drawn(URLSAFE, 43)),
    "twilio-key": secrets_of("SK", drawn(HEX, 32)),
    "telegram-token": secrets_of(drawn("123456789", 9, 10), ":AA", drawn(URLSAFE, 33)),
    "digitalocean-token": secrets_of("dop_v1_", drawn(HEX, 64)),
    "groq-key": secrets_of("gsk_", drawn(ALNUM, 52)),
    "xai-key": secrets_of("xai-", drawn(ALNUM, 80)),
    "shopify-token": secrets_of("shpat_", drawn(HEX, 32)),
    "docker-token": secrets_of("dckr_pat_", drawn(URLSAFE, 27)),
    "grafana-token": secrets_of("glsa_", drawn(ALNUM, 32), "_", drawn(HEX, 8)),
    "linear-key": secrets_of("lin_api_", drawn(ALNUM, 40)),
    "vault-token": secrets_of("hvs.", drawn(URLSAFE, 90)),
    "age-key": secrets_of("AGE-SECRET-KEY-1", drawn(string.ascii_uppercase + string.digits, 58)),
    "private-key": st.sampled_from(["RSA ", "OPENSSH ", "EC ", ""]).flatmap(
        lambda kind: secrets_of(
            f"-----BEGIN {kind}PRIVATE KEY-----\n", drawn(ALNUM + "+/", 64), f"\n-----END {kind}PRIVATE KEY-----"
        )
    ),
}
ANY_SHAPED = st.one_of(*SHAPES.values())
NAMES = st.sampled_from(
    "apiKey api_key x-api-key API_KEY password passwd db_password DB_PASS secret client_secret clientSecret token "
    "access_token refreshToken GITHUB_TOKEN private_key credentials passphrase otp secret_access_key pgpassword "
    "connectionString jwt aws_secret_access_key apikey".split()
)
# A secret whose own characters end no word: what the context does is under test.
VALUES = drawn(ALNUM, 6, 30).map(lambda text: text + "7zQ")

IN_SHAPE: dict[str, Callable[[str], str]] = {
    "alone": lambda s: s,
    "log": lambda s: f"2026-11-22T10:00:00Z ERROR request failed with {s}, retrying",
    "json": lambda s: json.dumps({"event": "start", "value": s}),
    "json in json": lambda s: json.dumps({"text": json.dumps({"v": [s]})}),
    "repr": lambda s: repr({"v": s}),
    "url": lambda s: f"https://host/x?v={s}&y=1",
    "quoted": lambda s: f"'{s}'",
    "parentheses": lambda s: f"call({s})",
    "new line, escaped": lambda s: f"first\\n{s}\\nlast",
    "percent": lambda s: f"x%20{s}%0A",
}
IN_PAIR: dict[str, Callable[[str, str], str]] = {
    "json": lambda k, v: json.dumps({k: v, "n": 1}),
    "json in json": lambda k, v: json.dumps({"text": json.dumps({k: v})}),
    "json thrice": lambda k, v: json.dumps(json.dumps(json.dumps({k: v}))),
    "python": lambda k, v: repr({"a": 1, k: v}),
    "environment": lambda k, v: f"export {k}={v}",
    "dotenv": lambda k, v: f'{k}="{v}"\nOTHER=1',
    "ini": lambda k, v: f"[main]\n{k} = {v}\nother = x",
    "yaml": lambda k, v: f"main:\n  {k}: {v}\n  other: x",
    "query": lambda k, v: f"GET /x?{k}={v}&page=2 HTTP/1.1",
    "option": lambda k, v: f"run --{k} {v} --verbose",
    "option=": lambda k, v: f"run --{k}={v} --verbose",
    "argv": lambda k, v: repr(["run", f"--{k}", v]),
    "xml": lambda k, v: f"<c><{k}>{v}</{k}></c>",
    "connection": lambda k, v: f"Server=x;{k}={v};Timeout=5",
    "call": lambda k, v: f"Client(host='h', {k}='{v}')",
    "list": lambda k, v: f'{{"{k}": ["{v}", "{v}"]}}',
    "cut off": lambda k, v: f'arguments: {{"{k}": "{v}',
    "arrow": lambda k, v: f"{{ {k} => '{v}' }}",
}


@given(ANY_SHAPED, st.sampled_from(sorted(IN_SHAPE)))
def test_no_credential_of_a_known_shape_survives_in_any_context(secret: str, context: str) -> None:
    text = IN_SHAPE[context](secret)
    masked, hits = MASKER.mask_text(text)
    assert hits
    for line in secret.splitlines():
        assert line not in masked or "PRIVATE KEY" in line
    for look in ENGINES:
        assert look(text.encode(), names=False)
        assert look(msgspec.json.encode({"text": text}), names=False)


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_each_shape_is_named_by_its_kind(kind: str) -> None:
    @given(SHAPES[kind])
    def check(secret: str) -> None:
        masked, hits = MASKER.mask_text(f"got {secret} here")
        assert [hit.kind for hit in hits] == [kind]
        assert MASK.sub("M", masked) == "got M here"

    check()


@given(NAMES, VALUES, st.sampled_from(sorted(IN_PAIR)))
def test_no_value_under_a_sensitive_name_survives_in_any_notation(name: str, value: str, notation: str) -> None:
    text = IN_PAIR[notation](name, value)
    masked, hits = MASKER.mask_text(text)
    assert value not in masked
    assert hits
    for look in ENGINES:
        assert look(text.encode(), names=True)
        assert look(msgspec.json.encode({"text": text}), names=True)


@given(
    NAMES,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.sampled_from(["json", "python", "json in json"]),
)
def test_a_quoted_value_is_masked_whatever_it_holds(name: str, value: str, notation: str) -> None:
    assume(len(value.strip()) > 2 and "\u2039" not in value and not is_excused(value, sensitive_kind(name) or ""))
    text = IN_PAIR[notation](name, value)
    masked, hits = MASKER.mask_text(text)
    assert hits
    expected = MASKER.mask_text(IN_PAIR[notation](name, "plainvalue1"))[0]
    # repr() chooses its quotes by the value.
    assert MASK.sub("", masked).replace('""', "''") == MASK.sub("", expected).replace('""', "''")


@given(NAMES, st.text(min_size=1) | st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_in_a_tree_every_string_and_number_under_a_sensitive_name_is_masked(name: str, value: str | float) -> None:
    assume(not isinstance(value, str) or not is_excused(value, sensitive_kind(name) or ""))
    assume(not (name == "DB_PASS" and not isinstance(value, str)))
    assume(not (isinstance(value, str) and "\u2039" in value))
    masked, hits = MASKER.mask_tree({"a": [{name: value}]})
    assert MASK.fullmatch(masked["a"][0][name])
    assert hits[0].where == f"/a/0/{name}"


def test_the_example_of_the_threat_document_is_masked() -> None:
    line = """DEBUG: Calling tool 'call_external_api' with arguments: {"apiKey": "secret_key_value", ...}"""
    for text in (line, "apiKey=secret_key_value", json.dumps(line)):
        masked, hits = MASKER.mask_text(text)
        assert "secret_key_value" not in masked
        assert [hit.kind for hit in hits] == ["key"]
    params = {"level": "debug", "logger": "tools", "data": {"msg": line, "arguments": {"apiKey": "secret_key_value"}}}
    masked, hits = MASKER.mask_tree(params)
    assert "secret_key_value" not in json.dumps(masked)
    assert {hit.where for hit in hits} == {"/data/msg", "/data/arguments/apiKey"}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("authorization: Token 9944b09199c62bcf", "9944b09199c62bcf"),
        ("curl -H 'Authorization: Basic dXNlcjpwYXNz' https://h", "dXNlcjpwYXNz"),
        ('Authorization: Digest username="x", response="6629fae49393a05397450978507c4ef1"', "6629fae4"),
        ("got Bearer mF_9.B5f-4.1JqM back", "mF_9.B5f-4.1JqM"),
        ("sent Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Cookie: sid=31d4d96e407aad42; lang=en", "31d4d96e407aad42"),
        ("Set-Cookie: __Host-sid=31d4; Secure", "31d4"),
        ("X-Api-Key: plainword", "plainword"),
        ("postgres://app:s3cr3t@db:5432/x", "s3cr3t"),
        ("redis://:p%40ss@h", "p%40ss"),
        ("amqp://u:a@b@host/v", "a@b"),
        ("https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx", "abcdefghijklmnopqrstuvwx"),
        ("https://discord.com/api/webhooks/123456789012345678/" + "aB3-_" * 13, "aB3-_aB3"),
        ("AccountName=a;AccountKey=Zm9vYmFyYmF6cXV4+/8=;EndpointSuffix=x", "Zm9vYmFyYmF6cXV4"),
        ("https://x.blob.core.windows.net/c?sv=2024&sig=" + "aB3%2F" * 9 + "%3D", "aB3%2FaB3"),
        ("https://s3/x?X-Amz-Expires=9&X-Amz-Signature=" + "0a1b" * 16, "0a1b0a1b"),
        ("AKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ("Password: Swordfish", "Swordfish"),
        ("password = swordfish", "swordfish"),
        ("Your API key: abcdef", "abcdef"),
        ("//registry.example/:_authToken=abcdef", "abcdef"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk", "b3BlbnNzaC1rZXk"),
        (
            '{"type":"service","private_key":"-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n"}',
            "MIIE",
        ),
    ],
)
def test_a_credential_in_its_usual_surroundings_is_masked(text: str, secret: str) -> None:
    masked, hits = MASKER.mask_text(text)
    assert secret in text
    assert secret not in masked
    assert hits


def test_the_scheme_of_an_authorization_stays_readable() -> None:
    assert MASK.sub("M", MASKER.mask_text("Authorization: Bearer abc123def")[0]) == "Authorization: Bearer M"
    assert MASK.sub("M", MASKER.mask_tree({"Authorization": "Basic x"})[0]["Authorization"]) == "Basic M"


@given(st.text(min_size=6), st.text(), st.text())
def test_a_secret_given_literally_is_masked_wherever_it_stands(secret: str, before: str, after: str) -> None:
    assume("\u2039" not in secret and not MASKER.mask_text(before + after)[1])
    masker = Masker(b"k" * 16, [secret])
    masked, hits = masker.mask_text(before + secret + after)
    assert secret not in MASK.sub("", masked) or secret in before + after
    assert "known" in {hit.kind for hit in hits} or hits
    assert masker.maybe_sensitive(msgspec.json.encode({"x": secret}))


def test_content_that_was_asked_for_keeps_its_settings_but_not_its_credentials() -> None:
    credential = "ghp_" + "a1" * 18
    text = f"password: hunter2, {credential}, hunter22known"
    masked, hits = Masker(b"k" * 16, ["hunter22known"]).mask_text(text, names=False)
    assert MASK.sub("M", masked) == "password: hunter2, M, M"
    assert {hit.kind for hit in hits} == {"github-token", "known"}


def test_a_short_literal_would_mask_ordinary_words_and_is_left_out() -> None:
    assert Masker(b"k" * 16, ["the"]).mask_text("the end") == ("the end", ())


MESSY = st.lists(
    st.one_of(
        ANY_SHAPED,
        NAMES,
        VALUES,
        st.sampled_from(
            [
                ": ",
                "=",
                " = ",
                '"',
                "'",
                "\\",
                '\\"',
                "{",
                "}",
                "[",
                "]",
                ",",
                ";",
                "&",
                "\n",
                " ",
                "--",
                "://",
                "@",
                ">",
                "<",
                "`",
                "Bearer ",
                "Basic ",
                "Authorization: ",
                "Cookie: a=",
                "\u2039",
                "\u203a",
                "=>",
                "(",
                "\u2039masked:token:0123456789\u203a",
                "password",
                "is ",
            ]
        ),
    ),
    max_size=14,
).map("".join)


@given(MESSY)
def test_masking_twice_changes_nothing(text: str) -> None:
    once, _ = MASKER.mask_text(text)
    assert MASKER.mask_text(once) == (once, ())


@given(
    st.recursive(
        MESSY | st.integers() | st.none(), lambda v: st.lists(v) | st.dictionaries(NAMES | MESSY, v), max_leaves=8
    )
)
def test_masking_a_tree_twice_changes_nothing_and_its_input_stays(tree: Any) -> None:
    before = msgspec.json.encode(tree)
    once, hits = MASKER.mask_tree(tree)
    assert msgspec.json.encode(tree) == before
    assert (once is tree) == (not hits)
    assert MASKER.mask_tree(once) == (once, ())


@given(MESSY, st.sampled_from(["", " ", "ß", "東京", "\U0001f642", "x" * 20]))
def test_the_quick_look_never_misses_what_would_be_masked(text: str, around: str) -> None:
    text = around + text + around
    for look in ENGINES:
        for body in (text.encode(), msgspec.json.encode({"data": [text]}), json.dumps([text]).encode()):
            if MASKER.mask_tree({"data": [text]})[1]:
                assert look(body, names=True)
            if any(True for _ in shapes_in(text)):
                assert look(body, names=False)


@given(NAMES, VALUES)
def test_the_quick_look_sees_a_sensitive_member_of_an_encoded_message(name: str, value: str) -> None:
    for look in ENGINES:
        assert look(msgspec.json.encode({"params": {name: value}}), names=True)
        assert look(msgspec.json.encode({"params": {"data": json.dumps({name: value})}}), names=True)


@given(ANY_SHAPED, st.sampled_from(["", "ß", '"', "\\", "a=", "\n"]))
def test_the_quick_look_sees_every_shape_in_an_encoded_message(secret: str, before: str) -> None:
    for look in ENGINES:
        assert look(msgspec.json.encode({"text": before + secret}), names=False)


@pytest.mark.parametrize("look", ENGINES)
def test_the_quick_look_passes_over_ordinary_messages(look: Callable[..., bool]) -> None:
    meta = {"progressToken": 7, "io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    params = {"name": "echo", "arguments": {"text": "the tokens, said he"}, "_meta": meta}
    assert not look(msgspec.json.encode({"method": "tools/call", "params": params}), names=True)
    assert not look(b"eyJ" + base64.b64encode(bytes(range(256))), names=True)
    assert not look(b"accessToken: x", names=False)


UUID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
SHA1, SHA256 = (
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
)
BENIGN = [
    UUID,
    f"commit {SHA1}",
    f"sha256:{SHA256}",
    f'"integrity": "sha512-{base64.b64encode(bytes(range(64))).decode()}"',
    "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 4).decode(),
    '{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"read_file","_meta":{"progressToken":"abc-1"}}}',
    '{"tokens": 512, "max_tokens": 1024, "token_count": 7, "prompt_tokens": 3}',
    "max_tokens=512 temperature=0.2 top_p=1 stop_token=</s> pad_token=<pad>",
    '{"nextPageToken": "CAUQAA", "next_token": "abc", "page_token": "def", "syncToken": "x"}',
    "tokenizer: bert-base-uncased, keyboard: us, author: Ann, monkey: business",
    '{"primaryKey": "id", "foreign_key": "user_id", "public_key": "MFkwEwYHKoZIzj0", "key": "value", "keys": ["a"]}',
    "The secret of good bread is time, and the token gesture of a pinch of salt.",
    "Password: required. The password must have at least 12 characters.",
    "password: string\ntoken: string | undefined\napiKey: str",
    "Note on the token: each word counts as one, and so does the comma.",
    "self.token = token\nself.password = password",
    "client = Client(api_key=api_key, token=self.token, password=getpass())",
    "token = get_token()\nsecret = secrets.token_hex(16)\npassword = input('Password: ')",
    "const apiKey = process.env.API_KEY;\nconst token = await getToken();",
    "api_key = os.environ['API_KEY']",
    'password = ""\ntoken = None\nsecret = null',
    "if token == expected:\n    return token",
    "tokens.map(token => token.text)",
    "def login(user: str, password: str, token: Optional[str] = None) -> None:",
    "password=${DB_PASSWORD} token=$TOKEN api_key={{ api_key }} secret=<your secret>",
    "password=******** token=xxxxxxxx secret=... passwd=[redacted]",
    'f"token={token}&password={password}"',
    "INSERT INTO users (name, password) VALUES (?, ?)",
    "SELECT * FROM t WHERE token = ? AND password = :password",
    'print("token: " + x)',
    "https://example.com:8443/a/b?page=2&sort=asc#top",
    "ssh://git@github.com/org/repo.git mailto:ann@example.com",
    "git@github.com:org/repo.git",
    "Basic authentication uses the Basic scheme; bearer authentication uses tokens.",
    "the bearer of this letter, basic training, a basic understanding",
    "cookie: a small text file; cookies: enabled",
    ".sk-loading-spinner-container-wide-screen { color: red }",
    "task-force disk-usage risk-assessment-of-the-whole-department",
    "ASIA AND AFRICA, AKIA MOTORS, SKILL, TASK, DESK",
    'INFO: 127.0.0.1:52044 - "POST /mcp HTTP/1.1" 200 OK',
    "2026-11-22 10:00:00,123 DEBUG asyncio selector.py:54 Using selector: EpollSelector",
    "Traceback (most recent call last):\n  File \"x.py\", line 3, in f\nKeyError: 'token'",
    "Invalid token: signature mismatch at position 12",
    "JWT expired; Token expired; invalid secret",
    "# Heading\n\n- [ ] rotate the API key\n- [x] document the password policy\n\n| key | value |\n| --- | --- |",
    "pass: 10, fail: 2, skipped: 0",
    '{"pass": 10, "fail": 2}',
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHl0c2VsZg ann@host",
    "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    "std::string token::Kind; match token { Token::Eof => break }",
    "café ❤️ 日本語 \u2039not a mask\u203a",
    "pwd: /home/ann/work",
    "compass=north, bypass=1, encompass: all",
    "otpauth, potpourri, laptop: yes",
]


@pytest.mark.parametrize("text", BENIGN, ids=range(len(BENIGN)))
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert MASKER.mask_text(text) == (text, ())
    if text.startswith("{"):
        tree = json.loads(text)
        assert MASKER.mask_tree(tree) == (tree, ())


def test_the_schema_of_a_secret_argument_is_no_secret() -> None:
    schema = {
        "type": "object",
        "properties": {
            "apiKey": {"type": "string", "description": "key for the service"},
            "password": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Password"},
            "token": {"type": ["string", "null"]},
        },
        "required": ["apiKey", "password"],
    }
    assert MASKER.mask_tree(schema)[0] is schema


def test_containers_under_a_sensitive_name_are_masked_inside() -> None:
    masked, hits = MASKER.mask_tree({"credentials": {"user": "ann", "list": [1, True, None, "x"]}, "secrets": ["a"]})
    assert json.loads(MASK.sub("M", json.dumps(masked, ensure_ascii=False))) == {
        "credentials": {"user": "M", "list": ["M", True, None, "M"]},
        "secrets": ["M"],
    }
    assert [hit.where for hit in hits] == [
        "/credentials/user",
        "/credentials/list/0",
        "/credentials/list/3",
        "/secrets/0",
    ]


def test_a_credential_as_a_member_name_is_masked() -> None:
    masked, hits = MASKER.mask_tree({"ghp_" + "a1" * 18: 1})
    assert MASK.fullmatch(next(iter(masked)))
    assert [hit.kind for hit in hits] == ["github-token"]


def test_what_lies_too_deep_is_masked_whole() -> None:
    tree: object = {"note": "plain"}
    for _ in range(5000):
        tree = [tree]
    assert [hit.kind for hit in MASKER.mask_tree(tree)[1]] == ["too-deep"]


def test_a_mask_is_stable_in_a_process_and_says_nothing_elsewhere() -> None:
    here, again = MASKER.mask_text("password=hunter2"), MASKER.mask_text("x password: hunter2")
    assert here[1][0].fingerprint == again[1][0].fingerprint
    assert here[1] == (Hit("password", "", MASKER.fingerprint("hunter2")),)
    assert Masker(b"b" * 16).fingerprint("hunter2") != Masker(b"c" * 16).fingerprint("hunter2")
    assert MASKER.fingerprint("hunter2") != MASKER.fingerprint("hunter3")


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_key_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="16 to 64"):
        Masker(b"k" * length)


def test_a_mask_is_found_wherever_an_argument_carries_it() -> None:
    mask = MASKER.mask_text("password=hunter2")[0].removeprefix("password=")
    for value in (mask, f"x {mask}", [mask], {"a": {"b": [1, mask]}}, {mask: 1}):
        assert contains_mask(value)
        assert maybe_masked(msgspec.json.encode(value))
    unmasked: tuple[object, ...] = ("", "\u2039masked\u203a", ["masked:token:0123456789"], {"a": 1}, None)
    for other in unmasked:
        assert not contains_mask(other)
    assert maybe_masked(json.dumps(mask).encode())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("apiKey", "key"), ("X-API-Key", "key"), ("OPENAI_API_KEY", "key"), ("awsSecretAccessKey", "key"),
        ("Ocp-Apim-Subscription-Key", "key"), ("dbPassword", "password"), ("PGPASSWORD", "password"),
        ("client secret", "secret"), ("OAuthToken", "token"), ("token2", "token"),
        ("proxy-authorization", "authorization"),
        ("Set-Cookie", "cookie"), ("aws_credentials", "credential"), ("SecretString", "secret"), ("pass", "pass"),
    ],
)  # fmt: skip
def test_a_name_is_judged_by_its_last_words(name: str, kind: str) -> None:
    assert sensitive_kind(name) == kind


@pytest.mark.parametrize(
    "name",
    "tokens max_tokens token_count tokenizer keyboard author monkey primaryKey publicKey key keys secret_name "
    "password_length cookieName has_password progressToken nextPageToken authority compass bypass "
    "session_id pin".split(),
)
def test_a_name_that_only_contains_a_sensitive_word_is_not_sensitive(name: str) -> None:
    assert sensitive_kind(name) is None


HOSTILE = [
    "a", "token", "key=", "password:", 'token="', 'token=\\"', "eyJ", "eyJa.", "sk-", "sk-a1B", "://", "://a:", "a:b@",
    "-", "-----BEGIN PRIVATE KEY-----", "Bearer ", "Basic QQ", "xoxb-", "AKIA", "_", "key ", "api key ", "[",
    'token: ["', "\\",
    "'", "=", "token=>", "<token>", "Cookie: ", "Authorization: Digest ", "\u2039", "\u2039masked:", "token\\",
    "--token ",
    "a,", "1:AA", "SG.", "sig=", "secret_value_", "Authorization: ", "token=a,b", "token=a;",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_the_size_and_not_with_its_square(unit: str) -> None:
    # Sixteen times the text: linear work takes sixteen times as long, a square 256 times. Processor time of this
    # thread, the best of three, and a floor below which caches and the clock say more than the algorithm.
    def seconds(size: int) -> float:
        text = "secret: 1 " + (unit * size)[:size]
        spent: list[float] = []
        for _ in range(3):
            start = time.thread_time()
            MASKER.mask_text(text)
            spent.append(time.thread_time() - start)
        return min(spent)

    assert seconds(64_000) < max(64 * seconds(4_000), 0.05)


def test_percent_encoded_json_keeps_its_shape_when_a_token_in_it_is_masked() -> None:
    text = urllib.parse.quote(json.dumps({"v": "ghp_" + "Ab1" * 12}))
    assert MASK.sub("M", MASKER.mask_text(text)[0]) == text.replace("ghp_" + "Ab1" * 12, "M")


def test_quotes_that_never_close_are_not_looked_for_again_and_again() -> None:
    # Each opens with another number of backslashes, so that none of the others closes it.
    text = "".join("token=" + "\\" * n + '"hunter\n' for n in range(400, 800))
    start = time.thread_time()
    masked, hits = MASKER.mask_text(text)
    assert time.thread_time() - start < 1  # five seconds before, and eight times that for twice as many
    assert "hunter" not in masked
    assert hits


def test_a_value_whose_quote_closes_behind_hundreds_of_others_is_masked_to_the_end() -> None:
    inner = '\\\\\\"x' * 500
    masked, _ = MASKER.mask_text(f'{{\\"token\\": \\"{inner}hunter2hunter2\\"}} and the rest')
    assert "hunter2" not in masked
    few = '\\\\\\"x' * 50
    masked, _ = MASKER.mask_text(f'{{\\"token\\": \\"{few}hunter2hunter2\\"}} and the rest')
    assert masked.endswith("and the rest")
    assert "hunter2" not in masked


@pytest.mark.parametrize(("unit", "names"), [("pwd=hunter2\n", True), ("https://ada:swordfish@h/ ", False)])
def test_a_text_of_thousands_of_secrets_is_masked_whole(unit: str, names: bool) -> None:
    masked, hits = MASKER.mask_text(unit * 50_000, names=names)
    assert [hit.kind for hit in hits] == ["too-many"]
    assert MASK.fullmatch(masked)
    masked, hits = MASKER.mask_text(unit * 1_000, names=names)
    assert len(hits) == 1_000
    assert "hunter2" not in masked
    assert "swordfish" not in masked


def test_a_text_of_thousands_of_names_that_may_announce_a_secret_is_masked_whole() -> None:
    assert MASKER.mask_text("key=x " * 1_000) == ("key=x " * 1_000, ())
    masked, hits = MASKER.mask_text("key=x " * 50_000)
    assert [hit.kind for hit in hits] == ["too-many"]
    assert MASK.fullmatch(masked)


def test_in_a_tree_of_thousands_of_secrets_the_rest_is_masked_whole() -> None:
    tree = {"a": ["see password=hunter2hunter2 there", "nothing to see"] * 5_000}
    masked, hits = MASKER.mask_tree(tree)
    assert len(hits) == 5_000
    assert {hit.kind for hit in hits} == {"password", "too-many"}
    assert masked["a"][0].startswith("see ")
    assert MASK.fullmatch(masked["a"][-2])
    assert masked["a"][-1] == "nothing to see"
    assert "hunter2" not in json.dumps(masked)
