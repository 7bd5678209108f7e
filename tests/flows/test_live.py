"""The seam between store and log: what is answered at any moment is what the records say, wherever the store was when
serving began."""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.builders import NOON_S
from tests.flows.builders import a_message, begun, load, replayed, some_messages, spoilt
from tests.kafka.broker import Broker
from tests.log.memory import Kept, MemoryLog
from tradecap.errors import TradecapError
from tradecap.flows.candles import BarsQuery, ShownCandle, shown
from tradecap.flows.joined import Joined
from tradecap.flows.live import QUIET_S, Live
from tradecap.flows.records import read_lines
from tradecap.flows.stored import Stored
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog
from tradecap.market.batch import Batch, Lines, Position
from tradecap.market.candles import candles
from tradecap.market.records import Trade
from tradecap.store.api import Store
from tradecap.store.clickhouse.store import ClickHouseStore

SERIES = ("binance", "BTCUSDT", "trade")
WITHIN_S = 60.0


@contextmanager
def joined(log: Log, store: Store | None, history_s: float = 7200.0) -> Iterator[Joined]:
    """Serving, without HTTP, once the log has been read to its end."""
    live = Live(log, store, history_s=history_s)
    live.begin()
    live.start()
    stored = Stored(store) if store else None
    try:
        wait_for(lambda: not live.not_ready())
        yield Joined(live, stored)
    finally:
        live.finish()
        if stored:
            stored.close()


def wait_for(is_so: Callable[[], object]) -> None:
    """Wait until something is so."""
    until_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < until_s, "it never came"
        time.sleep(0.02)


def of_log(log: Log, seconds: int = 60) -> list[ShownCandle]:
    """The bars of all records of a log, from the definition."""
    records = sorted(
        ((each[0].run, each[0].seq, each[1]) for each in read_lines(log) if isinstance(each[1], Trade)),
        key=lambda each: each[:2],
    )
    return [shown(bar) for bar in candles((trade for _, _, trade in records if trade.symbol == "BTCUSDT"), seconds)]


def same(bars: Sequence[ShownCandle], expected: Sequence[ShownCandle]) -> bool:
    """Equal but for the order in which floats were added."""
    return len(bars) == len(expected) and all(
        vars(bar) | {"volatility": 0} == vars(other) | {"volatility": 0}
        and bar.volatility == pytest.approx(other.volatility, rel=1e-9, abs=1e-15)
        for bar, other in zip(bars, expected, strict=True)
    )


def answered(served: Joined, seconds: int = 60) -> list[ShownCandle]:
    """All bars, in pages."""
    found: list[ShownCandle] = []
    since_s: int | None = 0
    while since_s is not None:
        page = served.candles(SERIES, BarsQuery(symbol="BTCUSDT", seconds=seconds, from_s=since_s, limit=7))
        found += page.candles.candles
        since_s = page.next_s
    return found


def test_wherever_the_store_is_the_bars_are_those_of_the_log(log: FileLog, store: ClickHouseStore) -> None:
    """A hole or a trade twice between history and the running minute is what users of charts complain about most."""
    messages = some_messages(range(2000))
    rest = iter(range(0, 2001, 400))
    for since, until in pairwise(rest):
        replayed(log, messages[since:until])
        if since == 800:
            spoilt(log, {"dupes": 30, "conflicts": 30, "nulls": 5})
        with joined(log, store) as served:
            assert same(answered(served), of_log(log))
            assert same(answered(served, 300), of_log(log, 300))
            newest = served.candles(SERIES, BarsQuery(symbol="BTCUSDT", seconds=60, limit=10)).candles.candles
            assert same(newest, of_log(log)[-10:])
        if since != 400:
            load(log, store)


def test_what_comes_while_it_is_served_is_there(log: FileLog, store: ClickHouseStore) -> None:
    """The running minute would stand still until the next restart."""
    messages = some_messages(range(600))
    replayed(log, messages[:200])
    load(log, store)
    with joined(log, store) as served:
        replayed(log, messages[200:])
        wait_for(lambda: served.known(SERIES).ids.last == 599)
        assert same(answered(served), of_log(log))
        load(log, store)  # and nothing changes once the store has it too
        assert same(answered(served), of_log(log))


def test_a_trade_that_isnt_durable_isnt_seen(log: FileLog) -> None:
    """A client would have seen a trade that a crash undoes."""
    with log.writer() as writer, joined(log, None) as served:
        run = begun(writer, some_messages(range(10)))
        wait_for(lambda: served.live.series())
        line = b'{"run":"' + writer.run.encode() + b'","seq":12,"recv":null,"data":' + a_message(10, at_s=50) + b"}\n"
        writer.append(line)
        time.sleep(0.3)
        assert served.known(SERIES).ids.last == 9
        run.flush()
        wait_for(lambda: served.known(SERIES).ids.last == 10)


def test_without_a_store_the_log_alone_is_served(log: FileLog) -> None:
    """Somebody who only captures has no store, and nothing to look at."""
    replayed(log, some_messages(range(500)))
    with joined(log, None) as served:
        assert same(answered(served), of_log(log))
        assert [trade.id for trade, _ in served.trades(SERIES, 100, 5)[0]] == [100, 101, 102, 103, 104]


def test_partitions_of_a_log_come_in_any_order(store: ClickHouseStore) -> None:
    """Whoever counts on one order loses trades of a topic."""
    kept = Kept()
    log = MemoryLog(kept)
    replayed(log, [*some_messages(range(200)), *some_messages(range(200), symbol="ETHUSDT")])
    load(log, store)
    replayed(log, some_messages(range(150, 400)))
    with joined(log, store) as served:
        assert same(answered(served), of_log(log))
        assert served.series() == [SERIES, ("binance", "ETHUSDT", "trade")]


def test_a_store_far_behind_is_not_waited_for(tmp_path: Path, store: ClickHouseStore) -> None:
    """Days of log would be read before the first answer; what isn't read isn't called complete."""
    log = open_log(f"file:{tmp_path / 'log'}", create=True, segment_bytes=1)
    messages = some_messages(range(1200))
    replayed(log, messages[:300])
    load(log, store)
    for since in range(300, 1200, 300):
        replayed(log, messages[since : since + 300])
    segments = sorted((tmp_path / "log").glob("*.zst"))
    for age, segment in enumerate(reversed(segments)):
        os.utime(segment, (time.time() - age * 3600, time.time() - age * 3600))
    with joined(log, store, history_s=1800.0) as served:
        bars = answered(served)
    expected = of_log(log)
    assert served.live.positions != {}
    by_time = {bar.open_time: bar for bar in expected}
    assert len(bars) < len(expected)
    assert all(
        bar == by_time[bar.open_time]
        for bar in bars
        if bar.complete and bar.volatility == by_time[bar.open_time].volatility
    )
    assert [bar.complete for bar in bars if bar.last_id in (299, 1199)] == [False, False]


def test_a_late_trade_is_put_into_its_minute(log: FileLog, store: ClickHouseStore) -> None:
    """What REST repairs after an outage would never be seen."""
    messages = some_messages(range(400))
    random.Random(7).shuffle(messages)
    replayed(log, messages[:100])
    load(log, store)
    replayed(log, messages[100:300])
    with joined(log, store) as served:
        replayed(log, messages[300:])
        wait_for(lambda: len(served.known(SERIES).ids) == 400)
        assert same(answered(served), of_log(log))
        assert served.known(SERIES).ids.intervals() == [(0, 399)]


def test_trades_come_from_both_sides(log: FileLog, store: ClickHouseStore) -> None:
    """A page of trades across the seam would skip some or show them twice."""
    messages = some_messages(range(3000), price=100 * 10**8)
    replayed(log, messages[:2500])
    load(log, store)
    replayed(log, messages[2500:])
    with joined(log, store) as served:
        found: list[int] = []
        following: int | None = 0
        while following is not None:
            page, following = served.trades(SERIES, following, 700)
            found += [trade.id for trade, _ in page]
    assert found == list(range(3000))


def test_a_log_that_goes_away_and_comes_back_is_read_on(log: FileLog, tmp_path: Path) -> None:
    """A disk that was mounted again, or a broker that restarted, would need a restart of everything that serves."""
    messages = some_messages(range(300))
    replayed(log, messages[:100])
    with joined(log, None) as served:
        log.path.rename(tmp_path / "away")
        wait_for(lambda: served.live.not_ready())
        assert "can't be read" in served.live.not_ready()[0]
        (tmp_path / "away").rename(log.path)
        replayed(log, messages[100:])
        wait_for(lambda: served.known(SERIES).ids.last == 299)
        assert not served.live.not_ready()
        assert same(answered(served), of_log(log))


def test_only_complete_bars_can_be_asked_for(log: FileLog, store: ClickHouseStore) -> None:
    """Whoever trades on closed bars would be handed the running one."""
    replayed(log, some_messages([*range(300), *range(305, 600)]))
    load(log, store)
    with joined(log, store) as served:
        whole = [bar for bar in of_log(log) if bar.complete]
        asked = served.candles(SERIES, BarsQuery(symbol="BTCUSDT", seconds=60, limit=3), complete=True).candles.candles
        assert same(asked, whole[-3:])
        first = served.candles(SERIES, BarsQuery(symbol="BTCUSDT", seconds=60, from_s=NOON_S, limit=30), complete=True)
        assert same(first.candles.candles, whole[:30])
        assert first.next_s is not None


@pytest.mark.kafka
def test_a_broker_that_goes_away_and_comes_back_is_read_on(killable_broker: Broker) -> None:
    """A broker that restarts would need a restart of everything that serves."""
    url = f"kafka://{killable_broker.bootstrap}/live"
    log = open_log(url, create=True)
    messages = some_messages(range(300))
    replayed(log, messages[:100])
    with joined(open_log(url), None) as served:
        killable_broker.kill()
        wait_for(lambda: served.live.not_ready())
        killable_broker.start()
        replayed(open_log(url), messages[100:])
        wait_for(lambda: served.known(SERIES).ids.last == 299)
        wait_for(lambda: not served.live.not_ready())
        assert same(answered(served), of_log(log))


def test_a_topic_is_read_to_its_end_only_with_all_its_partitions(tmp_path: Path) -> None:
    """A server that has read one partition would call itself ready, and answer with older trades than before."""
    log = open_log(f"file:{tmp_path / 'log'}", create=True)
    live = Live(log, None)
    live.begin()
    live._unread = {0, 1}
    for partition, is_read in ((0, False), (1, True)):
        live._take(Batch(Lines(b""), 0, Position(partition, "0", 0), is_newest=True))
        assert live.is_caught_up is is_read


def test_an_outage_is_no_quiet_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that started while its broker was away would be ready without a trade."""
    log = MemoryLog(Kept())
    live = Live(log, None)
    monkeypatch.setattr(log, "behind", lambda _: {0: 5})
    live.taken_s = time.monotonic() - QUIET_S * 2
    live._report(TradecapError("No broker answers.", "look."))
    assert live._is_followed()
    assert not live.is_caught_up
    live._failed_s -= QUIET_S * 2
    live._looked_s = 0.0
    assert live._is_followed()
    assert live.is_caught_up
