"""What a writer finds when it opens a log's folder, and what it puts right before it begins.

Rules: only the holder of the lock runs this. Whole records are kept, announced as durable or not; what follows the last
whole record is put aside in NNNNNN.torn and counted, never deleted. Every step may itself be cut off by a crash and is
then done again. A segment that was damaged after it had been closed is left alone: that is for readers to report.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tradecap.durable import sync, sync_folder, write_all
from tradecap.log.api import TornRun
from tradecap.log.folder.facts import SegmentFacts, SeriesKey
from tradecap.log.folder.segment import (
    CHUNK,
    Manifest,
    Segment,
    close_segment,
    durable_length,
    read_folded,
    read_head,
    remove_plain,
    segment_numbers,
)
from tradecap.market.batch import SeriesNote
from tradecap.market.records import read_envelope

RECOVERED_MARK: Final = b'"event":"recovered"'


class Found(NamedTuple):
    """What the next writer goes on from: the last segment's number and sha256 ('' where unknown), the last run ('' for
    none), the torn runs."""

    number: int
    previous: str
    last_run: str
    torn: list[TornRun]
    torn_bytes: int


def recover(folder: Path, log_id: str) -> Found:
    """Close what a crashed writer left open; say where the log ends. Raises OSError (full disk, no permission)."""
    manifests: list[Manifest] = []
    folded = read_folded(folder)
    previous, number, torn_bytes = (folded.sha256, folded.segment, 0) if folded else ("", 0, 0)
    for number in segment_numbers(folder):
        segment = Segment(folder, number)
        if segment.plain.exists():
            torn_bytes += _settle(segment, log_id, previous)
        segment.durable.unlink(missing_ok=True)
        manifest = segment.read_manifest(log_id)
        previous = "" if isinstance(manifest, str) else manifest.sha256
        if not isinstance(manifest, str):
            manifests.append(manifest)
    head = read_head(folder)
    if head is not None and head.segment > number:
        number, previous = head.segment, ""
    runs = [place.run for m in manifests for place in (m.first, m.last) if place]
    last_run = max([*runs, head.run if head else "", folded.last_run if folded else ""])
    return Found(
        number=number,
        previous=previous,
        last_run=last_run,
        torn=torn_runs(manifests, folded.unended if folded else {}),
        torn_bytes=torn_bytes,
    )


def torn_runs(manifests: list[Manifest], before: Mapping[str, int]) -> list[TornRun]:
    """The runs that neither ended nor were attested by a `recovered` event, in order; before: those of segments that
    are gone."""
    attested = {run for manifest in manifests for run in manifest.recovered}
    last = dict(before)
    ended: set[str] = set()
    for manifest in manifests:
        if manifest.last is None:
            continue
        last[manifest.last.run] = max(manifest.last.seq, last.get(manifest.last.run, 0))
        if manifest.ended:
            ended.add(manifest.last.run)
    return [TornRun(run, seq) for run, seq in sorted(last.items()) if run not in ended and run not in attested]


def _settle(segment: Segment, log_id: str, previous: str) -> int:
    """Close a stranded segment, or finish its closing; the number of torn bytes."""
    if segment.packed.exists() and not isinstance(segment.read_manifest(log_id), str):
        remove_plain(segment)
        return 0
    rebuilt = _Rebuilt(segment)
    torn = segment.plain.stat().st_size - rebuilt.facts.size
    if torn:
        _put_aside(segment, rebuilt.facts.size)
    close_segment(segment, rebuilt.manifest(log_id, previous, torn))
    return torn


def _put_aside(segment: Segment, start: int) -> None:
    """Copy what follows the last whole record into NNNNNN.torn, durably, before the segment goes."""
    with segment.plain.open("rb") as source, segment.torn.open("wb", buffering=0) as target:
        source.seek(start)
        while chunk := source.read(CHUNK):
            write_all(target.fileno(), chunk)
        sync(target.fileno())
    sync_folder(segment.folder)


class _Rebuilt:
    """What can be known of a stranded segment without reading a payload."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._series: dict[SeriesKey, int] = {}
        self.facts = SegmentFacts()
        acknowledged = durable_length(segment)
        with segment.plain.open("rb") as lines:
            for line in lines:
                if not self._take(line, is_acknowledged=self.facts.size + len(line) <= acknowledged):
                    break

    def _take(self, line: bytes, *, is_acknowledged: bool) -> bool:
        """Count one line; False where the whole records end. After a power cut, bytes that were not yet acknowledged as
        durable can be anything."""
        envelope = read_envelope(line[:-1]) if line.endswith(b"\n") else None
        if envelope is None and not is_acknowledged:
            return False
        self.facts.records += 1
        self.facts.size += len(line)
        if envelope is not None:
            self.facts.note(envelope)
            if envelope.symbol and not envelope.event:
                key = (envelope.venue, envelope.symbol, envelope.channel)
                self._series[key] = self._series.get(key, 0) + 1
        return True

    def manifest(self, log_id: str, previous: str, torn: int) -> Manifest:
        series = [SeriesNote(*key, trades, None, None, None) for key, trades in self._series.items()]
        made = self.facts.manifest(log_id, self._segment, previous, series)
        return msgspec.structs.replace(made, rebuilt=True, torn=torn)
