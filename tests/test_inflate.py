"""Packed bytes in, plain bytes out."""

import bz2
import gzip
import io
import itertools
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

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
    pieces_of,
    unbzip2,
    untar,
    unxz,
    unzip,
    unzstd,
)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as target:
        for name, content in members:
            target.writestr(name, content)
    return made.getvalue()


def tarred(*members: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as target:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return made.getvalue()


class Packing(NamedTuple):
    """A format: how it is packed and unpacked, how it begins, and a byte of its checksum, from the end."""

    name: str
    pack: Callable[[bytes], bytes]
    unpack: Callable[[Iterable[bytes]], Iterator[bytes]]
    magic: tuple[bytes, ...]
    checksum_at: int


GZ = Packing("gzip", lambda plain: gzip.compress(plain, mtime=0), gunzip, (GZIP,), -8)
ZST = Packing("zstd", zstandard.ZstdCompressor(write_checksum=True).compress, unzstd, ZSTD, -1)
BZ2 = Packing("bzip2", bz2.compress, unbzip2, (BZIP2,), -2)
LZMA = Packing("xz", lzma.compress, unxz, (XZ,), -20)
each_packing = pytest.mark.parametrize("packing", [GZ, ZST, BZ2, LZMA], ids=lambda packing: packing.name)
PLAIN = bytes(range(256)) * 40


def taken(pieces: Iterator[bytes]) -> tuple[bytes, BrokenError | None]:
    """The bytes that come out, and the fault that ends them."""
    found = b""
    try:
        for piece in pieces:
            found += piece
    except BrokenError as error:
        return found, error
    return found, None


@each_packing
@settings(max_examples=25)
@given(parts=st.lists(st.binary(max_size=3000), max_size=3), size=st.integers(1, 5000))
def test_members_in_a_row_are_one_stream_however_they_are_cut(packing: Packing, parts: list[bytes], size: int) -> None:
    """A file made by appending packed days would end after the first of them."""
    packed = b"".join(map(packing.pack, parts))
    assert taken(packing.unpack(cut([packed], size))) == (b"".join(parts), None)
    assert not parts or packed.startswith(packing.magic)


@each_packing
def test_a_stream_that_breaks_off_says_so_at_each_byte(packing: Packing) -> None:
    """The libraries' own readers take a cut file for a whole one: its last trades would be missing without a word."""
    packed = packing.pack(PLAIN)
    for end in [*range(1, min(len(packed), 40)), *range(40, len(packed), 97), len(packed) - 1]:
        plain, error = taken(packing.unpack([packed[:end]]))
        assert error is not None
        assert (error.is_cut, error.problem) == (True, f"its {packing.name} data ends too early")
        assert PLAIN.startswith(plain)


@each_packing
def test_a_wrong_checksum_costs_none_of_the_bytes(packing: Packing) -> None:
    """All of a file would be lost for four wrong bytes at its end."""
    packed = bytearray(packing.pack(PLAIN))
    packed[packing.checksum_at] ^= 0x10
    plain, error = taken(packing.unpack([bytes(packed)]))
    assert error is not None
    assert not error.is_cut
    assert plain == PLAIN or packing in (BZ2, LZMA), "these check a block before they give it"


@pytest.mark.parametrize("packing", [GZ, LZMA], ids=lambda packing: packing.name)
def test_zeros_behind_a_member_are_padding(packing: Packing) -> None:
    """A tape's padding would be reported as damage."""
    assert taken(packing.unpack([packing.pack(b"a") + bytes(64) + packing.pack(b"b") + bytes(8)])) == (b"ab", None)


@each_packing
def test_an_empty_stream_is_empty(packing: Packing) -> None:
    """An empty file would be reported as one that breaks off."""
    assert taken(packing.unpack([])) == (b"", None)


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 60))
def test_cutting_changes_no_byte(pieces: list[bytes], size: int) -> None:
    """A byte lost between two pieces damages every packed file."""
    done = list(cut(pieces, size))
    assert b"".join(done) == b"".join(pieces)
    assert all(0 < len(piece) <= size for piece in done)
    assert b"".join(pieces_of(io.BytesIO(b"".join(pieces)), size)) == b"".join(pieces)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_gives_its_files_in_order_and_shows_its_names_first(method: int) -> None:
    """A folder or a Mac's attributes would be replayed as trades."""
    names: list[str] = []
    members = [("b.csv", PLAIN), ("folder/", b""), ("__MACOSX/b.csv", b"x"), ("a.csv", b"a")]
    found = [
        (name, b"".join(content)) for name, content in unzip(io.BytesIO(zipped(*members, method=method)), names.extend)
    ]
    assert found == [("b.csv", PLAIN), ("a.csv", b"a")]
    assert names == [name for name, _ in members]


def test_a_zip_without_its_directory_is_read_as_far_as_it_goes() -> None:
    """A download that broke off in its last bytes would lose all it holds."""
    packed = zipped(("a", b"one"), ("b", b"two"))
    found = {}
    members = unzip(io.BytesIO(packed[: packed.index(b"PK\x01\x02")]))
    for name, content in itertools.islice(members, 2):
        found[name] = b"".join(content)
    assert found == {"a": b"one", "b": b"two"}
    with pytest.raises(BrokenError, match="the directory at its end is missing") as broken:
        next(members)
    assert broken.value.is_cut


def test_a_zip_with_a_wrong_byte_fails_by_its_checksum() -> None:
    """Wrong digits would be replayed as prices."""
    packed = zipped(("a", b"12345"), method=zipfile.ZIP_STORED).replace(b"12345", b"12346")
    ((_, content),) = unzip(io.BytesIO(packed))
    with pytest.raises(BrokenError, match="zip checksum"):
        list(content)


def test_a_zip_that_is_packed_in_another_way_is_named() -> None:
    """ "Damaged" would send somebody for another download of a whole file."""
    ((_, content),) = unzip(io.BytesIO(zipped(("a", PLAIN), method=zipfile.ZIP_LZMA)))
    with pytest.raises(LockedError, match="isn't packed by deflate"):
        list(content)
    assert zipped(("a", b"")).startswith(ZIP)


def test_a_tar_gives_its_files_in_order() -> None:
    """A Mac's attributes would be replayed as trades."""
    packed = tarred(("d/a.csv", PLAIN), ("d/._a.csv", b"x"), ("b.csv", b""), ("c.csv", b"c" * 513))
    assert is_tar(packed)
    found = [(name, b"".join(content)) for name, content in untar(cut([packed], 700))]
    assert found == [("d/a.csv", PLAIN), ("b.csv", b""), ("c.csv", b"c" * 513)]


@pytest.mark.parametrize("end", [512, 700, 1024 + 512, 1024 + 600])
def test_a_tar_that_breaks_off_says_so(end: int) -> None:
    """The library takes the end of the file for the end of the tar: the last members would be missing silently."""
    packed = tarred(("a", b"a" * 700), ("b", b"b" * 700))
    _, error = taken(piece for _, content in untar([packed[:end]]) for piece in content)
    assert error is not None
    assert error.is_cut


@given(st.binary(max_size=600))
def test_other_bytes_are_not_a_tar(start: bytes) -> None:
    """A CSV would be opened as an archive."""
    assert not is_tar(start)
    assert not is_tar(tarred(("a", b"a"))[:511])
