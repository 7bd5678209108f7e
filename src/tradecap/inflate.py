"""Compressed bytes in, plain bytes out: gzip, zstd and zip, one member after another, as they stream in.

Rules: memory is bounded by `_FED` times the best ratio a format can reach, and by zstd's window; everything that can be decompressed before a
fault comes out before the fault is raised. A stream that ends inside a member is a fault too (the libraries' own readers take it for the end). Of a
zip file only the directory is read by the library, whose reader loses what stands before a wrong checksum; a zip that lost its directory is read as
far as it goes.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple, Protocol

import zstandard

PIECE: Final = 8 * 1024
"""Bytes read at once."""
_FED: Final = 1024
"""Bytes a decompressor is handed at once: zstd can blow each of them up to 32 KiB."""

_LONGEST_WINDOW: Final = 2**31
"""Bytes: what `zstd --long=31` makes. A frame only takes the memory of the window it declares, at most the size of what is in it."""

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)))
"""A frame, and the sixteen kinds of skippable frames: a file may begin with one."""
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


class BrokenError(Exception):
    """Compressed bytes that can't be read on; `is_cut` where they simply end too early. Callers turn it into Damage or a TradecapError."""

    def __init__(self, problem: str, *, is_cut: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.is_cut = is_cut


class LockedError(BrokenError):
    """Whole, as far as anyone can tell, but packed in a way that isn't read here."""


class _Member(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more gzip members. Zeros after a member are padding, as gzip itself has it."""
    return _members("gzip", lambda: zlib.decompressobj(wbits=31), _hold_back(cut(pieces, _FED), 8), padding=b"\0")


def unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more zstd frames, checksums verified. Skippable frames, as pzstd writes them, hold none."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_LONGEST_WINDOW)
    return _members("zstd", decompressor.decompressobj, _hold_back(cut(pieces, _FED), 4), padding=b"")


def pieces_of(file: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
    """The bytes of a file from where it stands to its end."""
    while piece := file.read(size):
        yield piece


def cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, in pieces of at most this size."""
    return (piece[at : at + size] for piece in pieces for at in range(0, len(piece), size))


def _hold_back(pieces: Iterable[bytes], trailer: int) -> Iterator[bytes]:
    """The same bytes, with the last `trailer` of them alone: a wrong checksum then costs none of the bytes it was made of."""
    held = b""
    for piece in pieces:
        both = held + piece
        held = both[-trailer:]
        if len(both) > trailer:
            yield both[:-trailer]
    if held:
        yield held


def _members(name: str, begin: Callable[[], _Member], pieces: Iterable[bytes], padding: bytes) -> Iterator[bytes]:
    member: _Member | None = None
    for piece in pieces:
        left = piece
        while left:
            if member is None:
                left = left.lstrip(padding) if padding else left
                if not left:
                    break
                member = begin()
            plain = _decompress(name, member, left)
            if plain:
                yield plain
            if not member.eof:
                break
            left, member = member.unused_data, None
    if member is not None:
        raise BrokenError(f"its {name} data ends too early", is_cut=True)


def _decompress(name: str, member: _Member, piece: bytes) -> bytes:
    try:
        return member.decompress(piece)
    except (zlib.error, zstandard.ZstdError) as error:
        raise BrokenError(_cause(name, str(error))) from error


def _cause(name: str, said: str) -> str:
    """The library's words, cut down to what tells a reader something."""
    if "checksum" in said or "data check" in said or "length check" in said:
        return f"{name} checksum"
    return f"{name}: {said.rpartition(': ')[2].lower()}"


# --- zip


class _Entry(NamedTuple):
    """A member of a zip file. crc and size (packed) are None where the directory is lost and the member's own header doesn't tell."""

    name: str
    offset: int
    method: int
    is_locked: bool
    crc: int | None
    size: int | None


_HEADER: Final = struct.Struct("<4s2xHHxxxxLLLHH")


def unzip(file: BinaryIO) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and plain bytes of each member, in the directory's order; folders and a Mac's attributes (__MACOSX) are none.

    The bytes of a member must be taken before the next member is.
    """
    try:
        directory = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, EOFError, struct.error):
        yield from _without_directory(file)
        return
    for info in directory:
        if not info.is_dir() and not info.filename.startswith("__MACOSX/"):
            entry = _Entry(info.filename, info.header_offset, info.compress_type, bool(info.flag_bits & 1), info.CRC, info.compress_size)
            yield info.filename, _unzipped(file, entry)


def _without_directory(file: BinaryIO) -> Iterator[tuple[str, Iterator[bytes]]]:
    offset: int | None = 0
    while offset is not None and (header := _header(file, offset)):
        _, flags, method, crc, size, full_size, names, extras = header
        name = file.read(names).decode("utf-8" if flags & 0x800 else "cp437", "replace")
        is_told = not flags & 8 and size < 0xFFFFFFFF and full_size < 0xFFFFFFFF
        entry = _Entry(name, offset, method, bool(flags & 1), crc if is_told else None, size if is_told else None)
        yield name, _unzipped(file, entry)
        offset = offset + _HEADER.size + names + extras + size if is_told else None
    raise BrokenError("its directory, which stands at the end, is missing", is_cut=True)


def _header(file: BinaryIO, offset: int) -> tuple[bytes, int, int, int, int, int, int, int] | None:
    """A member's own header: signature, flags, method, crc, packed size, size, and the lengths of name and extras."""
    file.seek(offset)
    start = file.read(_HEADER.size)
    header = _HEADER.unpack(start) if len(start) == _HEADER.size else None
    return header if header and header[0] == ZIP[0] else None


def _unzipped(file: BinaryIO, entry: _Entry) -> Iterator[bytes]:
    header = _header(file, entry.offset)
    if header is None:
        raise BrokenError("zip: no member where its directory says")
    if entry.is_locked or entry.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise LockedError("it is encrypted" if entry.is_locked else "it isn't packed by deflate")
    file.seek(header[6] + header[7], 1)
    pieces = pieces_of(file) if entry.size is None else _first(file, entry.size)
    crc = 0
    for plain in pieces if entry.method == zipfile.ZIP_STORED else _deflated(pieces):
        crc = zlib.crc32(plain, crc)
        yield plain
    if entry.crc is not None and crc != entry.crc:
        raise BrokenError("zip checksum")


def _first(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (piece := file.read(min(PIECE, size))):
        size -= len(piece)
        yield piece
    if size:
        raise BrokenError("its zip data ends too early", is_cut=True)


def _deflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=-15)
    for piece in cut(pieces, _FED):
        if plain := _decompress("zip", member, piece):
            yield plain
        if member.eof:
            return
    raise BrokenError("its zip data ends too early", is_cut=True)
