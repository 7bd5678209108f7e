"""The files of a log's folder: one segment, its manifest, and the steps that close it.

    log.json             which log this is: {"id", "format"}; written once
    head.json            the last segment begun and its run: shows when the end of the log was deleted
    000007.ndjson        the active segment, at most one
    000007.durable       how many of its bytes are durable; readers go no further
    000007.ndjson.zst    a closed segment: one zstd frame with a content checksum
    000007.json          its manifest; a segment is closed from the moment this exists
    000007.torn          what a crash left after the last whole record
    trimmed.json         what is still known of the first segments, whose files are gone: another log has acknowledged
                         their records

Rules: nothing that others may read is ever half written (temporary name, fsync, rename, fsync of the folder). The plain
segment is removed only after its compressed copy and the manifest are durable, so whatever a crash leaves, one whole
copy of every record is there. In a spool the packed file is removed once its manifest reads `trimmed`, and the manifest
once trimmed.json holds its contents.
"""

import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import zstandard

from tradecap.durable import sync, sync_folder, write_all, write_whole
from tradecap.inflate import pieces_of
from tradecap.market.batch import SeriesNote

LEVEL: Final = 1
"""zstd level: level 3 takes 1.5 times as long and saves nothing on these lines (measured 2026-11-21, 330-byte trade
records)."""
CHUNK: Final = 1024 * 1024
_NAME: Final = re.compile(r"(\d{6,})\.(?:ndjson|ndjson\.zst|json)")


class RecordId(msgspec.Struct, frozen=True):
    """The identity of a record."""

    run: str
    seq: int


class Manifest(msgspec.Struct, frozen=True):
    """What a closed segment is, as its writer left it.

    size and sha256 are of the uncompressed bytes, packed is the sha256 of the packed file ('' in older manifests);
    previous is the sha256 of the segment before ('' where that is unknown); recovered names the runs that `recovered`
    events in this segment attest; torn counts the bytes a crash left after the last whole record.
    """

    log: str
    segment: int
    records: int
    size: int = msgspec.field(name="bytes")
    sha256: str
    previous: str
    first: RecordId | None
    last: RecordId | None
    ended: bool
    recovered: list[str]
    series: list[SeriesNote]
    rebuilt: bool = False
    torn: int = 0
    trimmed: bool = False
    packed: str = ""


class Folded(msgspec.Struct, frozen=True):
    """What is still known of the segments up to `segment`, whose files are gone.

    sha256 is that of the last of them; last_run the greatest run in them; unended the runs that had neither an end nor
    an attestation, with their last seq.
    """

    log: str
    segment: int
    sha256: str
    records: int
    last_run: str
    unended: dict[str, int]
    series: list[SeriesNote]


class Head(msgspec.Struct, frozen=True):
    """The last segment begun (0: none) and the run that began it."""

    segment: int
    run: str


_manifests = msgspec.json.Decoder(Manifest)
_heads = msgspec.json.Decoder(Head)
_foldeds = msgspec.json.Decoder(Folded)


class Segment(NamedTuple):
    """The names of one segment's files."""

    folder: Path
    number: int

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.number:06d}{suffix}"

    @property
    def plain(self) -> Path:
        return self._file(".ndjson")

    @property
    def packed(self) -> Path:
        return self._file(".ndjson.zst")

    @property
    def manifest(self) -> Path:
        return self._file(".json")

    @property
    def durable(self) -> Path:
        return self._file(".durable")

    @property
    def torn(self) -> Path:
        return self._file(".torn")

    @property
    def next(self) -> "Segment":
        return Segment(self.folder, self.number + 1)

    def is_begun(self) -> bool:
        """Whether it is there, or ought to be by head.json."""
        head = read_head(self.folder)
        return (head is not None and head.segment >= self.number) or self.plain.exists() or self.manifest.exists()

    def is_closed(self) -> bool:
        """Whether the closed pair is there, or was (a closed segment never opens again)."""
        return (self.packed.exists() and self.manifest.exists()) or self.is_trimmed()

    def is_trimmed(self) -> bool:
        """Whether its records were acknowledged by another log and removed here."""
        try:
            return _manifests.decode(self.manifest.read_bytes()).trimmed
        except msgspec.MsgspecError:
            return False
        except FileNotFoundError:
            folded = read_folded(self.folder)
            return folded is not None and self.number <= folded.segment

    def position(self, byte: int) -> str:
        """The position after `byte` uncompressed bytes of this segment."""
        return f"{self.number:06d}:{byte}"

    def read_manifest(self, log_id: str) -> Manifest | str:
        """The manifest, or what is wrong with it."""
        try:
            manifest = _manifests.decode(self.manifest.read_bytes())
        except FileNotFoundError:
            return "the manifest is missing"
        except msgspec.MsgspecError:
            return "the manifest is unreadable"
        if manifest.log != log_id:
            return f"the manifest is of another log, {manifest.log}"
        if manifest.segment != self.number:
            return f"the manifest is of segment {manifest.segment:06d}"
        return manifest


def segment_numbers(folder: Path) -> list[int]:
    """The numbers of the segments of which anything is there, in order; those that trimmed.json stands for are left
    out."""
    folded = read_folded(folder)
    names = (_NAME.fullmatch(file.name) for file in folder.iterdir())
    return sorted({number for name in names if name and (number := int(name[1])) > (folded.segment if folded else 0)})


def read_folded(folder: Path) -> Folded | None:
    """What trimmed.json says; None where nothing was folded."""
    try:
        return _foldeds.decode((folder / "trimmed.json").read_bytes())
    except FileNotFoundError:
        return None


def read_head(folder: Path) -> Head | None:
    """The last segment begun; None where head.json is missing or unreadable."""
    try:
        return _heads.decode((folder / "head.json").read_bytes())
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def last_number(folder: Path) -> int:
    """The number of the last segment there is, or ought to be by head.json."""
    head = read_head(folder)
    folded = read_folded(folder)
    return max([head.segment if head else 0, folded.segment if folded else 0, *segment_numbers(folder)[-1:]])


def write_head(folder: Path, head: Head) -> None:
    """Durable on return."""
    write_whole(folder / "head.json", msgspec.json.encode(head) + b"\n")


# --- durability


class DurableLength:
    """The writer's side of NNNNNN.durable: two slots of `length crc32`, written in turn, so that one of them is whole
    at any moment."""

    _SLOT: Final = 30

    def __init__(self, segment: Segment) -> None:
        self._file = segment.durable.open("wb", buffering=0)
        self._turn = 0

    def publish(self, length: int) -> None:
        """Let readers go up to length bytes. Needs no fsync: it is only ever behind what is durable."""
        digits = b"%020d" % length
        os.pwrite(self._file.fileno(), b"%b %08x\n" % (digits, zlib.crc32(digits)), self._turn * self._SLOT)
        self._turn ^= 1

    def close(self) -> None:
        self._file.close()


def durable_length(segment: Segment) -> int:
    """The durable bytes of an active segment, as its writer published them last."""
    try:
        slots = segment.durable.read_bytes().splitlines()
    except FileNotFoundError:
        return 0
    whole = [slot[:20] for slot in slots if slot[20:] == b" %08x" % zlib.crc32(slot[:20])]
    return max((int(digits) for digits in whole if digits.isdigit()), default=0)


# --- closing


def close_segment(segment: Segment, manifest: Manifest) -> Manifest:
    """Compress the first `size` bytes of the plain segment, write the manifest with their sha256, remove the plain one.
    Durable on return.

    A crash at any point leaves either the plain segment or the closed pair, or both. Raises OSError (nothing is lost:
    the plain one stays).
    """
    temporary = segment.packed.with_name(segment.packed.name + ".tmp")
    try:
        digest, packed = _pack(segment.plain, temporary, manifest.size)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(segment.packed)
    sync_folder(segment.folder)
    closed = msgspec.structs.replace(manifest, sha256=digest, packed=packed)
    write_whole(segment.manifest, msgspec.json.encode(closed) + b"\n")
    remove_plain(segment)
    return closed


def remove_plain(segment: Segment) -> None:
    """Remove what a closed segment no longer needs."""
    segment.plain.unlink(missing_ok=True)
    segment.durable.unlink(missing_ok=True)
    sync_folder(segment.folder)


def _pack(plain: Path, packed: Path, size: int) -> tuple[str, str]:
    """Compress the first size bytes of plain into packed, durably; their sha256, and that of the packed file."""
    digest, of_packed = hashlib.sha256(), hashlib.sha256()
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
    with plain.open("rb") as source, packed.open("wb", buffering=0) as target:
        for chunk in first_bytes(pieces_of(source, CHUNK), size):
            digest.update(chunk)
            part = compressor.compress(chunk)
            of_packed.update(part)
            write_all(target.fileno(), part)
        part = compressor.flush()
        of_packed.update(part)
        write_all(target.fileno(), part)
        sync(target.fileno())
    return digest.hexdigest(), of_packed.hexdigest()


def first_bytes(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The first size bytes of chunks."""
    for chunk in chunks:
        if size <= len(chunk):
            yield chunk[:size]
            return
        yield chunk
        size -= len(chunk)
