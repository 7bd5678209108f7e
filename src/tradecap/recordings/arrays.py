"""JSON arrays of rows, one element after another, as the bytes stream in.

Rules: the array is never held whole; only the bytes of the current element are. An element's text is that of the file,
byte for byte, except for line breaks between its tokens, which become blanks: a record is one line. Nothing is
repaired: an element with a line break inside a string keeps it, and is malformed. An element that doesn't end within
WINDOWS[0] bytes (more than a valid payload may have) ends before the next `},{`, so that one flipped quote costs one
element and not the rest of the file. Where elements end depends on the bytes alone, not on the pieces they come in.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tradecap.digits import number
from tradecap.inflate import BrokenError
from tradecap.market.records import MAX_PAYLOAD
from tradecap.recordings.layouts import Frame, Known, row

WINDOWS: Final = (MAX_PAYLOAD, 4 * MAX_PAYLOAD, 16 * MAX_PAYLOAD, 64 * MAX_PAYLOAD)
"""Bytes in which the end of an element is looked for, before it is taken for damaged, or at last for no row at all."""


class Pieces:
    """Pieces of a stream, of which some may be put back."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._back: list[bytes] = []

    def __iter__(self) -> "Pieces":
        return self

    def __next__(self) -> bytes:
        return self._back.pop() if self._back else next(self._pieces)

    def put_back(self, piece: bytes) -> None:
        """Give this piece next."""
        if piece:
            self._back.append(piece)


_STRING = rb'"(?:[^"\\\n]++|\\[^\n])*+"'
_FLAT = rb"\{(?:[^{}\[\]\"]++|%b)*+\}" % _STRING
_FLAT_LIST = rb"\[(?:[^{}\[\]\"]++|%b)*+\]" % _STRING
_ROW: Final = re.compile(rb"\{(?:[^{}\[\]\"]++|%b|%b|%b)*+\}" % (_STRING, _FLAT, _FLAT_LIST))
"""An object whose members are at most objects and lists of plain values: nearly every row there is, in one step."""
_TOKEN: Final = re.compile(rb'[{}\[\],]|"(?:[^"\\\n]++|\\[^\n])*+(?:"|\\?\n)|"')
"""Brackets, commas, and strings; one that breaks off in its line ends with it. A lone quote is a string that goes on in
the next piece."""
_CLOSE_ARRAY: Final = ord("]")
_BETWEEN: Final = re.compile(rb"[\s,]*+")
_NEXT_OBJECT: Final = re.compile(rb"\}\s*+,\s*+(?=\{)")
_STRINGS_IN_LINES: Final = re.compile(rb'(?:[^"]++|"(?:[^"\\\r\n]++|\\[^\r\n])*+")*+')
_BREAKS_TO_BLANKS: Final = bytes.maketrans(b"\r\n", b"  ")


def rows(pieces: Pieces, known: Known) -> Iterator[Frame]:
    """The elements of the array that the pieces begin with; what follows it is put back. Raises BrokenError where the
    array doesn't end."""
    buffer, at, count = next(pieces), 1, 0
    while True:
        between = _BETWEEN.match(buffer, at)
        assert between is not None
        known.line += buffer.count(b"\n", at, between.end())
        at = between.end()
        if at == len(buffer):
            buffer, at = next(pieces, b""), 0
            if not buffer:
                raise BrokenError(f"its JSON array isn't closed after {number(count)} elements", is_cut=True)
            continue
        if buffer[at] == _CLOSE_ARRAY:
            pieces.put_back(buffer[at + 1 :])
            return
        whole = _ROW.match(buffer, at)
        if whole and whole.end() - at <= WINDOWS[0]:
            end = whole.end()
        else:
            buffer, at, end = _element(buffer, at, pieces)
        yield row(_on_one_line(buffer[at:end].rstrip()), known.line + 1, known)
        known.line += buffer.count(b"\n", at, end)
        at, count = end, count + 1


def _element(buffer: bytes, at: int, pieces: Pieces) -> tuple[bytes, int, int]:
    """A buffer with an element, filled up as far as needed, and where in it the element begins and ends."""
    ended = False
    for window in WINDOWS:
        while not (end := _end(buffer, at, window)) and len(buffer) - at < window and not ended:
            piece = next(pieces, b"")
            buffer, at = buffer[at:] + piece, 0
            ended = not piece
        if end:
            return buffer, at, end
        if following := _NEXT_OBJECT.search(buffer, at, at + window):
            return buffer, at, following.start() + 1
        if ended:
            return buffer, at, len(buffer.rstrip())
    raise BrokenError(f"an element of its JSON array is longer than {number(WINDOWS[-1])} bytes")


def _end(buffer: bytes, at: int, window: int) -> int:
    """Where the element that begins at `at` ends; 0 where that isn't known yet, or can't be known, because a bracket
    closes another kind."""
    opened = bytearray()
    for token in _TOKEN.finditer(buffer, at, at + window):
        kind = buffer[token.start()]
        if kind in b"{[":
            opened.append(kind + 2)
        elif kind in b"}]":
            if not opened:
                return token.start() if kind == _CLOSE_ARRAY else token.end()
            if opened.pop() != kind:
                return 0
            if not opened:
                return token.end()
        elif kind in b",":
            if not opened:
                return token.start()
        elif token.end() - token.start() == 1:
            return 0
    return 0


def _on_one_line(element: bytes) -> bytes:
    if b"\n" not in element and b"\r" not in element:
        return element
    return element.translate(_BREAKS_TO_BLANKS) if _STRINGS_IN_LINES.fullmatch(element) else element
