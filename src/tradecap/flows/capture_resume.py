"""Where a capture goes on: the ids of its series that the log holds already.

A closed segment is known by its manifest, without reading it; only one whose manifest doesn't tell (it was rebuilt after a crash) is read. What was
injected counts for nothing: it is no trade of the venue.
"""

from collections.abc import Collection, Iterator
from contextlib import closing

from tradecap.flows.records import read_record, unwatched
from tradecap.log import Batch, Log
from tradecap.log.segment import Manifest, Segment, SeriesNote
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds


def known_ids(log: Log, venue: str, channel: str, symbols: Collection[str]) -> dict[str, TradeIds]:
    """By symbol, the ids of valid trades in the log. What is damaged is passed by."""
    known = {symbol: TradeIds() for symbol in symbols}
    position = ""
    for batch in log.read(whole_files=True, on_damage=unwatched):
        notes = _notes(batch, log.id)
        if notes is None:
            _add_lines(known, log, _lines(log, position, batch), venue, channel)
        else:
            _add_notes(known, notes, venue, channel)
        position = batch.end
    return known


def _notes(batch: Batch, log_id: str) -> list[SeriesNote] | None:
    """What the manifest of a closed segment says of its series; None where it has to be read."""
    if batch.file is None:
        return None
    manifest = Segment(batch.file.parent, int(batch.file.name.split(".")[0])).read_manifest(log_id)
    if not isinstance(manifest, Manifest) or manifest.rebuilt or any(note.ids is None for note in manifest.series):
        return None
    return manifest.series


def _add_notes(known: dict[str, TradeIds], notes: list[SeriesNote], venue: str, channel: str) -> None:
    for note in notes:
        if note.venue == venue and note.channel == channel and note.symbol in known:
            for first, last in note.ids or ():
                known[note.symbol].add_range(first, last)


def _lines(log: Log, position: str, batch: Batch) -> Iterator[bytes]:
    """The lines of a batch, also of one that is a whole file."""
    if batch.file is None:
        yield from batch.lines.splitlines()
        return
    left = batch.records
    with closing(log.read(position, on_damage=unwatched)) as parts:  # type: ignore[type-var]  # a generator, so that reading ends here
        for part in parts:
            yield from part.lines.splitlines()
            left -= part.records
            if left <= 0:
                return


def _add_lines(known: dict[str, TradeIds], log: Log, lines: Iterator[bytes], venue: str, channel: str) -> None:
    for line in lines:
        envelope, reading = read_record(line, log.id)
        if type(reading) is Trade and not envelope.fault and (reading.venue, reading.channel) == (venue, channel) and reading.symbol in known:
            known[reading.symbol].add(reading.id)
