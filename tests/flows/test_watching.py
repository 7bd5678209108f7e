"""Following bars from outside: what comes first and what comes then are one, wherever the store is and whatever comes
in meanwhile."""

import threading

import pytest

from tests.flows.builders import begun, load, replayed, some_messages
from tests.flows.test_live import SERIES, joined, of_log, same, wait_for
from tradecap.flows.candles import ShownCandle, shown
from tradecap.flows.joined import Joined
from tradecap.flows.run import Run
from tradecap.flows.ticks import Subscriber
from tradecap.flows.watching import Watching
from tradecap.log.api import LogWriter
from tradecap.log.folder.log import FileLog
from tradecap.market.records import Trade, frame, series_head
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode


def followed(served: Joined, seconds: int, history: int, until_id: int) -> list[ShownCandle]:
    """The bars that a client has which begins now, once it has seen a trade. Fails where a tick goes back."""
    watching, subscriber = Watching(served), Subscriber(1_000_000)
    ticker = watching.ticker(SERIES, seconds)
    past, versions = watching.begin([ticker], history, subscriber)
    drawn = {each.candle.open_time: each.candle for each in past}
    assert [each.is_closed for each in past] == [True] * (len(past) - 1) + [False] * bool(past)
    at, last_id = versions[SERIES], max((each.candle.last_id for each in past), default=-1)
    try:
        while last_id < until_id:
            wait_for(lambda: subscriber.queue)
            tick = subscriber.take()
            assert tick
            assert tick.at in (at, at + 1), "a change was left out, or came twice"
            assert tick.at > versions[SERIES], "a change came that the first bars showed"
            at, bar = tick.at, shown(tick.bar)
            drawn[bar.open_time], last_id = bar, max(last_id, bar.last_id)
    finally:
        watching.end([ticker], subscriber)
        watching.leave(ticker)
    return [drawn[at] for at in sorted(drawn)]


@pytest.mark.parametrize("seconds", [60, 3600])
def test_history_and_ticks_are_one_while_trades_come_in(log: FileLog, store: ClickHouseStore, seconds: int) -> None:
    """A chart would have a hole, or go back, at the moment it was opened."""
    messages = some_messages(range(3000))
    replayed(log, messages[:1200])
    load(log, store)
    replayed(log, messages[1200:1500])
    with log.writer() as writer, joined(log, store) as served:
        thread = threading.Thread(target=bring, args=(writer, messages[1500:]))
        thread.start()
        found = [followed(served, seconds, history, 2999) for history in (0, 3, 5000)]
        thread.join()
        whole = of_log(log, seconds)
        for bars in found:
            assert same(bars, whole[-len(bars) :])
        assert same(found[2], whole)


def test_a_bar_that_began_in_the_store_is_whole_after_the_store_has_swept(log: FileLog, store: ClickHouseStore) -> None:
    """The bar of a day would lack what the store had not loaded yet when the stream began."""
    messages = some_messages(range(3000))  # four hours
    replayed(log, messages[:100])
    load(log, store)
    replayed(log, messages[100:])
    with joined(log, store, history_s=0.0) as served:
        watching = Watching(served)
        ticker = watching.ticker(SERIES, 86_400)
        assert watching.current(ticker).ticks
        load(log, store)

        def is_whole() -> bool:
            watching.refresh()
            return same([shown(tick.bar) for tick in watching.current(ticker).ticks or ()], of_log(log, 86_400))

        wait_for(is_whole)


def test_what_changed_after_a_version_comes_once_and_in_order(log: FileLog) -> None:
    """A client that comes back would draw a bar twice, or miss one."""
    messages = some_messages(range(300))
    with log.writer() as writer, joined(log, None) as served:
        run = bring(writer, messages[:100])
        wait_for(lambda: served.live.series() and served.known(SERIES).ids.last == 99)
        watching = Watching(served)
        ticker = watching.ticker(SERIES, 60)
        at = watching.current(ticker).at
        bring(writer, messages[100:], run)
        wait_for(lambda: served.known(SERIES).ids.last == 299)
        changes = watching.changes(ticker, at)
        assert changes.ticks
        assert same([shown(tick.bar) for tick in changes.ticks], of_log(log)[-len(changes.ticks) :])
        assert len(changes.ticks) == 17  # the minute that was running, and 16 more
        assert watching.changes(ticker, changes.at).ticks == []


def bring(writer: LogWriter, messages: list[bytes], run: Run | None = None) -> Run:
    """Log messages in small durable pieces."""
    run = run or begun(writer, [])
    for since in range(0, len(messages), 20):
        for each in messages[since : since + 20]:
            reading = decode(each)
            assert isinstance(reading, Trade)
            run.record(None, series_head(reading.venue, reading.symbol, reading.channel, "ws"), frame(each), reading)
        run.flush()
    return run
