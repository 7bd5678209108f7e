"""Other people's recordings, framed: the bytes of each message, when it was received where that stands in front, and the line it stood on.

Rules: it frames, it never decodes: what a payload means is for a venue. How a file is packed and how a line is laid out is recognised by content,
line by line, never by name. Memory is constant: a line longer than MAX_LINE comes as its beginning, with size and sha256 of the whole. Surrounding
blanks, CR and a byte-order mark are no part of a payload; blank lines are counted, not yielded. The line formats: bare JSON and combined-stream
wrappers (the line is the payload), our own envelopes (`own`), and F1, `<ns since 1970> <JSON>`.

To add a packing, add its first bytes to PACKINGS; to add a line format, add a function to LAYOUTS.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tradecap.errors import TradecapError
from tradecap.log.file import FileLog
from tradecap.log.inflate import GZIP, PIECE, ZSTD, BrokenError, gunzip, unzstd
from tradecap.market.records import KEPT_OF_OVERSIZE

MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes; a longer line is never held whole."""
_PLAIN_PIECE: Final = 128 * 1024
_BLANKS: Final = b" \t\r"
_BOM: Final = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """One message of a recording.

    recv_ns is the recorder's clock (ns since 1970), None where the recording doesn't say; line counts from 1, blank lines included; own: the
    payload is an envelope of ours. For a line longer than MAX_LINE the payload is its first 64 KiB, with size (bytes) and sha256 (hex) of the whole.
    """

    payload: bytes
    recv_ns: int | None
    line: int
    own: bool = False
    truncated_size: int | None = None
    sha256: str = ""


class Source(NamedTuple):
    """Something to read: a file, one of our logs, or an open stream. `name` is how messages and records call it."""

    name: str
    path: Path | None = None
    log: FileLog | None = None
    stream: BinaryIO | None = None


def expand(paths: Iterable[str], stdin: BinaryIO) -> list[Source]:
    """The sources that paths name: files, folders that are logs of ours, `-` for stdin.

    Raises TradecapError (exit 2) for what isn't there, isn't readable, or is a folder but no log, before anything is read.
    """
    return [_source(path, stdin) for path in paths]


def frames(source: Source) -> Iterator[Frame]:
    """The messages of a source, in order.

    Raises TradecapError (exit 2) naming source and line where it is cut short, damaged or can't be read; what came before has been yielded.
    """
    for line, content in _numbered(source):
        if isinstance(content, Frame):
            yield content._replace(line=line)
        elif stripped := _strip(content, line):
            yield _frame(stripped, line)


def raw_lines(path: str, stdin: BinaryIO) -> Iterator[bytes]:
    """The lines of a file as they are, whatever they hold, without their newlines; blank ones are no lines.

    Raises TradecapError (exit 2) as `expand` and `frames` do, and for a line longer than MAX_LINE.
    """
    source = _source(path, stdin)
    for line, content in _numbered(source):
        if isinstance(content, Frame):
            raise TradecapError(f"{source.name}:{line} is longer than {MAX_LINE:,} bytes.", "leave that line out.")
        if content.strip(_BLANKS):
            yield content


def _numbered(source: Source) -> Iterator[tuple[int, bytes | Frame]]:
    line = 0
    try:
        for line, content in enumerate(_lines(_pieces(source)), 1):
            yield line, content
    except BrokenError as error:
        state = "cut short" if error.is_cut else "damaged"
        raise TradecapError(
            f"{source.name} is {state} after line {line:,} ({error.problem}).",
            "what stands before that was read; get the file once more for the rest.",
        ) from error
    except OSError as error:
        raise TradecapError(f"{source.name} can't be read after line {line:,}: {error.strerror}.", "look at its rights and at the disk.") from error


def _source(name: str, stdin: BinaryIO) -> Source:
    if name == "-":
        return Source("stdin", stream=stdin)
    path = Path(name)
    try:
        path.stat()
    except OSError as error:
        raise TradecapError(f"{name} can't be read: {error.strerror}.", "name a file that is there, a folder with a log, or - for stdin.") from error
    if path.is_dir() and not (path / "log.json").exists():
        raise TradecapError(f"{name} is a folder, but no log.", f"name the files in it: {name.rstrip('/')}/*")
    if not os.access(path, os.R_OK):
        raise TradecapError(f"{name} can't be read: Permission denied.", "give yourself the right to read it.")
    return Source(name, path, FileLog(path, create=False) if path.is_dir() else None)


# --- bytes


def _pieces(source: Source) -> Iterator[bytes]:
    if source.log is not None:
        for batch in source.log.read():
            yield batch.lines
    elif source.stream is not None:
        yield from _unpacked(source.stream)
    elif source.path is not None:
        with source.path.open("rb") as file:
            yield from _unpacked(file)


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    """The plain bytes of a file, as they come: a pipe is read as it fills."""
    read = file.read1 if isinstance(file, io.BufferedReader) else file.read
    start = b""
    while len(start) < 4 and (piece := read(PIECE)):
        start += piece
    for magic, unpack in PACKINGS.items():
        if start.startswith(magic):
            return unpack(_follow_on(start, read, PIECE))
    return _follow_on(start, read, _PLAIN_PIECE)


def _follow_on(start: bytes, read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    if start:
        yield start
    while piece := read(size):
        yield piece


def _zip(_: Iterable[bytes]) -> Iterator[bytes]:
    raise TradecapError("Zip files can't be read yet.", "unpack it first: unzip -p FILE.zip | tradecap replay -")


PACKINGS: Final[dict[bytes, Callable[[Iterable[bytes]], Iterator[bytes]]]] = {GZIP: gunzip, ZSTD: unzstd, b"PK\x03\x04": _zip}


# --- lines


class _Line:
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
            start = _frame(b"".join(self._parts).lstrip(_BLANKS), 0)
            self._size = len(start.payload)
            self._parts = [start.payload]
            self._long = start._replace(payload=start.payload[:KEPT_OF_OVERSIZE])

    def end(self) -> bytes | Frame:
        """The line; a Frame (without its number) when it was too long to be held."""
        rest = b"".join(self._parts)
        if self._long is None:
            return rest
        stripped = rest.rstrip(_BLANKS)
        self._digest.update(stripped)
        return self._long._replace(truncated_size=self._size - len(rest) + len(stripped), sha256=self._digest.hexdigest())


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes | Frame]:
    """The lines in pieces, without their newlines. A line that pieces break off in isn't one."""
    begun = _Line()
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.add(first)
        if others:
            yield begun.end()
            yield from others[:-1]
            begun = _Line(others[-1])
    if last := begun.end():
        yield last


def _strip(line: bytes, number: int) -> bytes:
    return (line.removeprefix(_BOM) if number == 1 else line).strip(_BLANKS)


# --- layouts


def _frame(line: bytes, number: int) -> Frame:
    for layout in LAYOUTS:
        if framed := layout(line, number):
            return framed
    return Frame(line, None, number)


def _own_envelope(line: bytes, number: int) -> Frame | None:
    return Frame(line, None, number, own=True) if line.startswith(b'{"run":"') else None


def _receive_time_in_front(line: bytes, number: int) -> Frame | None:
    """F1. Nineteen digits of nanoseconds are the years 2001 to 2262."""
    if line[19:20] != b" " or not line[:19].isdigit() or int(line[:19]) >= 2**63:
        return None
    return Frame(line[20:].lstrip(_BLANKS), int(line[:19]), number)


LAYOUTS: Final[tuple[Callable[[bytes, int], Frame | None], ...]] = (_own_envelope, _receive_time_in_front)
