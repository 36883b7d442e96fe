"""What a credential looks like: the names that announce one, and the shapes that are one by themselves.

``names`` are judged word by word, so that ``max_tokens``, ``tokenizer``, ``primaryKey`` and ``author`` are no secrets
and ``x-api-key``, ``dbPassword`` and ``GITHUB_TOKEN`` are. ``SHAPES`` are our own patterns, after the public
documentation of each issuer. ``content.quick`` tells in microseconds that a message holds neither.

Every pattern is linear in practice: an unbounded run is possessive and cannot be entered in its middle, everything
else is bounded. ``redaction`` uses all this to mask.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache

import msgspec

# --- names -----------------------------------------------------------------------------------------------------------

_KINDS: dict[str, str] = {}
for _kind, _words in {
    "password": "password passwords passwd passwds passphrase passphrases passcode passcodes otp totp",
    "pwd": "pwd",  # a kind of its own: a path under it is a working directory
    "pass": "pass",  # a kind of its own: a number under it counts tests that passed
    "secret": "secret secrets connectionstring connectionstrings mfacode recoverycodes backupcodes",
    "token": "token jwt bearer",
    "authorization": "authorization authheader basicauth",
    "cookie": "cookie cookies",
    "credential": "credential credentials creds cred",
    "key": " ".join(
        f"{owner}key {owner}keys"
        for owner in "api access private secret signing encryption decryption master account storage shared service "
        "role ssh hmac session license subscription functions auth deploy crypto gpg pgp aes rsa app webhook "
        "client".split()
    ),
}.items():
    _KINDS.update(dict.fromkeys(_words.split(), _kind))

# Words glued in lower case (PGPASSWORD, myapikey): only endings that no other word has.
_GLUED = (
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "secretkey",
    "privatekey",
    "accesstoken",
    "refreshtoken",
    "authtoken",
    "clientsecret",
)
_GLUED_KINDS = {
    **_KINDS,
    **dict.fromkeys(("accesstoken", "refreshtoken", "authtoken"), "token"),
    "clientsecret": "secret",
}
_SEGMENT = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
# A secret's own value, under one more word.
_TRAILERS = frozenset("value values string text plaintext pem base data raw".split())
# Tokens that only say where a list goes on, or that a model's vocabulary is made of.
_HARMLESS_TOKENS = frozenset(
    "next prev previous page progress continuation continue cursor sync pagination resume delta skip change start end "
    "stop eos bos pad unk sep cls mask special unexpected invalid n per".split()
)
_QUESTIONS = frozenset("is has have use uses requires require show hide needs allow forgot reset no missing".split())
_LONGEST_NAME = 128


def sensitive_kind(name: str) -> str | None:
    """What kind of secret a value under ``name`` is (``password``, ``token``, ``key``, …), or None.

    Judged by the last words of the name. ``session_id``, ``pin`` and ``key`` alone are not sensitive: they name too
    much that tools hand back and forth (GPIO pins, browser sessions), and a masked value cannot be handed back.
    """
    return _kind_of_name(name[-_LONGEST_NAME:])


@lru_cache(maxsize=2048)
def _kind_of_name(name: str) -> str | None:
    """Names are few, and met again and again; only short ones are remembered."""
    words = _words_of(name)
    kind = _kind_of(words)
    while kind is None and len(words) > 1 and words[-1] in _TRAILERS:
        words.pop()
        kind = _kind_of(words)
    return kind


def names_kind(word: str, kind: str) -> bool:
    """Whether ``word`` is itself the name of such a secret (``my_token``), as a variable in code would be."""
    return _kind_of(_words_of(word)) == kind


def _words_of(name: str) -> list[str]:
    return [word.lower() for word in _SEGMENT.findall(name[-_LONGEST_NAME:])]


def reads_as_identifier(value: str) -> bool:
    """Whether letters make up words (``accessGrant``) rather than a draw of them (``wJalrXUtnFEMI``)."""
    return all(len(word) > 1 for word in _SEGMENT.findall(value))


def _kind_of(words: list[str]) -> str | None:
    if not words or (len(words) > 1 and words[0] in _QUESTIONS):
        return None
    for count in (3, 2, 1):
        kind = _KINDS.get("".join(words[-count:]))
        if kind is not None:
            harmless = kind == "token" and len(words) > 1 and words[-2] in _HARMLESS_TOKENS
            return None if harmless else kind
    if words[-1].endswith(_GLUED):
        return next(_GLUED_KINDS[ending] for ending in _GLUED if words[-1].endswith(ending))
    return None


# Values that say something about a secret instead of being one.
NOT_A_SECRET = frozenset(("", "true", "false", "null", "none", "yes", "no", "on", "off", "undefined"))


def is_excused(value: str, kind: str) -> bool:
    """Whether ``value`` is plainly none, though it stands under a name of ``kind``: a yes or no, a count, a folder."""
    if kind == "pass" and value.isdigit():
        return True
    if kind == "pwd" and value.startswith(("/", "~", ".")):
        return True
    return value.lower() in NOT_A_SECRET


AUTH_SCHEME = re.compile(
    r"(?i:bearer|basic|token|digest|negotiate|ntlm|apikey|api-key|aws4-hmac-sha256|hawk|dpop|hoba|mutual|scram-sha-256)\s+"
)


# --- shapes ----------------------------------------------------------------------------------------------------------


class Shape(msgspec.Struct, frozen=True, gc=False):
    """One form of credential: ``needle`` is cheap to look for; group 1 of ``pattern`` is what to mask (else all of
    it).
    """

    kind: str
    needle: str
    pattern: str
    accepts: Callable[[str], bool] | None = None


_LONG_HEX = 32
_LONG_OPAQUE = 40


def _mixed(value: str) -> bool:
    """Random enough to be generated: a digit and letters of both cases, or a long run of hexadecimal digits."""
    has_digit = any(char.isdigit() for char in value)
    body = value.rsplit("-", 1)[-1]
    is_hex = len(body) >= _LONG_HEX and all(char in "0123456789abcdef" for char in body)
    return has_digit and (is_hex or (value.lower() != value and value.upper() != value))


def _has_digit(value: str) -> bool:
    return len(value) >= _LONG_OPAQUE or any(char.isdigit() for char in value)


def _is_user_and_password(value: str) -> bool:
    try:
        decoded = binascii.a2b_base64(value + "=" * (-len(value) % 4))
    except binascii.Error:
        return False
    return b":" in decoded and decoded.isascii() and decoded.decode("ascii").isprintable()


# Not inside a longer word; but a line break or a percent escape, written out, is not part of one.
# Looked at after the first letters were found, because a search that begins with letters is fifty times faster.
_EDGE = r"(?:(?<![A-Za-z0-9]sk-)|(?<=\\[nrt]sk-)|(?<=%[0-9A-Fa-f][0-9A-Fa-f]sk-))"
_RUN_EDGE = r"(?:(?<![A-Za-z0-9_\-]eyJ)|(?<=\\[nrt]eyJ)|(?<=%[0-9A-Fa-f][0-9A-Fa-f]eyJ))"

EDGES = (_EDGE, _RUN_EDGE)
"""Where some patterns may begin; nothing of what they match."""


def _shape(kind: str, needle: str, pattern: str, accepts: Callable[[str], bool] | None = None) -> Shape:
    return Shape(kind, needle, pattern, accepts)


SHAPES: tuple[Shape, ...] = (
    _shape("aws-secret", "IA", r"A(?:KIA|SIA)[A-Z0-9]{16}[^A-Za-z0-9+/]{1,40}([A-Za-z0-9+/]{40})(?![A-Za-z0-9+/=])"),
    _shape("aws-key-id", "IA", r"A(?:KIA|SIA)[A-Z0-9]{16}"),
    _shape("github-token", "gh", r"gh[pousr]_[A-Za-z0-9]{30,255}"),
    _shape("github-token", "github_pat_", r"github_pat_[A-Za-z0-9]{20,24}_[A-Za-z0-9]{50,70}"),
    _shape("gitlab-token", "glpat-", r"glpat-[A-Za-z0-9_\-]{20,64}(?:\.[A-Za-z0-9]{2}\.[A-Za-z0-9]{7,12})?"),
    _shape("slack-token", "xox", r"xox[abeoprs]-[A-Za-z0-9\-]{10,250}", _has_digit),
    _shape("slack-token", "xapp-", r"xapp-\d-[A-Za-z0-9\-]{20,250}"),
    _shape(
        "slack-webhook", "hooks.slack", r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_\-]{20,200})"
    ),
    _shape(
        "discord-webhook", "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/(\d{15,22}/[A-Za-z0-9_\-]{40,120})"
    ),
    _shape("stripe-key", "k_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,247}"),
    _shape("stripe-key", "whsec_", r"whsec_[A-Za-z0-9+/=]{24,100}"),
    _shape("anthropic-key", "sk-ant-", r"sk-ant-[A-Za-z0-9_\-]{20,200}", _has_digit),
    _shape("openai-key", "sk-", r"sk-" + _EDGE + r"[A-Za-z0-9_\-]{20,}+", _mixed),
    _shape("google-api-key", "AIza", r"AIza[A-Za-z0-9_\-]{35}"),
    _shape("google-token", "ya29.", r"ya29\.[A-Za-z0-9_\-]{20,1024}"),
    _shape("huggingface-token", "hf_", r"hf_[A-Za-z0-9]{30,64}"),
    _shape("npm-token", "npm_", r"npm_[A-Za-z0-9]{36,64}"),
    _shape("pypi-token", "pypi-", r"pypi-[A-Za-z0-9_\-]{50,1024}"),
    _shape(
        "jwt",
        "eyJ",
        r"eyJ" + _RUN_EDGE + r"[A-Za-z0-9_\-]{8,}+(?:\.[A-Za-z0-9_\-]*+){2,4}",
        lambda value: len(value) > _LONG_HEX,
    ),
    _shape("sendgrid-key", "SG.", r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{30,64}"),
    _shape("twilio-key", "SK", r"SK[0-9a-f]{32}(?![0-9A-Za-z])"),
    _shape("telegram-token", ":AA", r"\d{8,12}:AA[A-Za-z0-9_\-]{32,36}"),
    _shape("digitalocean-token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _shape("groq-key", "gsk_", r"gsk_[A-Za-z0-9]{40,64}"),
    _shape("xai-key", "xai-", r"xai-[A-Za-z0-9]{60,100}"),
    _shape("shopify-token", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _shape("docker-token", "dckr_", r"dckr_[po]at_[A-Za-z0-9_\-]{27,64}"),
    _shape("grafana-token", "glsa_", r"glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}"),
    _shape("linear-key", "lin_api_", r"lin_api_[A-Za-z0-9]{32,64}"),
    _shape("vault-token", "hvs.", r"hvs\.[A-Za-z0-9_\-]{24,256}"),
    _shape("azure-sas", "sig=", r"(?<![A-Za-z])sig=([A-Za-z0-9%+/]{40,128}=?)"),
    _shape("signed-url", "ignature=", r"X-(?:Amz|Goog)-Signature=([0-9a-fA-F]{64,1024})"),
    _shape("age-key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    _shape("basic-auth", "asic", r"(?i:basic)\s{1,4}([A-Za-z0-9+/]{4,1024}={0,2})", _is_user_and_password),
    _shape("bearer", "earer", r"(?i:bearer)\s{1,4}([A-Za-z0-9._~+/\-]{8,}+=*)", _has_digit),
    _shape("url-password", "://", r"://[^\s/?#@\"'<>:\u2039\u203a]{0,128}:([^\s/?#\"'<>\u2039\u203a]{1,256})@"),
)

_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def shapes_in(text: str) -> Iterator[tuple[int, int, str]]:
    """``(start, end, kind)`` of everything in ``text`` that is a credential by its shape alone."""
    if "PRIVATE KEY" in text:
        yield from _private_keys(text)
    for shape in SHAPES:
        if shape.needle in text:
            for found in _compiled(shape.pattern).finditer(text):
                group = found.re.groups
                if shape.accepts is None or shape.accepts(found[group]):
                    yield found.start(group), found.end(group), shape.kind


def _private_keys(text: str) -> Iterator[tuple[int, int, str]]:
    position = 0
    while begin := _PEM_BEGIN.search(text, position):
        end = _PEM_END.search(text, begin.end())
        # A block that was cut off is masked to the end: what is left of it is still the key.
        position = end.end() if end else len(text)
        yield begin.start(), position, "private-key"


def leaves_key_open(text: str, *, open_before: bool = False) -> bool:
    """Whether a private key that ``text`` begins (or that was begun before it) goes on after its end.

    For text that comes line by line: what the next line holds is still the key, and has no shape of its own.
    """
    last = max((found.end() for found in _PEM_BEGIN.finditer(text)), default=-1)
    if last < 0:
        return open_before and _PEM_END.search(text) is None
    return _PEM_END.search(text, last) is None
