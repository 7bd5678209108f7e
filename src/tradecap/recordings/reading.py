"""Other people's recordings, framed: the bytes of each message, its receive time if there is one in front of it, and
its line number.

Rules: it frames, it never decodes: what a payload means is for a venue. How a file is packed, whether it is one JSON
array, and how a line is laid out is recognised by content, never by name; only the symbol of rows that don't name
theirs is taken from the file's name. Memory is constant: a line longer than MAX_LINE comes as its beginning, with size
and sha256 of the whole. Surrounding blanks, CR and a byte-order mark aren't part of a payload; blank lines are counted,
not yielded. In a zip or tar, lines are counted through all members, as `unzip -p` prints them. The line formats are in
`layouts` and `wrappings`, arrays in `arrays`, what isn't read in `refusals`; docs/recordings.md shows an example of
each.

To add a packing, add its first bytes to PACKINGS; to add a line format, add a function to LAYOUTS.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from tarfile import BLOCKSIZE
from typing import BinaryIO, Final, NamedTuple

import msgspec

from tradecap.digits import number
from tradecap.errors import TradecapError
from tradecap.inflate import (
    BZIP2,
    GZIP,
    XZ,
    ZIP,
    ZSTD,
    BrokenError,
    LockedError,
    cut,
    gunzip,
    is_tar,
    unbzip2,
    untar,
    unxz,
    unzip,
    unzstd,
)
from tradecap.recordings import lines
from tradecap.recordings.arrays import Pieces, rows
from tradecap.recordings.layouts import BLANKS, BOM, NO_EXCHANGES, Frame, Known, framed, refuse_kline_answer
from tradecap.recordings.lines import MAX_LINE, Text, batches, gathered, texts_of
from tradecap.recordings.refusals import refuse_binary, refuse_workbook

__all__ = [
    "MAX_LINE",
    "PACKINGS",
    "Frame",
    "Meter",
    "OwnLog",
    "Source",
    "Text",
    "expand",
    "frames",
    "raw_lines",
    "sha256_of",
    "texts",
]

NOTHING: Final = io.BytesIO()
_PLAIN_PIECE: Final = 128 * 1024
TEXT_BYTES: Final = 4 * 1024 * 1024
"""Bytes of lines that are handed over together, of what needn't be waited for."""
_LARGEST: Final = 1024 * 1024
"""Bytes that are taken apart at once: a piece of newlines becomes a list of eight times its size."""


class OwnLog(NamedTuple):
    """A log of ours as a recording: its id, and its records as whole lines, from the beginning each time `texts` is
    called."""

    id: str
    texts: Callable[[], Iterator[bytes]]


class Meter:
    """How far a source has been read, in what its size is given in: bytes of a file, records of a log."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._done = 0
        self._tell: Callable[[], int] | None = None

    @property
    def done(self) -> int:
        """How much of size."""
        return min(self.size, self._tell() if self._tell else self._done)

    @contextmanager
    def reading(self, tell: Callable[[], int]) -> Iterator[None]:
        """While a file is read, tell says how far."""
        self._tell = tell
        try:
            yield
        finally:
            self._tell, self._done = None, tell()

    def counted(self, texts: Iterator[bytes]) -> Iterator[bytes]:
        """The lines of a log, counted as they are taken."""
        self._done = 0
        for text in texts:
            self._done += text.count(b"\n")
            yield text


class Source(NamedTuple):
    """Something to read: a file, one of our logs, or an open stream. `name` is how messages and records call it."""

    name: str
    path: Path | None = None
    log: OwnLog | None = None
    stream: BinaryIO | None = None
    meter: Meter | None = None


def expand(paths: Iterable[str], stdin: BinaryIO, open_own: Callable[[str], OwnLog]) -> list[Source]:
    """The sources that paths name: files, folders that are logs of ours (opened by open_own), `-` for stdin.

    Raises TradecapError (exit 2) for what isn't there, isn't readable, or is a folder but no log, before anything is
    read.
    """
    return [_source(path, stdin, open_own) for path in paths]


def frames(source: Source, exchanges: Mapping[str, str] = NO_EXCHANGES) -> Iterator[Frame]:
    """The messages of a source, in order. exchanges: as in `Known`; a capture of another one is refused.

    Raises TradecapError (exit 2) naming source and line where it is cut short, damaged, can't be read or is refused;
    what came before was yielded.
    """
    known = Known(source.name, exchanges)
    with _naming_the_place(known):
        for contents in _contents(source, known):
            pieces = Pieces(contents)
            while _begins_an_array(pieces, known):
                yield from rows(pieces, known)
            yield from _framed_lines(pieces, known)


def texts(source: Source, exchanges: Mapping[str, str] = NO_EXCHANGES) -> Iterator[Text | Frame]:
    """As `frames`, for a caller that frames the lines itself (`layouts.framed`): rows of an array and lines too long to
    be held come framed.

    A text must be framed, or passed by, before the next one is asked for.
    """
    known = Known(source.name, exchanges)
    is_at_hand = source.log is not None or (source.path is not None and source.path.is_file())
    with _naming_the_place(known):
        for contents in _contents(source, known):
            pieces = Pieces(contents)
            while _begins_an_array(pieces, known):
                yield from rows(pieces, known)
            yield from texts_of(gathered(pieces, TEXT_BYTES) if is_at_hand else pieces, known)


def raw_lines(path: str, stdin: BinaryIO = NOTHING) -> Iterator[bytes]:
    """The lines of a file as they are, whatever they hold, without their newlines; blank ones don't count.

    Raises TradecapError (exit 2) as `expand` and `frames` do, and for a line longer than MAX_LINE.
    """
    source = _source(path, stdin, None)
    known = Known(source.name)
    with _naming_the_place(known):
        for contents in _contents(source, known):
            for batch in batches(contents):
                for content in batch:
                    known.line += 1
                    if isinstance(content, Frame):
                        raise TradecapError(
                            f"{source.name}:{known.line} is longer than {number(lines.MAX_LINE)} bytes.",
                            "leave that line out.",
                        )
                    if content.strip(BLANKS):
                        yield content


def sha256_of(path: str) -> str:
    """The sha256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _framed_lines(pieces: Iterable[bytes], known: Known) -> Iterator[Frame]:
    for batch in batches(pieces):
        number = known.line
        for content in batch:
            number += 1
            if not isinstance(content, bytes):
                frame = msgspec.structs.replace(content, line=number)
            elif line := content.strip(BLANKS):
                frame = framed(line, number, known)
            else:
                continue
            if frame.payload:
                yield frame
        known.line = number


@contextmanager
def _naming_the_place(known: Known) -> Iterator[None]:
    """Turn a read error into a TradecapError that names the line."""
    try:
        yield
    except BrokenError as error:
        where = (f" in {known.member}" if known.member else "") + _after(known)
        if isinstance(error, LockedError):
            raise TradecapError(
                f"{known.name} can't be read{where} ({error.problem}).", "unpack it first, and name what was in it."
            ) from error
        state = "cut short" if error.is_cut else "damaged"
        hint = (
            ("everything before that was read; get the file once more for the rest.")
            if known.line
            else "get the file once more."
        )
        raise TradecapError(f"{known.name} is {state}{where} ({error.problem}).", hint) from error
    except OSError as error:
        raise TradecapError(
            f"{known.name} can't be read{_after(known)}: {error.strerror}.", "look at its rights and at the disk."
        ) from error


def _after(known: Known) -> str:
    return f" after line {number(known.line)}" if known.line else " at its beginning"


def _source(name: str, stdin: BinaryIO, open_own: Callable[[str], OwnLog] | None) -> Source:
    if name == "-":
        return Source("stdin", stream=stdin)
    if not name:
        raise TradecapError(
            "The name of a file to read is empty.", "name a file that is there, a folder with a log, or - for stdin."
        )
    path = Path(name)
    try:
        path.stat()
    except OSError as error:
        raise TradecapError(
            f"{name} can't be read: {error.strerror}.",
            "name a file that is there, a folder with a log, or - for stdin.",
        ) from error
    if path.is_dir() and (open_own is None or not (path / "log.json").exists()):
        raise TradecapError(f"{name} is a folder, but no log.", f"name the files in it: {name.rstrip('/')}/*")
    if not os.access(path, os.R_OK):
        raise TradecapError(f"{name} can't be read: Permission denied.", "give yourself the right to read it.")
    return Source(name, path, open_own(name) if open_own and path.is_dir() else None)


# --- bytes


def _contents(source: Source, known: Known) -> Iterator[Iterator[bytes]]:
    """The plain bytes of a source, as they come: of a zip, those of each member."""
    if source.log is not None:
        yield source.meter.counted(source.log.texts()) if source.meter else source.log.texts()
    elif source.stream is not None:
        yield from _unpacked(_read(source.stream), known)
    elif source.path is not None:
        with source.path.open("rb") as file, source.meter.reading(file.raw.tell) if source.meter else nullcontext():
            if file.seekable() and file.peek(4)[:4] in ZIP:
                for member, pieces in unzip(file, lambda names: refuse_workbook(names, known.name)):
                    known.enter(member)
                    yield from _unpacked(pieces, known)
            else:
                yield from _unpacked(_read(file), known)


def _read(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file, as they come: a pipe is read as it fills."""
    read = file.read1 if isinstance(file, io.BufferedReader) else file.read
    while piece := read(_PLAIN_PIECE):
        yield piece


def _unpacked(packed: Iterator[bytes], known: Known) -> Iterator[Iterator[bytes]]:
    """What is packed, unpacked: of a tar, the bytes of each member."""
    pieces = _plain(packed, known)
    start = b""
    # a line ends before that, or it isn't text
    while len(start) < BLOCKSIZE and b"\n" not in start and (piece := next(pieces, b"")):
        start += piece
    refuse_binary(start, known.where)
    if not is_tar(start):
        yield chain([start], pieces)
        return
    for member, content in untar(chain([start], pieces)):
        known.enter(member)
        yield _plain(content, known)


def _plain(packed: Iterator[bytes], known: Known) -> Iterator[bytes]:
    start = b""
    while len(start) < 4 and (piece := next(packed, b"")):
        start += piece
    refuse_binary(start, known.where)
    pieces: Iterable[bytes] = chain([start], packed)
    for magic, unpack in PACKINGS.items():
        if start.startswith(magic):
            pieces = unpack(pieces)
            break
    return cut(pieces, _LARGEST)


def _zip(_: Iterable[bytes]) -> Iterator[bytes]:
    raise TradecapError(
        "A zip can only be read as a file, not from a pipe or inside another zip.",
        "unpack it: unzip -p FILE.zip | tradecap replay -",
    )


PACKINGS: Final[dict[bytes, Callable[[Iterable[bytes]], Iterator[bytes]]]] = {
    GZIP: gunzip,
    **dict.fromkeys(ZSTD, unzstd),
    BZIP2: unbzip2,
    XZ: unxz,
    **dict.fromkeys(ZIP, _zip),
}


# --- what the plain bytes begin with

_UTF_16: Final = re.compile(rb'\xff\xfe|\xfe\xff|[\[{"0-9]\0[ -~]\0|\0[\[{"0-9]\0[ -~]')
_LOOKED_AT: Final = 64 * 1024
"""Bytes of white space in which an array's first element is looked for."""


def _begins_an_array(pieces: Pieces, known: Known) -> bool:
    """Whether what comes next is a JSON array of objects; pieces then begin with its bracket. Blanks before it are
    skipped."""
    start = next(pieces, b"")
    while len(start) < 4 and (piece := next(pieces, b"")):
        start += piece
    if _UTF_16.match(start):
        raise TradecapError(
            f"{known.where} is UTF-16 text.", "make it UTF-8: iconv -f UTF-16 -t UTF-8 FILE | tradecap replay -"
        )
    start = start.removeprefix(BOM)
    while not (begun := start.lstrip()) and (piece := next(pieces, b"")):
        known.line += start.count(b"\n")
        start = piece
    known.line += start.count(b"\n", 0, len(start) - len(begun))
    if not begun.startswith(b"["):
        pieces.put_back(begun)
        return False
    while len(inside := begun[1:_LOOKED_AT].lstrip()) < 80 and len(begun) < _LOOKED_AT and (piece := next(pieces, b"")):
        begun += piece
    pieces.put_back(begun)
    refuse_kline_answer(begun, known)
    return inside.startswith((b"{", b"]"))
