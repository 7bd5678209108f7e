"""Removes records that another log has acknowledged, and keeps what the next writer must know of them.

Rules: only whoever holds the log's lock trims, and only closed segments. First the manifest says `trimmed` (with all
ids, however many intervals), then the packed file goes; a crash between the two leaves a file too many. Many trimmed
manifests are folded into trimmed.json, which is durable before they go.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tradecap.durable import sync_folder, write_whole
from tradecap.log.api import Read
from tradecap.log.folder.evidence import contents
from tradecap.log.folder.log import allow_trimming
from tradecap.log.folder.reader import whole_lines
from tradecap.log.folder.segment import Folded, Manifest, Segment, read_folded, segment_numbers
from tradecap.market.batch import SeriesNote
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds

FOLD: Final = 64
"""This many trimmed manifests are folded into one file."""


def trim(folder: Path, log_id: str, before: int, kept: Collection[int], read: Read) -> int:
    """Trim the closed segments with numbers below `before`, but for those in `kept`; how many were trimmed."""
    trimmed = 0
    for number in segment_numbers(folder):
        segment = Segment(folder, number)
        if number >= before or segment.plain.exists():
            break
        manifest = segment.read_manifest(log_id)
        if number in kept or isinstance(manifest, str) or not (manifest.trimmed or segment.packed.exists()):
            continue
        if not manifest.trimmed:
            allow_trimming(folder, log_id)
            series = (
                manifest.series
                if all(note.ids is not None for note in manifest.series)
                else _series(segment, log_id, read)
            )
            write_whole(
                segment.manifest,
                msgspec.json.encode(msgspec.structs.replace(manifest, trimmed=True, series=series)) + b"\n",
            )
            trimmed += 1
        segment.packed.unlink(missing_ok=True)
    if trimmed:
        sync_folder(folder)
    _fold(folder, log_id)
    return trimmed


def _series(segment: Segment, log_id: str, read: Read) -> list[SeriesNote]:
    """All ids of a segment whose manifest doesn't have them: it was made after a crash, or there were too many
    intervals."""
    valid: dict[tuple[str, str, str], int] = {}
    ids: dict[tuple[str, str, str], TradeIds] = {}
    for part in whole_lines(contents(segment)):
        for line in part.removesuffix(b"\n").split(b"\n"):
            envelope, reading = read(line, log_id)
            if isinstance(reading, Trade) and not envelope.fault:
                key = (reading.venue, reading.symbol, reading.channel)
                valid[key] = valid.get(key, 0) + 1
                ids.setdefault(key, TradeIds()).add(reading.id)
    return [SeriesNote(*key, valid[key], seen.first, seen.last, seen.intervals()) for key, seen in ids.items()]


# ---- folding ---------------------------------------------------------------------------------------------------------


def _fold(folder: Path, log_id: str) -> None:
    """Fold the trimmed manifests at the beginning of the log, once there are enough of them."""
    before = read_folded(folder)
    first = before.segment + 1 if before else 1
    manifests: list[Manifest] = []
    while (
        isinstance(manifest := Segment(folder, first + len(manifests)).read_manifest(log_id), Manifest)
        and manifest.trimmed
    ):
        manifests.append(manifest)
    if len(manifests) >= FOLD:
        write_whole(folder / "trimmed.json", msgspec.json.encode(_folded(before, manifests, log_id)) + b"\n")
        for manifest in manifests:
            Segment(folder, manifest.segment).manifest.unlink()
        sync_folder(folder)


def _folded(before: Folded | None, manifests: Sequence[Manifest], log_id: str) -> Folded:
    unended = dict(before.unended) if before else {}
    for manifest in manifests:
        if manifest.last:
            unended[manifest.last.run] = manifest.last.seq
            if manifest.ended:
                del unended[manifest.last.run]
        for run in manifest.recovered:
            unended.pop(run, None)
    runs = [place.run for manifest in manifests for place in (manifest.first, manifest.last) if place]
    return Folded(
        log=log_id,
        segment=manifests[-1].segment,
        sha256=manifests[-1].sha256,
        records=sum(manifest.records for manifest in manifests) + (before.records if before else 0),
        last_run=max([*runs, before.last_run if before else ""]),
        unended=unended,
        series=_united(
            [*(before.series if before else ()), *(note for manifest in manifests for note in manifest.series)]
        ),
    )


def _united(notes: Sequence[SeriesNote]) -> list[SeriesNote]:
    trades: dict[tuple[str, str, str], int] = {}
    ids: dict[tuple[str, str, str], TradeIds] = {}
    for note in notes:
        key = (note.venue, note.symbol, note.channel)
        trades[key] = trades.get(key, 0) + note.trades
        seen = ids.setdefault(key, TradeIds())
        for first, last in note.ids or ():
            seen.add_range(first, last)
    return [SeriesNote(*key, trades[key], seen.first, seen.last, seen.intervals()) for key, seen in ids.items()]
