"""Packed bytes in, plain bytes out: gzip, zstd, bzip2, xz, zip and tar, one member after another, as they stream in.

Rules: memory is bounded by `_FED` times the best ratio a format can reach, and by zstd's window; everything that can be
decompressed before a fault comes out before the fault is raised. A stream that ends inside a member is a fault too (the
libraries' own readers take it for the end). The library reads only the directory of a zip file, because its reader
loses the data before a wrong checksum. A zip without a directory is read as far as possible.
"""

import bz2
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

import zstandard

PIECE: Final = 8 * 1024
"""Bytes read at once."""
_FED: Final = 1024
"""Bytes a decompressor is handed at once: zstd can blow each of them up to 32 KiB."""

_FED_TO_BZIP2: Final = 64
"""bzip2 can hold 900 kB of equal bytes in forty."""
_XZ_MEMORY: Final = 2**29
"""Bytes that an xz stream may ask for; `xz -9` takes 65 MiB."""
_LONGEST_WINDOW: Final = 2**31
"""Bytes: what `zstd --long=31` makes. A frame only takes the memory of the window it declares, at most the size of what
is in it."""

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16)))
"""A frame, and the sixteen kinds of skippable frames: a file may begin with one."""
BZIP2: Final = b"BZh"
XZ: Final = b"\xfd7zX"
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


class BrokenError(Exception):
    """Compressed bytes that can't be read on; `is_cut` where they simply end too early. Callers turn it into Damage or
    a TradecapError."""

    def __init__(self, problem: str, *, is_cut: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.is_cut = is_cut


class LockedError(BrokenError):
    """Whole, as far as anyone can tell, but packed in a way that isn't read here."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more gzip members. Zeros after a member are padding, as gzip itself has it."""
    return _members("gzip", lambda: zlib.decompressobj(wbits=31), _hold_back(cut(pieces, _FED), 8), padding=b"\0")


def unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more zstd frames, checksums verified. Skippable frames, as pzstd writes them, hold
    none."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_LONGEST_WINDOW)
    return _members("zstd", decompressor.decompressobj, _hold_back(cut(pieces, _FED), 4), padding=b"")


def unbzip2(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more bzip2 streams."""
    return _members("bzip2", bz2.BZ2Decompressor, _hold_back(cut(pieces, _FED_TO_BZIP2), 4), padding=b"")


def unxz(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more xz streams. Zeros after a stream are padding."""
    begin = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _XZ_MEMORY)
    return _members("xz", begin, _hold_back(cut(pieces, _FED), 12), padding=b"\0")


def pieces_of(file: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
    """The bytes of a file from its current position to its end."""
    while piece := file.read(size):
        yield piece


def cut(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes, in pieces of at most this size."""
    return (piece[at : at + size] for piece in pieces for at in range(0, len(piece), size))


def _hold_back(pieces: Iterable[bytes], trailer: int) -> Iterator[bytes]:
    """The same bytes, with the last `trailer` of them alone: a wrong checksum then costs none of the bytes it was made
    of."""
    held = b""
    for piece in pieces:
        both = held + piece
        held = both[-trailer:]
        if len(both) > trailer:
            yield both[:-trailer]
    if held:
        yield held


def _members(name: str, begin: Callable[[], _Decompressor], pieces: Iterable[bytes], padding: bytes) -> Iterator[bytes]:
    member: _Decompressor | None = None
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


def _decompress(name: str, member: _Decompressor, piece: bytes) -> bytes:
    try:
        return member.decompress(piece)
    except (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError) as error:
        raise BrokenError(_cause(name, str(error))) from error


def _cause(name: str, words: str) -> str:
    """The library's message, cut down to the part that helps a reader."""
    if "checksum" in words or "data check" in words or "length check" in words:
        return f"{name} checksum"
    return f"{name}: {words.rpartition(': ')[2].lower()}"


# --- tar


class _TarStream(io.RawIOBase):
    """Pieces as a file that can only be read on. reached: bytes given so far; filled: where the last of them that isn't
    zero ends."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")
        self.reached = self.filled = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._left and (piece := next(self._pieces, b"")):
            self._left = memoryview(piece)
            self.filled = self.reached + len(text) if (text := piece.rstrip(b"\0")) else self.filled
            self.reached += len(piece)
        taken = min(len(buffer), len(self._left))
        buffer[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken


def is_tar(start: bytes) -> bool:
    """Whether bytes begin with the header of a tar's member: its checksum is right."""
    checksum = start[148:156].strip(b" \0")
    if len(start) < tarfile.BLOCKSIZE or not checksum or checksum.strip(b"01234567"):
        return False
    return int(checksum, 8) == sum(start[:148]) + sum(start[156 : tarfile.BLOCKSIZE]) + 8 * ord(" ")


def untar(pieces: Iterable[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and bytes of each file in a tar, in order; a Mac's attributes (._NAME) are none. Each one's bytes must be
    taken before the next."""
    stream = _TarStream(pieces)
    end = 0
    try:
        with tarfile.open(fileobj=io.BufferedReader(stream), mode="r|") as tar:
            for member in tar:
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE * member.isreg()
                if member.isreg() and not member.name.rpartition("/")[2].startswith("._"):
                    yield member.name, _file_in_tar(tar, member)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise BrokenError(f"tar: {error}", is_cut="unexpected end" in str(error)) from error
    _check_end(stream, end)


def _check_end(stream: _TarStream, end: int) -> None:
    """The library takes a header that can't be read, and bytes that break off, for the end."""
    buffer = bytearray(PIECE)
    while stream.readinto(buffer):
        pass
    if stream.reached < end + tarfile.BLOCKSIZE:
        raise BrokenError("its tar data ends too early", is_cut=True)
    if stream.filled > end:
        raise BrokenError("tar: its last members can't be read", is_cut=stream.reached % tarfile.BLOCKSIZE != 0)


def _file_in_tar(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = tar.extractfile(member)
    assert file is not None, "a regular file has bytes"
    left = member.size
    try:
        # block by block: the library gives nothing of a piece that isn't there whole
        while left and (piece := file.read(min(tarfile.BLOCKSIZE, left))):
            left -= len(piece)
            yield piece
    except tarfile.ReadError as error:
        raise BrokenError("its tar data ends too early", is_cut=True) from error


# --- zip


class _ZipEntry(NamedTuple):
    """A member of a zip file. crc and size (packed) are None where the directory is lost and the member's own header
    doesn't tell."""

    name: str
    offset: int
    method: int
    is_locked: bool
    crc: int | None
    size: int | None


_HEADER: Final = struct.Struct("<4s2xHHxxxxLLLHH")


def unzip(file: BinaryIO, look: Callable[[list[str]], None] = lambda _: None) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and plain bytes of each member, in the directory's order; folders and a Mac's attributes (__MACOSX) are
    none.

    The bytes of a member must be taken before the next member is. look is shown all names in the directory first.
    """
    try:
        directory = zipfile.ZipFile(file).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, EOFError, struct.error):
        yield from _without_directory(file)
        return
    look([info.filename for info in directory])
    for info in directory:
        if not info.is_dir() and not info.filename.startswith("__MACOSX/"):
            entry = _ZipEntry(
                name=info.filename,
                offset=info.header_offset,
                method=info.compress_type,
                is_locked=bool(info.flag_bits & 1),
                crc=info.CRC,
                size=info.compress_size,
            )
            yield info.filename, _unzipped(file, entry)


def _without_directory(file: BinaryIO) -> Iterator[tuple[str, Iterator[bytes]]]:
    offset: int | None = 0
    while offset is not None and (header := _header(file, offset)):
        _, flags, method, crc, size, full_size, names, extras = header
        name = file.read(names).decode("utf-8" if flags & 0x800 else "cp437", "replace")
        has_sizes = not flags & 8 and size < 0xFFFFFFFF and full_size < 0xFFFFFFFF
        entry = _ZipEntry(
            name=name,
            offset=offset,
            method=method,
            is_locked=bool(flags & 1),
            crc=crc if has_sizes else None,
            size=size if has_sizes else None,
        )
        yield name, _unzipped(file, entry)
        offset = offset + _HEADER.size + names + extras + size if has_sizes else None
    raise BrokenError("the directory at its end is missing", is_cut=True)


def _header(file: BinaryIO, offset: int) -> tuple[bytes, int, int, int, int, int, int, int] | None:
    """A member's own header: signature, flags, method, crc, packed size, size, and the lengths of name and extras."""
    file.seek(offset)
    start = file.read(_HEADER.size)
    header = _HEADER.unpack(start) if len(start) == _HEADER.size else None
    return header if header and header[0] == ZIP[0] else None


def _unzipped(file: BinaryIO, entry: _ZipEntry) -> Iterator[bytes]:
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
