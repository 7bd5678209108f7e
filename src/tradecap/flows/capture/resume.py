"""Where a capture continues: the ids of its series that the log already holds.

Rules: a batch whose ids the log has noted isn't read; only the rest is. From a topic only the newest records of each
partition are read: a series that has none among them starts again, and the hole before it is `uncovered`. Injected
records don't count, since the venue never sent them.
"""

from collections.abc import Collection, Iterable

from tradecap.flows.records import records_of, unwatched
from tradecap.log.api import Log
from tradecap.market.batch import Batch, SeriesNote
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds


def known_ids(log: Log, venue: str, channel: str, symbols: Collection[str]) -> dict[str, TradeIds]:
    """The ids of valid trades in the log, by symbol. Damaged records are skipped."""
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
        if type(reading) is not Trade or envelope.fault or reading.symbol not in known:
            continue
        if (reading.venue, reading.channel) == (venue, channel):
            known[reading.symbol].add(reading.id)
