"""The identity of a server that is reached by URL: what must be true of whoever answers there.

On loopback that is the user who owns the listening socket, looked at when the server is identified and again at every
connect: any user may listen at a port that is free. Elsewhere it is the holder of a certificate that the system's trust
store vouches for, under the host's name; the connector's TLS checks it before the first byte of HTTP.

Does not protect against a certificate authority that errs, nor against whoever takes over the host and its
certificate. On loopback it does not tell programs of one user apart; and where root owns the listener, whoever root
handed it to may answer (a service manager and its services).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from doorward.errors import IdentityError
from doorward.gateway.identity.command import shown
from doorward.gateway.identity.hosts import Address, read_address
from doorward.gateway.identity.owners import UNACCEPTED, capable, owner_of_acceptor, owner_of_listener, user_name
from doorward.policy.identity import VerifiedIdentity, name_problem, verified
from doorward.policy.lock import URL, Pin

Transport = Literal["streamable", "sse"]
_DOMAIN: Final = b"doorward/url/1\0"
_LONGEST_LABEL: Final = 55  # of a name's 64 characters, nine are the tail
_ROOT: Final = 0
_UNKNOWN: Final = -1

SocketAddress = tuple[str, int] | tuple[str, int, int, int]


class UrlIdentity(msgspec.Struct, frozen=True):
    """What a URL stands for. ``owner`` is the user who owns the listening socket there, -1 where that is not known, or
    not what proves this server. ``transport`` says how it is spoken to, and is no part of the proof.
    """

    name: str
    derived: bool
    address: Address
    transport: Transport = "streamable"
    owner: int = _UNKNOWN

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the operator about what this identity cannot prove."""
        if self.address.is_loopback:
            return ()
        return (f"whoever holds a certificate for {self.address.shown_host} is taken for {self.name}",)

    @property
    def url(self) -> str:
        return self.address.url

    def verified(self) -> VerifiedIdentity:
        """The same as everything above the doors sees it."""
        text, digest = written(self.url)
        fields = {
            "url": text,
            "url-sha256": digest,
            "listener-owner": "" if self.owner == _UNKNOWN else str(self.owner),
            # Issue F adds the digest of the server's public key here, in `pin` and in `judgment_url.differences`.
            "certificate": f"{self.address.host}, by the system's trust store"
            if self.address.scheme == "https"
            else "",
        }
        return verified(URL, self.name, {field: value for field, value in fields.items() if value})

    def pin(self, *, first_seen: str, accepted_by: str) -> Pin:
        """The same as it is kept in ``doorward.lock``, with values that look like secrets masked.

        Raises:
            IdentityError: it is on loopback, and nobody can tell whose socket listens there.
        """
        if self.address.is_loopback and self.owner == _UNKNOWN:
            raise IdentityError(
                f"nobody can tell whose socket listens at {self.address.origin}",
                hint="start the server first; a port that several users listen at is not believed"
                if capable()
                else "this system hides who owns a socket: reach the server by https:// and a name",
            )
        text, digest = written(self.url)
        return Pin(
            name=self.name,
            kind=URL,
            first_seen=first_seen,
            accepted_by=accepted_by,
            url=text,
            url_sha256=digest,
            owner=self.owner,
        )

    def expecting(self, pin: Pin) -> UrlIdentity:
        """The same, with the owner that ``pin`` demands of whoever listens when it is connected to."""
        return msgspec.structs.replace(self, owner=pin.owner)

    def how(self) -> str:
        """How whoever answers is known, in words."""
        known = []
        if self.address.is_loopback:
            known.append("the listening socket belongs to " + owned_by(self.owner))
        if self.address.scheme == "https":
            known.append(f"a certificate for {self.address.shown_host}, vouched for by the system's trust store")
        return "; ".join(known)

    def verify_connected(self, peer: SocketAddress, local: SocketAddress | None = None) -> str | None:
        """Why the connection to ``peer`` is not to this server; None where nothing speaks against it.

        Call it after each connect on loopback, before the first byte is sent, with both addresses of the connection:
        ``local`` (``getsockname``) lets the kernel say who took *this* connection, so that a program that listened for
        a moment is found out although the server listens again. TLS is the connector's to verify.
        """
        if not self.address.is_loopback:
            return None
        if peer[0] not in self.address.reached_at or peer[1] != self.address.port:
            return f"{peer[0]} port {peer[1]} is not where {self.address.origin} is"
        if self.owner == _UNKNOWN:
            return "it is not known who should listen there"
        listener = owner_of_listener(peer[0], peer[1])
        if listener is None:
            return f"nobody can tell whose socket listens at {peer[0]} port {peer[1]}"
        if listener != self.owner:
            return f"the listening socket belongs to {owned_by(listener)}, not to {owned_by(self.owner)}"
        return self._acceptor_problem(local, peer) if local is not None else None

    def _acceptor_problem(self, local: SocketAddress, peer: SocketAddress) -> str | None:
        # Asked after the listener: what still waits to be accepted now waited when the listener was looked at.
        acceptor = owner_of_acceptor(local, peer)
        if acceptor is None:
            return "the connection ended before it could be looked at"
        if acceptor in (UNACCEPTED, self.owner, _ROOT) or self.owner == _ROOT:
            return None
        return f"the connection was taken by {owned_by(int(acceptor))}, not by {owned_by(self.owner)}"


def identify_url(url: str, name: str = "", transport: Transport = "streamable") -> UrlIdentity:
    """Who answers at ``url``. Looks at the listening socket where that is on loopback; connects to nothing.

    ``name`` is the operator's (``--name``); without one, `derived_name` makes one of the URL.

    Raises:
        IdentityError: as `read_address`, or ``name`` cannot be a name.
    """
    address = read_address(url)
    if name and (problem := name_problem(name)):
        raise IdentityError(problem)
    return UrlIdentity(
        name=name or derived_name(address),
        derived=not name,
        address=address,
        transport=transport,
        owner=_listening(address),
    )


def derived_name(address: Address) -> str:
    """``<host>-<8 hexadecimal digits of the URL's SHA-256>``, for loopback with the port; of the URL alone."""
    words = f"loopback-{address.port}" if address.is_loopback else address.host
    label = re.sub(r"[^A-Za-z0-9.]+", "-", words)[:_LONGEST_LABEL].strip("-.")
    return f"{label}-{_digest(address.url)[:8]}"


def written(url: str) -> tuple[str, str]:
    """``url`` for people and files, and the SHA-256 of the real one where a value was masked in it, else empty."""
    text = shown_url(url)
    return text, "" if text == url else _digest(url)


def shown_url(url: str) -> str:
    """``url`` with values masked that look like credentials, or stand under a name in the query that announces one.

    A secret in the path that looks like any word stays: such an address is itself a password, and is kept like one.
    """
    head, question, query = url.partition("?")
    pairs = []
    for pair in query.split("&"):
        key, equals, value = pair.partition("=")
        # An option of that name: the rule for command lines is the rule here.
        masked = shown((f"--{unquote(key)}", value))[1] if value else value
        pairs.append(f"{key}{equals}{masked}")
    return shown((head + question + "&".join(pairs),))[0]


def owned_by(uid: int) -> str:
    """A user in words."""
    return "somebody unknown" if uid == _UNKNOWN else f"user {uid} ({user_name(uid)})"


def _listening(address: Address) -> int:
    """The one user that listens there; -1 for nobody, several, or one who cannot be told."""
    if not address.is_loopback:
        return _UNKNOWN
    owners = {owner_of_listener(at, address.port) for at in address.reached_at} - {None}
    owner = owners.pop() if len(owners) == 1 else None
    return _UNKNOWN if owner is None else owner


def _digest(url: str) -> str:
    return hashlib.sha256(_DOMAIN + url.encode()).hexdigest()
