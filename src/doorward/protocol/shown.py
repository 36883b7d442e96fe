"""What a server has shown: the URIs that it named itself, and the templates by which it describes others.

The one table of them is kept for a principal on a server, changes as answers pass, and is bounded: of the URIs a
digest is kept, and the oldest go first. A URI is compared in the form in which clients send it on: the scheme in small
letters, what no URI holds percent-encoded, escapes in capitals.

What was shown once stays shown. Does not protect against a server that shows what its user should not see.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from itertools import islice
from typing import Final

from doorward.content import templates

MAX_URIS: Final = 20_000
"""About 3 MB for one principal on one server."""
MAX_TEMPLATES: Final = 200
MAX_COMPILED: Final = 300_000
"""Characters of all their expressions together: a fifth of a second. Two hundred of the usual have less."""
MAX_SEARCHED: Final = 128 * 1024
"""Characters that are searched for one URI: of 8 KB, sixteen templates that begin as it does."""

_NEVER_IN_ONE: Final = re.compile(rb"[^A-Za-z0-9%/:?#\[\]@!$&'()*+,;=._~-]+")
_ESCAPES: Final = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_WEB: Final = re.compile(r"(?:https?|wss?)://[^/?#]*")


class Shown:
    """``listed`` and ``described`` say whether a whole list of resources, and of templates, was seen; ``at`` when
    (microseconds since the epoch).
    """

    def __init__(self) -> None:
        self.listed = False
        self.described = False
        self.at = 0
        self._uris: OrderedDict[bytes, None] = OrderedDict()
        self._templates: dict[str, str] = {}
        self._compiled = 0

    def add(self, uri: str) -> None:
        """The server named ``uri``."""
        digest = _digest(uri)
        self._uris[digest] = None
        self._uris.move_to_end(digest)
        if len(self._uris) > MAX_URIS:
            self._uris.popitem(last=False)

    def add_template(self, template: str) -> None:
        """The server described URIs by ``template``. One that describes nothing is not kept, nor one beyond
        ``MAX_TEMPLATES`` or ``MAX_COMPILED``: each takes time to compile.
        """
        if template in self._templates or len(self._templates) >= MAX_TEMPLATES or self._compiled >= MAX_COMPILED:
            return
        expression = templates.expression(template)
        if expression is None:
            return
        self._compiled += len(expression)
        if self._compiled <= MAX_COMPILED and templates.compiles(expression):
            self._templates[template] = expression

    def named(self, uri: str) -> bool:
        """Whether the server named exactly ``uri``."""
        return _digest(uri) in self._uris

    def fits(self, uri: str) -> bool:
        """Whether one of the server's templates describes ``uri``."""
        near = (one for template, one in self._templates.items() if uri.startswith(templates.beginning(template)))
        return any(templates.fits(uri, one) for one in islice(near, max(1, MAX_SEARCHED // (len(uri) + 1))))


def normal(uri: str) -> str:
    """``uri`` as clients send it on, whatever they were given."""
    scheme = _SCHEME.match(uri)
    head, rest = (scheme[0].lower(), uri[scheme.end() :]) if scheme else ("", uri)
    quoted = _NEVER_IN_ONE.sub(lambda run: b"%" + run[0].hex("%").encode(), rest.encode("utf-8", "surrogatepass"))
    written = head + _ESCAPES.sub(lambda run: run[0].upper(), quoted.decode("ascii"))
    web = _WEB.match(written)
    if web is None:
        return written
    path = written[web.end() :]
    return web[0].lower() + (path if path.startswith("/") else f"/{path}")


def allowed(uri: str, beginnings: tuple[str, ...]) -> bool:
    """Whether ``uri`` is, or lies below, one of ``beginnings``: ``notes:``, ``notes://`` or ``postgres://db/``."""
    written = normal(uri)
    for one in map(normal, beginnings):
        if written == one or (written.startswith(one) and (one[-1] in ":/" or written[len(one)] in "/?#")):
            return True
    return False


def beginning_problem(text: str) -> tuple[str, str] | None:
    """Why ``text`` cannot be a beginning of URIs that are allowed, or None."""
    scheme = _SCHEME.match(text)
    if scheme is None or any(char in '*{}"<>\\ ' or not char.isprintable() for char in text):
        return f"{text[:80]!r} is no beginning of a URI", 'a scheme, or more: "notes://", "postgres://db/"; no patterns'
    if scheme[0].lower() == "file:":
        return "names files", "folders of a server stand under read, write or (behind a URL) below"
    return None


def _digest(uri: str) -> bytes:
    return hashlib.blake2b(normal(uri).encode("utf-8", "surrogatepass"), digest_size=16).digest()
