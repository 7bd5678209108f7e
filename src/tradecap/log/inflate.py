"""Compressed bytes in, plain bytes out: gzip and zstd, one member after another, as they stream in.

Rules: memory is bounded by `PIECE` times the best ratio a format can reach; everything that can be decompressed before a fault comes out before
the fault is raised. A stream that ends inside a member is a fault too (the libraries' own readers take it for the end).
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final, Protocol

import zstandard

PIECE: Final = 8 * 1024
"""Bytes of compressed input handed over at once: zstd can blow one byte up to 32 KiB, so small pieces are what keeps memory bounded."""

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"


class BrokenError(Exception):
    """Compressed bytes that can't be read on; `is_cut` where they simply end too early. Callers turn it into Damage or a TradecapError."""

    def __init__(self, problem: str, *, is_cut: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.is_cut = is_cut


class _Member(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more gzip members. Zeros after a member are padding, as gzip itself has it."""
    return _members("gzip", lambda: zlib.decompressobj(wbits=31), _hold_back(pieces, 8), padding=b"\0")


def unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of one or more zstd frames, checksums verified."""
    decompressor = zstandard.ZstdDecompressor()
    return _members("zstd", decompressor.decompressobj, _hold_back(pieces, 4), padding=b"")


def pieces_of(file: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
    """The bytes of a file from where it stands to its end."""
    while piece := file.read(size):
        yield piece


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
