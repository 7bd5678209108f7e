"""Manifests that are lost or wrong, made again from their segments.

Rules: only the holder of the log's lock does this, and no record is touched: a segment is read and its manifest
written. The old one is kept next to it as NNNNNN.json.bak. A manifest is evidence, so it is made again only if the
segment itself is whole and nothing speaks against it. If the next segment's manifest records other bytes for this
segment, the segment was changed, and a person has to restore it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tradecap.digits import number
from tradecap.durable import write_whole
from tradecap.inflate import BrokenError
from tradecap.log.folder.evidence import contents
from tradecap.log.folder.facts import SegmentFacts, SeriesKey, series_note
from tradecap.log.folder.lock import Lock
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.reader import whole_lines
from tradecap.log.folder.segment import Manifest, Segment, segment_numbers
from tradecap.market.batch import SeriesNote
from tradecap.market.records import Envelope, Reading, Trade
from tradecap.market.trade_ids import TradeIds

Read = Callable[[bytes, str], tuple[Envelope, Reading]]
"""What a line of a log (with the log's id) holds."""

LEFT: Final = "left as it is"
REBUILT: Final = "rebuilt"


class Repaired(NamedTuple):
    """A manifest that wasn't right: its segment, what was done (REBUILT or LEFT), and why."""

    segment: str
    done: str
    why: str


@dataclass(kw_only=True)
class _Held:
    """What a segment's lines say. problem: why they can't be read on."""

    facts: SegmentFacts = field(default_factory=SegmentFacts)
    sha256: str = ""
    valid: dict[SeriesKey, int] = field(default_factory=dict)
    ids: dict[SeriesKey, TradeIds] = field(default_factory=dict)
    problem: str = ""

    def add(self, envelope: Envelope, reading: Reading) -> None:
        """Take in one record."""
        self.facts.note(envelope)
        if isinstance(reading, Trade):
            key = (reading.venue, reading.symbol, reading.channel)
            self.valid[key] = self.valid.get(key, 0) + 1
            self.ids.setdefault(key, TradeIds()).add(reading.id)

    def series(self) -> list[SeriesNote]:
        """What it holds of each series."""
        return [series_note(key, self.valid[key], ids) for key, ids in self.ids.items()]


def rebuild(log: FileLog, read: Read, progress: Callable[[int], None]) -> list[Repaired]:
    """Make lost and wrong manifests of closed segments again; every one that isn't right, with what was done about it.

    Raises TradecapError (exit 3) while another process writes to the log. A segment that a crash left open is for the
    next writer.
    """
    lock = Lock(log.path)
    try:
        found = [_repair(log, Segment(log.path, number), read, progress) for number in segment_numbers(log.path)]
    finally:
        lock.release()
    return [each for each in found if each]


def _repair(log: FileLog, segment: Segment, read: Read, progress: Callable[[int], None]) -> Repaired | None:
    if segment.plain.exists() or not segment.packed.exists():
        return None
    manifest = segment.read_manifest(log.id)
    held = _hold(segment, log.id, read, progress)
    made = _manifest(log, segment, held)
    why = _wrong(manifest, made)
    if not why:
        return None
    against = _against(log, segment, manifest, held)
    if against:
        return Repaired(segment.packed.name, LEFT, f"{why}; {against}")
    _keep(segment.manifest)
    write_whole(segment.manifest, msgspec.json.encode(made) + b"\n")
    return Repaired(segment.packed.name, REBUILT, why)


# ---- evidence --------------------------------------------------------------------------------------------------------


def _wrong(manifest: Manifest | str, made: Manifest) -> str:
    """What isn't right about a manifest, by the one made of its segment; '' for one that is."""
    if isinstance(manifest, str):
        return manifest
    names = ("sha256", "size", "records", "first", "last", "ended", "recovered")
    different = [name for name in names if getattr(manifest, name) != getattr(made, name)]
    if manifest.packed and manifest.packed != made.packed:
        different.append("packed")
    if different:
        return f"the manifest says otherwise of {', '.join(different)}"
    knows_no_ids = manifest.rebuilt and any(note.first_id is None for note in manifest.series)
    return "the manifest was made after a crash, without the ids" if knows_no_ids else ""


def _against(log: FileLog, segment: Segment, manifest: Manifest | str, held: _Held) -> str:
    """What speaks against making a manifest of these bytes; '' for nothing."""
    if held.problem:
        where = f"after line {number(held.facts.records)}" if held.facts.records else "at its beginning"
        return f"the segment itself is damaged {where} ({held.problem}): bring it back from a copy"
    following = segment.next.read_manifest(log.id)
    expected = "" if isinstance(following, str) else following.previous
    if expected:
        return (
            ""
            if expected == held.sha256
            else ("the segment after it records other bytes for it: bring the segment back from a copy")
        )
    stored = _sha256_of(segment.manifest)
    if isinstance(manifest, str) and stored == held.sha256:
        return "it fits this segment, so neither belongs to this log: take them out of the log's folder"
    if isinstance(manifest, Manifest) and stored != held.sha256:
        return (
            f"it is unclear which of them was changed: if it was the manifest, move {segment.manifest.name} "
            "away and run this again"
        )
    return ""


def _sha256_of(manifest: Path) -> str:
    """What a manifest of whatever log or segment says; '' for none."""
    try:
        return msgspec.json.decode(manifest.read_bytes(), type=Manifest).sha256
    except (FileNotFoundError, msgspec.MsgspecError):
        return ""


# ---- a segment -------------------------------------------------------------------------------------------------------


def _hold(segment: Segment, log_id: str, read: Read, progress: Callable[[int], None]) -> _Held:
    held, digest = _Held(), hashlib.sha256()
    try:
        for part in whole_lines(contents(segment)):
            digest.update(part)
            held.facts.size += len(part)
            lines = part.split(b"\n")
            if lines.pop():
                held.problem = "its last line has no newline"
            for line in lines:
                held.add(*read(line, log_id))
            held.facts.records += len(lines)
            progress(len(lines))
    except BrokenError as error:
        held.problem = error.problem
    held.sha256 = digest.hexdigest()
    return held


def _manifest(log: FileLog, segment: Segment, held: _Held) -> Manifest:
    before = Segment(log.path, segment.number - 1).read_manifest(log.id)
    made = held.facts.manifest(log.id, segment, "" if isinstance(before, str) else before.sha256, held.series())
    return msgspec.structs.replace(
        made,
        sha256=held.sha256,
        rebuilt=True,
        torn=segment.torn.stat().st_size if segment.torn.exists() else 0,
        packed=_sha256_of_file(segment.packed),
    )


def _sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keep(manifest: Path) -> None:
    """Keep the old one next to it, under the first name that is free."""
    if not manifest.exists():
        return
    kept = manifest.with_name(f"{manifest.name}.bak")
    number = 1
    while kept.exists():
        number += 1
        kept = manifest.with_name(f"{manifest.name}.bak{number}")
    write_whole(kept, manifest.read_bytes())
