"""The lines of a recording, as the pieces of its bytes come.

Rules: a line that pieces break off in isn't one. Above MAX_LINE only the beginning of a line is kept, with size and
sha256 of its payload.
"""

import hashlib
from collections.abc import Iterable, Iterator
from copy import copy
from typing import Final, NamedTuple

import msgspec

from tradecap.errors import TradecapError
from tradecap.inflate import BrokenError
from tradecap.market.records import KEPT_OF_OVERSIZE
from tradecap.recordings.layouts import BLANKS, Frame, Known, framed

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes; a longer line is never held whole."""
FIRST_BYTES: Final = 128 * 1024
"""Bytes of the first piece that is gathered: of a short file it is known how far it has been read."""


class Text(NamedTuple):
    """Lines of a recording that aren't framed yet: whole ones, each with its newline.

    known: what earlier lines reported; it is passed on to the lines after these. before: the number of lines before
    them.
    """

    raw: bytes
    known: Known
    before: int


def framed_lines(text: Text) -> Iterator[Frame]:
    """The messages on these lines. Raises TradecapError for what is refused."""
    for number, line in enumerate(text.raw.split(b"\n")[:-1], text.before + 1):
        if (stripped := line.strip(BLANKS)) and (frame := framed(stripped, number, text.known)).payload:
            yield frame


def copied(known: Known) -> Known:
    """The same, for a look at lines that are framed once more afterwards."""
    twin = copy(known)
    twin.hosts = dict(known.hosts)
    return twin


class _PiecedLine:
    """A line as it comes in pieces. Above MAX_LINE only its beginning is kept, with size and sha256 of the payload."""

    def __init__(self, start: bytes = b"") -> None:
        self._parts = [start]
        self._size = len(start)
        self._long: Frame | None = None
        self._digest = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._size += len(piece)
        if self._long is not None:
            # one piece behind, because blanks at the very end aren't part of the payload
            self._digest.update(self._parts.pop(0))
        elif self._size > MAX_LINE:
            start = framed(b"".join(self._parts).lstrip(BLANKS), 0, Known(""))
            self._size = len(start.payload)
            self._parts = [start.payload]
            self._long = msgspec.structs.replace(start, payload=start.payload[:KEPT_OF_OVERSIZE])

    def end(self) -> bytes | Frame:
        """The line; a Frame (without its number) when it was too long to be held."""
        rest = b"".join(self._parts)
        if self._long is None:
            return rest
        stripped = rest.rstrip(BLANKS)
        self._digest.update(stripped)
        size = self._size - len(rest) + len(stripped)
        return msgspec.structs.replace(self._long, truncated_size=size, sha256=self._digest.hexdigest())


def batches(pieces: Iterable[bytes]) -> Iterator[list[bytes | Frame]]:
    """The lines in pieces, without their newlines. A line that pieces break off in isn't one."""
    begun = _PiecedLine()
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.add(first)
        if others:
            last = others.pop()
            yield [begun.end(), *others]
            begun = _PiecedLine(last)
    if rest := begun.end():
        yield [rest]


def gathered(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The pieces, joined into ever longer ones until each has about this many bytes. What came before a fault comes out
    before it."""
    parts: list[bytes] = []
    size, least = 0, FIRST_BYTES
    try:
        for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size >= least:
                whole, parts, size, least = b"".join(parts), [], 0, min(most, 2 * least)
                yield whole
    except (BrokenError, OSError, TradecapError):
        if parts:
            yield b"".join(parts)
        raise
    if parts:
        yield b"".join(parts)


def texts_of(pieces: Iterable[bytes], known: Known) -> Iterator[Text | Frame]:
    """The lines in pieces. A line that pieces break off in isn't one."""
    begun = _PiecedLine()
    for piece in pieces:
        first, newline, rest = piece.partition(b"\n")
        begun.add(first)
        if newline:
            last = rest.rfind(b"\n") + 1
            yield from _text(begun.end(), rest[:last], known)
            begun = _PiecedLine(rest[last:])
    if content := begun.end():
        yield from _text(content, b"", known)


def _text(content: bytes | Frame, others: bytes, known: Known) -> Iterator[Text | Frame]:
    """A line (without its newline, or framed because it was too long) and those after it."""
    if isinstance(content, Frame):
        known.line += 1
        if content.payload:
            yield msgspec.structs.replace(content, line=known.line)
        raw = others
    else:
        raw = b"".join((content, b"\n", others))
    if raw:
        yield Text(raw, known, known.line)
        known.line += raw.count(b"\n")
