"""What the operator of one link is told while it runs: lines on stderr, as text or as JSON.

Everything that comes from a peer is masked and made visible before it gets here or on its way through: a server's
stderr cannot steer the terminal it ends up on, nor put a secret into a client's log file.
"""

from __future__ import annotations

import os
import select
from typing import Final, Protocol

import msgspec

from doorward.audit.entry import Entry
from doorward.content.credentials import leaves_key_open
from doorward.content.redaction import Masker
from doorward.content.text import reveal
from doorward.judge.filters.usable_tools import CONTROL as USABLE

MAX_LINE: Final = 3 * 1024  # characters, before what is hidden in them is made visible
_ATOMIC_BYTES: Final = 4096  # PIPE_BUF: a pipe that polls as writable takes this much without blocking
_LINES_PER_SECOND: Final = 200
_LONGEST_KEY: Final = 200  # lines; RSA with 16,384 bits has 200, and what never ends must not silence a server for good
_SHOWN_SUBJECT: Final = 200


class Say(Protocol):
    """What tells the operator something, with a hint (``Reporter.say``)."""

    def __call__(self, text: str, hint: str = "") -> None: ...


class Reporter:
    """Writes whole lines to descriptor 2, never blocking and never failing: a lost report loses no record."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._writable = select.poll()
        self._writable.register(2, select.POLLOUT)
        self._masker: Masker | None = None
        self._window = 0
        self._lines = 0
        self._dropped = 0
        self._key_lines: dict[str, int] = {}  # of a private key that has not ended, for each source

    def mask_with(self, masker: Masker) -> None:
        self._masker = masker

    def say(self, text: str, hint: str = "") -> None:
        if self._as_json:
            self._write(msgspec.json.encode({"event": "said", "text": text, **({"hint": hint} if hint else {})}))
            return
        self._write(f"doorward: {text}".encode())
        if hint:
            self._write(f"doorward: hint: {hint}".encode())

    def serving(self, name: str, url: str) -> None:
        """A server can be reached now."""
        if self._as_json:
            self._write(msgspec.json.encode({"event": "serving", "server": name, "url": url}))
        else:
            self._write(f"doorward: serving {name} at {url}".encode())

    def refused(self, entry: Entry) -> None:
        """One refusal, a call whose answer is lost, or what a list was shortened by, with what explains it. The archive
        has all of it.
        """
        if entry.outcome == "unknown" and not entry.findings:
            self._lost(entry)
            return
        if entry.decision == "ALLOW":
            self._shortened(entry)
            return
        # What should have been asked explains why it could not be.
        findings = [f for f in entry.findings if f.effect != "NOTE"] or list(entry.findings)
        if self._as_json:
            told = {
                "event": "refused",
                "method": entry.method,
                "subject": entry.subject[:_SHOWN_SUBJECT],
                "sender": entry.sender,
                "reference": entry.reference,
                "findings": [{"control": f.control, "reason": f.reason[:_SHOWN_SUBJECT]} for f in findings[:8]],
            }
            self._write(msgspec.json.encode(told))
            return
        why = "; ".join(f"{f.control}: {f.reason}" for f in findings)
        what = f"{entry.method} {entry.subject[:_SHOWN_SUBJECT]}".strip()
        origin = "" if entry.sender == "doorward" else f" from the {entry.sender}"
        text = f"refused {what or 'a message'}{origin}: {why}"
        self._write(reveal(f"doorward: {text[:MAX_LINE]}").encode())
        if entry.reference:
            self._write(f"doorward: hint: doorward audit show {entry.reference}".encode())

    def _shortened(self, entry: Entry) -> None:
        """A list of the server's reached the client without some of its items."""
        told = [f for f in entry.findings if f.control == USABLE]
        if self._as_json:
            items = [{"control": f.control, "reason": f.reason, "item": f.evidence[:_SHOWN_SUBJECT]} for f in told]
            self._write(msgspec.json.encode({"event": "quarantined", "method": entry.method, "items": items[:8]}))
            return
        for finding in told:
            text = f"quarantined: {finding.reason}{': ' if finding.evidence else ''}{finding.evidence}"
            self._write(reveal(f"doorward: {text[:MAX_LINE]}").encode())

    def _lost(self, entry: Entry) -> None:
        """A request was sent, and whether it was done is not known."""
        cause = entry.detail.get("cause") or "the server ended"
        if self._as_json:
            told = {"event": "lost", "method": entry.method, "subject": entry.subject[:_SHOWN_SUBJECT]}
            self._write(msgspec.json.encode({**told, "reference": entry.reference, "cause": cause[:_SHOWN_SUBJECT]}))
            return
        what = f"{entry.method} {entry.subject[:_SHOWN_SUBJECT]}".strip()
        self._write(reveal(f"doorward: no answer to {what}: {cause}"[:MAX_LINE]).encode())
        if entry.reference:
            self._write(f"doorward: hint: doorward audit show {entry.reference}".encode())

    def pass_on(self, line: bytes, now_us: int, source: str) -> None:
        """A line of the server's own: its stderr, or what it wrote to stdout that is no message."""
        text = line.decode("utf-8", "replace")
        if self._inside_key(text, source) or not self._admit(now_us):
            return
        if self._masker is not None:  # before it is cut: half a secret has no shape
            text = self._masker.mask_text(text)[0]
        text = reveal(text[:MAX_LINE]) + (" … (cut)" if len(text) > MAX_LINE else "")
        if self._as_json:
            self._write(msgspec.json.encode({"event": "line", "source": source, "text": text}))
        else:
            self._write((f"({source}) {text}" if _reads_like_ours(text) else text).encode())

    def _inside_key(self, text: str, source: str) -> bool:
        """Whether a private key that an earlier line began goes on in this one, which is not shown then: the mask for
        all of it stands where it began.
        """
        before = self._key_lines.get(source, 0)
        goes_on = before < _LONGEST_KEY and leaves_key_open(text, open_before=before > 0)
        self._key_lines[source] = before + 1 if goes_on else 0
        return before > 0

    def _admit(self, now_us: int) -> bool:
        """A server that floods its stderr loses lines, and the loss is said."""
        second = now_us // 1_000_000
        if second != self._window:
            if self._dropped:
                self.say(f"{self._dropped} lines of the server were dropped: more than {_LINES_PER_SECOND} a second")
            self._window, self._lines, self._dropped = second, 0, 0
        self._lines += 1
        if self._lines > _LINES_PER_SECOND:
            self._dropped += 1
            return False
        return True

    def _write(self, line: bytes) -> None:
        """Write one line if that is possible at once; a client that does not read our stderr must not stop its link."""
        try:
            if self._writable.poll(0):
                os.write(2, line[: _ATOMIC_BYTES - 1] + b"\n")
        except OSError:
            return  # nobody reads stderr any more; the archive has what matters


def _reads_like_ours(text: str) -> bool:
    """Whether a person could take it for a line of Doorward's, also after a terminal wrapped it."""
    return "doorward:" in text.casefold()
