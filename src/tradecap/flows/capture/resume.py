"""Where a capture goes on: the ids of its series that the log holds already.

What the log has noted of a batch needn't be read; only the rest is. What was injected counts for nothing: it is no trade of the venue.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing

from tradecap.flows.records import read_record, unwatched
from tradecap.log.api import Batch, Log, SeriesNote
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds


def known_ids(log: Log, venue: str, channel: str, symbols: Collection[str]) -> dict[str, TradeIds]:
    """By symbol, the ids of valid trades in the log. What is damaged is passed by."""
    known = {symbol: TradeIds() for symbol in symbols}
    position = ""
    for batch in log.read(whole_files=True, on_damage=unwatched):
        if batch.series is None:
            _add_lines(known, log, _lines(log, position, batch), venue, channel)
        else:
            _add_notes(known, batch.series, venue, channel)
        position = batch.end
    return known


def _add_notes(known: dict[str, TradeIds], notes: Iterable[SeriesNote], venue: str, channel: str) -> None:
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
