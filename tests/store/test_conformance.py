"""What every store promises, whatever it is. A new implementation adds itself to STORES (tests/store/kinds.py)."""

import random
from collections.abc import Iterator
from datetime import date

import pytest
from msgspec.structs import replace

from tests.builders import NOON_S
from tests.cases import TRADE
from tests.store.builders import LOG, RUNS, at, batch_of, record_of, run_of, values_of
from tests.store.kinds import STORES
from tradecap.errors import Exit, TradecapError
from tradecap.flows.records import read_record
from tradecap.market.batch import Position
from tradecap.market.candles import every_interval
from tradecap.market.foreign_records import adopted
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.proof.tally import Tally, ledger_row
from tradecap.store import create_store, open_store
from tradecap.store.api import BlockKey, CandleSpan, Difference, QuarantineCounts, Store, TradeBlock

OTHER_LOG = "01930000-0000-7000-8000-000000000009"
SERIES = ("binance", "BTCUSDT", "trade")
FOREVER = CandleSpan("", 0, 2**62)
pytestmark = pytest.mark.core


@pytest.fixture(params=STORES, ids=lambda kind: kind.__name__)
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a store that isn't there yet."""
    new_url: str = request.param(request)
    return new_url


@pytest.fixture
def made(url: str) -> Iterator[Store]:
    """A store with its schema."""
    create_store(url)
    with open_store(url, read=read_record) as store:
        yield store


def seconds_apart(trades: int) -> list[bytes]:
    """Records of successive trades, a second apart."""
    return run_of([at(n, n) for n in range(trades)])


# ---- batches in ------------------------------------------------------------------------------------------------------


def test_what_is_added_can_be_asked_for(made: Store) -> None:
    """A store that takes records and shows nothing."""
    made.add(LOG, batch_of(seconds_apart(100)))
    assert made.outcomes() == {"trade": 100}
    assert (made.fed_runs(LOG), made.other_runs(LOG)) == (frozenset({RUNS[0]}), frozenset())
    assert (made.fed_runs(OTHER_LOG), made.other_runs(OTHER_LOG)) == (frozenset(), frozenset({RUNS[0]}))


def test_adding_twice_changes_nothing(made: Store) -> None:
    """After a crash records come again: they must not count twice."""
    made.add(LOG, batch_of(seconds_apart(100)))
    before = made.outcomes(), made.trade_blocks(), made.ledger_blocks([RUNS[0]])
    made.add(LOG, batch_of(seconds_apart(100)))
    assert (made.outcomes(), made.trade_blocks(), made.ledger_blocks([RUNS[0]])) == before
    assert before[:2] == ({"trade": 100}, [TradeBlock(SERIES, 0, 100, 100, True)])


def test_values_are_whatever_bytes_they_are(made: Store) -> None:
    """A foreign value with a newline that became two records would have an identity that nobody wrote."""
    noise = random.Random(7)
    strange = [
        b"two\nlines\n",
        b"\x00\xff\n",
        b"\n",
        b"{}",
        *(noise.randbytes(noise.choice((1, 127, 128, 16_384, 70_000))) for _ in range(40)),
    ]
    values = [
        each for pair in zip(strange, (line[:-1] for line in seconds_apart(len(strange))), strict=True) for each in pair
    ]
    offsets = [2**40 + 3 * n for n in range(len(values))]
    made.add(LOG, values_of(5, values, offsets))
    assert made.outcomes() == {"trade": len(strange), "quarantined": len(strange)}
    lines = [adopted(value, LOG, 5, offset) for value, offset in zip(values, offsets, strict=True)]
    orphans = {
        offset: ledger_row(*read_record(raw, LOG, 5, offset), raw)
        for raw, offset in zip(lines[::2], offsets[::2], strict=True)
    }
    (run,) = made.fed_runs(LOG) - {RUNS[0]}
    tally = Tally()
    for raw, offset in zip(lines, offsets, strict=True):
        tally.add(*read_record(raw, LOG, 5, offset), raw)
    sums = {
        BlockKey(each.run, block): (counted.records, counted.fingerprint % 2**64)
        for each in tally.runs.values()
        for block, counted in each.blocks.items()
    }
    assert made.ledger_blocks([run, RUNS[0]]) == sums
    assert {seq for key in sums if key.run == run for seq in made.ledger_rows(key)} == orphans.keys()


def test_values_of_several_partitions_lie_side_by_side(made: Store) -> None:
    """Offsets count from 0 in each partition: foreign values at one offset of two partitions are two records."""
    for partition in (0, 1, 2):
        made.add(LOG, values_of(partition, [b"no record", b"nor this"], [0, 1]))
    assert made.outcomes() == {"quarantined": 6}
    assert len(made.fed_runs(LOG)) == 3


@pytest.mark.parametrize("off", [-1, 1])
def test_a_batch_that_doesnt_arrive_in_full_is_refused(made: Store, off: int) -> None:
    """A position written after rows that never came would lose them forever."""
    whole = batch_of(seconds_apart(10))
    with pytest.raises(TradecapError, match=f"read 10 records of a batch of {10 + off}") as error:
        made.add(LOG, whole._replace(records=10 + off))
    assert error.value.exit_code is Exit.UNREACHABLE
    made.add(LOG, whole)
    assert made.outcomes() == {"trade": 10}


# ---- positions -------------------------------------------------------------------------------------------------------


def test_each_partition_of_each_log_has_its_position(made: Store) -> None:
    """A position of another partition would skip records or load everything again."""
    assert made.positions(LOG) == {}
    for partition, text in ((0, "a"), (7, "b")):
        made.commit(LOG, Position(partition, text, 1))
    made.commit(OTHER_LOG, Position(0, "c", 1))
    assert made.positions(LOG) == {0: "a", 7: "b"}
    assert made.positions(OTHER_LOG) == {0: "c"}


def test_of_two_loaders_the_one_that_is_further_wins(made: Store) -> None:
    """The slower one would take the position back, and both would load forever what is there."""
    for order in (9, 10, 2**63, 11, 8):
        made.commit(LOG, Position(0, f"at {order}", order))
    assert made.positions(LOG) == {0: f"at {2**63}"}


# ---- questions -------------------------------------------------------------------------------------------------------


def test_records_that_lost_are_split_by_content(made: Store) -> None:
    """A conflict reported as a duplicate hides that the venue sent two different trades."""
    lines = run_of([at(1, 1), at(2, 2), at(2, 2), at(1, 1, price=7 * 10**8)])
    made.add(LOG, batch_of([*lines, record_of(at(2, 2, qty=9), RUNS[1], 0, via="inject:conflicts")]))
    of_first, of_second = sorted(made.repeats(RUNS[:2], SERIES, [0]))
    assert of_first == (RUNS[0], "", 1, 1, [(1, 3)])
    assert of_second == (RUNS[1], "conflicts", 0, 1, [(2, 0)])
    assert made.repeats(RUNS[:2], ("binance", "ETHUSDT", "trade"), [0]) == []
    assert [(block.trades, block.records, block.is_equal) for block in made.trade_blocks()] == [(2, 5, False)]
    assert made.trade_differences(SERIES, [0]) == []


def test_logs_that_differ_on_an_id_are_found(made: Store) -> None:
    """Two captures of one market that disagree: one of them is wrong."""
    made.add(LOG, batch_of(run_of([at(1), at(2), at(2**20 + 1)])))
    made.add(OTHER_LOG, batch_of(run_of([at(2, price=1), at(3)], RUNS[1])))
    assert made.shared_blocks([RUNS[0]]) == {SERIES: [0]}
    assert made.foreign_conflicts([RUNS[0]], SERIES, [0]) == [2]
    assert made.other_runs(LOG) == {RUNS[1]}


def test_quarantine_agrees_with_the_ledger(made: Store) -> None:
    """What isn't a trade has to be kept whole, once."""
    run = RunWriter(RUNS[0])
    lines = [
        run.record(None, series_head("binance", "ETHUSDT", "trade", "ws"), frame(raw))
        for raw in (TRADE, TRADE[:-9], b"\xff")
    ]
    made.add(LOG, batch_of(lines))
    assert made.outcomes() == {"trade": 1, "quarantined": 2}
    assert made.quarantine_counts() == QuarantineCounts(2, 2)
    assert made.quarantine_differences() == []
    assert made.unknown_records([]) == []
    assert (made.id_span(("binance", "ETHUSDT", "trade"), 0, 2**62) or (0,))[0] > 0
    assert made.id_span(SERIES, 0, 2**62) is None


def test_candles_are_made_once_and_again_when_trades_come(made: Store) -> None:
    """A candle that isn't made again shows an old close forever."""
    made.add(LOG, batch_of(seconds_apart(100)))
    assert made.sweep_candles() == 2
    assert made.sweep_candles() == 0
    made.add(LOG, batch_of(seconds_apart(170)))
    day = date(2024, 8, 9)
    assert [(each.open_time_s - NOON_S, each.differing) for each in made.candle_differences(day, day, FOREVER)][-1] == (
        120,
        "missing",
    )
    assert made.sweep_candles() == 2, "the minute that went on, and a new one"
    assert made.candle_differences(day, day, FOREVER) == []
    assert (made.candle_count(FOREVER), made.candle_series()) == (3, [SERIES])
    assert [each.day for each in made.candle_days(FOREVER)] == [day]


def test_candles_are_made_in_the_hours_that_are_asked_for(made: Store) -> None:
    """A follower of years of trades would read all of them for each new minute; or an hour that was loaded would be
    passed by."""
    made.add(LOG, batch_of(run_of([at(n, 86_400 * day) for n, day in enumerate((0, 1, 5))])))
    hours = [NOON_S // 3600 + 24 * day for day in (0, 1, 5)]
    assert made.newest_hours == {*hours}
    assert made.sweep_candles([]) == 0
    assert made.sweep_candles([hours[0] - 1, hours[0] + 1]) == 0
    assert made.sweep_candles([hours[2], hours[0]]) == 2
    assert made.sweep_candles([hours[0], hours[1]]) == 1
    assert made.sweep_candles() == 0


def test_hours_that_a_trade_has_left_are_among_those_to_sweep(made: Store) -> None:
    """A record that wins later takes its id away from another hour, whose candle would stay as it was."""
    noon = NOON_S // 3600
    made.add(LOG, batch_of(run_of([at(n, 3600 * n) for n in range(5)], RUNS[1])))
    made.sweep_candles(made.newest_hours)
    made.add(LOG, batch_of(run_of([at(5, 3600 * 5)], RUNS[1], first_seq=5)))
    assert made.newest_hours == {noon + 5}
    made.add(LOG, batch_of(run_of([at(2, 3600 * 9)], RUNS[0])))
    assert made.newest_hours == {noon + 2, noon + 9}
    made.sweep_candles({noon + 5, *made.newest_hours})
    assert made.sweep_candles() == 0


def test_hours_to_sweep_are_kept_with_the_position(made: Store) -> None:
    """Candles of what a killed loader had loaded would stay as they were until somebody verifies."""
    made.commit(LOG, Position(0, "a", 1), {5, 7})
    made.commit(LOG, Position(3, "b", 1), {9})
    made.commit(OTHER_LOG, Position(0, "c", 1), {11})
    assert made.touched(LOG) == {5, 7, 9}
    made.forget_touched(LOG, {5, 7, 8})
    assert made.touched(LOG) == {9}
    assert made.touched(OTHER_LOG) == {11}
    assert made.positions(LOG) == {0: "a", 3: "b"}
    made.commit(LOG, Position(3, "d", 2))
    assert made.touched(LOG) == set()
    assert made.positions(LOG) == {0: "a", 3: "d"}


def test_candles_are_read_from_either_end(made: Store) -> None:
    """The newest bar is what is asked for most, and never complete."""
    made.add(LOG, batch_of(seconds_apart(170)))
    made.sweep_candles()
    bars = made.first_candles(SERIES, 60, 0, 2**32 - 1, 10)
    assert bars == made.newest_candles(SERIES, 60, 0, 2**32 - 1, 10)[::-1]
    assert [(bar.trades, bar.first_id, bar.complete) for bar in bars] == [
        (60, 0, True),
        (60, 60, True),
        (50, 120, False),
    ]
    assert made.newest_candles(SERIES, 60, 0, 2**32 - 1, 1) == bars[-1:]
    assert made.first_candles(SERIES, 60, NOON_S + 60, NOON_S + 120, 10) == bars[1:2]
    held = made.kline_bars(SERIES, 60, NOON_S + 60, NOON_S + 120)
    assert [(bar.open_time_s, bar.open, bar.volume, bar.trades) for bar in held] == [
        (b.open_time_s, b.open, b.volume, b.trades) for b in bars
    ]


# ---- readers, and what they are asked --------------------------------------------------------------------------------


def test_trades_are_given_exactly_with_the_record_they_came_from(made: Store) -> None:
    """Whoever merges them with a log needs the winner of each id, to the last digit."""
    trades = [
        at(n, n, price=10**17 + n, qty=10**12 + 1, is_buyer_maker=n % 2 == 0, order_book=n != 5)
        for n in (1, 2, 5, 6, 9)
    ]
    made.add(LOG, batch_of(run_of(trades)))
    made.add(LOG, batch_of(run_of([at(2, 2, qty=9)], RUNS[1])))
    found = made.trades_from(SERIES, 0, 0, 100)
    assert [each.trade.id for each in found] == [1, 2, 5, 6, 9]
    assert [(each.run, each.seq) for each in found] == [(RUNS[0], seq) for seq in range(5)]
    assert [(each.trade.price, each.trade.qty, each.trade.trade_time_us) for each in found] == [
        (t.price, t.qty, t.trade_time_us) for t in trades
    ]
    assert [each.trade.id for each in made.trades_from(SERIES, 2, (NOON_S + 5) * 10**6, 2)] == [5, 6]
    assert made.held_ids(SERIES) == [(1, 2), (5, 6), (9, 9)]
    assert made.series_spans() == [(SERIES, 1, 9, (NOON_S + 1) * 10**6, (NOON_S + 9) * 10**6)]


def test_minutes_are_the_candles_of_their_trades(made: Store) -> None:
    """A bar that is rolled up from them would differ from the store's own."""
    trades = [at(n, 20 * n, price=(100 + n % 3) * 10**8) for n in range(12)]
    made.add(LOG, batch_of(run_of(trades)))
    assert made.newest_sweep() == 0
    made.sweep_candles()
    assert made.newest_sweep() == 1
    expected = [replace(bar, complete=False, volatility_sq=0.0) for bar in every_interval(trades)]
    found = made.minutes(SERIES, 0, 2**31)
    assert [replace(bar, volatility_sq=0.0) for bar in found] == expected
    assert [bar.volatility_sq for bar in found] == pytest.approx(
        [bar.volatility_sq for bar in every_interval(trades)], rel=1e-9
    )
    assert [bar.open_time_s - NOON_S for bar in made.minutes(SERIES, NOON_S + 120, NOON_S + 180)] == [60, 120]


def test_a_reader_sees_what_is_added_and_changes_nothing(made: Store) -> None:
    """A thread that serves would write into the store that it should only show."""
    with made.reader() as reader:
        made.add(LOG, batch_of(seconds_apart(10)))
        assert reader.outcomes() == {"trade": 10}
        with pytest.raises(TradecapError):
            reader.commit(LOG, Position(0, "x", 1))
        with pytest.raises(TradecapError):
            reader.record_loss(LOG, "a", "b")
    made.commit(LOG, Position(0, "000001:7", 7))  # the store outlives its readers
    assert made.positions(LOG) == {0: "000001:7"}


# ---- its schema ------------------------------------------------------------------------------------------------------


def test_creating_again_changes_nothing(url: str) -> None:
    """init-db runs at every deployment."""
    first = create_store(url)
    assert (first.before, first.replaced) == (0, [])
    assert "trades" in first.created
    with open_store(url) as store:
        store.add(LOG, batch_of(seconds_apart(10)))
        store_id = store.store_id
    again = create_store(url)
    assert (again.version, again.before, again.created, again.replaced) == (first.version, first.version, [], [])
    with open_store(url) as store:
        assert store.outcomes() == {"trade": 10}
        assert store.store_id == store_id


def test_dropping_starts_from_nothing(url: str) -> None:
    """init-db --drop that left a position would skip the log's records forever."""
    create_store(url)
    with open_store(url) as store:
        store.add(LOG, batch_of(seconds_apart(10)))
        store.commit(LOG, Position(0, "000001:7", 7))
        store_id = store.store_id
    create_store(url, drop_first=True)
    with open_store(url) as store:
        assert store.outcomes() == {}
        assert store.positions(LOG) == {}
        assert store.store_id != store_id


def test_every_difference_can_be_named() -> None:
    """verify counts with these: a store that had words of its own would be counted wrongly."""
    assert [str(each) for each in Difference] == ["missing", "made by no record", "changed"]
