"""Where a capture goes on: the ids of its series that the log holds already.

What the log has noted of a batch needn't be read; only the rest is. Of a topic only the newest records of each partition are read: a series that has
none among them begins anew, and the hole before it is `uncovered`. What was injected counts for nothing: it is no trade of the venue.
"""

from collections.abc import Collection, Iterable

from tradecap.flows.records import records_of, unwatched
from tradecap.log.api import Log
from tradecap.market.batch import Batch, SeriesNote
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds


def known_ids(log: Log, venue: str, channel: str, symbols: Collection[str]) -> dict[str, TradeIds]:
    """By symbol, the ids of valid trades in the log. What is damaged is passed by."""
    known = {symbol: TradeIds() for symbol in symbols}
    for part in log.skim(unwatched):
        if isinstance(part, Batch):
            _add_records(known, part, log.id, venue, channel)
        else:
            _add_notes(known, part, venue, channel)
    return known


def _add_notes(known: dict[str, TradeIds], notes: Iterable[SeriesNote], venue: str, channel: str) -> None:
    for note in notes:
        if note.venue == venue and note.channel == channel and note.symbol in known:
            for first, last in note.ids or ():
                known[note.symbol].add_range(first, last)


def _add_records(known: dict[str, TradeIds], batch: Batch, log_id: str, venue: str, channel: str) -> None:
    for envelope, reading, _ in records_of(batch, log_id):
        if type(reading) is Trade and not envelope.fault and (reading.venue, reading.channel) == (venue, channel) and reading.symbol in known:
            known[reading.symbol].add(reading.id)
