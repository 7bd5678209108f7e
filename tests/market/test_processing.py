"""What is decided trade by trade, in batches and across restarts, against one computation over the whole input."""

from collections.abc import Iterable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import NOON_S, a_trade
from tests.market.test_bars import at, same
from tests.processing import HOUR, whole
from tradecap.market.candles import Candle
from tradecap.market.processing import Outcome, Partition
from tradecap.market.processing_state import CHUNK, Delta, read_key
from tradecap.market.records import Trade

LARGEST = 256_000


class Topics:
    """The compacted topics as a reader of them sees it: the last value of each key."""

    def __init__(self) -> None:
        self.state: dict[bytes, bytes] = {}
        self.minutes: dict[int, tuple[Candle, bool]] = {}
        self.revisions: list[tuple[int, int]] = []

    def settle(self, partition: Partition) -> None:
        changed, deltas = partition.settle()
        self.apply(deltas)
        for each in changed:
            self.minutes[each.bar.open_time_s] = each.bar, each.closed
            self.revisions.append((each.bar.open_time_s, each.bar.ids))

    def apply(self, deltas: Iterable[Delta]) -> None:
        for key, value in deltas:
            if value is None:
                del self.state[key]  # a tombstone for what isn't there would be one too many
            else:
                assert len(value) < LARGEST
                self.state[key] = value


@st.composite
def inputs(draw: st.DrawFn) -> list[Trade]:
    """Few ids over three hours, so that minutes close, become too old, and ids come again, with other content and in
    any order."""
    return [
        at(
            draw(st.integers(0, 40)),
            draw(
                st.sampled_from(
                    [
                        0,
                        1,
                        30,
                        59,
                        60,
                        61,
                        125,
                        HOUR - 1,
                        HOUR,
                        HOUR + 59,
                        HOUR + 60,
                        HOUR + 121,
                        2 * HOUR,
                        2 * HOUR + 70,
                        3 * HOUR,
                    ]
                )
            ),
            price=draw(st.integers(1, 3)) * 10**8,
            order_book=draw(st.integers(0, 5)) > 0,
        )
        for _ in range(draw(st.integers(1, 40)))
    ]


@settings(max_examples=100, deadline=None)
@given(inputs(), st.data())
def test_batches_and_restarts_change_nothing(trades: list[Trade], data: st.DataObject) -> None:
    """What is emitted would depend on when a process was killed, or on how its consumer cut the topic."""
    outcomes, minutes, second_us = whole(trades)
    partition, topics, found = Partition(), Topics(), []
    for trade in trades:
        found.append(partition.take(trade))
        step = data.draw(st.sampled_from(["go on", "settle", "restart"]))
        if step != "go on":
            topics.settle(partition)
        if step == "restart":
            partition = Partition.restored(topics.state)
    topics.settle(partition)
    assert found == outcomes
    shown = [topics.minutes[at_s] for at_s in sorted(topics.minutes)]
    assert same([bar for bar, _ in shown], minutes)
    assert [closed for _, closed in shown] == [bar.open_time_s < second_us // 60_000_000 * 60 for bar, _ in shown]
    assert all(is_exact(bar, minutes) for bar, closed in shown if closed)


def is_exact(bar: Candle, minutes: list[Candle]) -> bool:
    return bar in minutes


@settings(max_examples=50, deadline=None)
@given(inputs())
def test_a_revision_never_falls(trades: list[Trade]) -> None:
    """A reader that keeps the highest revision would keep an older one."""
    partition, topics = Partition(), Topics()
    for trade in trades:
        partition.take(trade)
        topics.settle(partition)
        partition = Partition.restored(topics.state)
    highest: dict[int, int] = {}
    for at_s, revision in topics.revisions:
        assert revision >= highest.get(at_s, 0)
        highest[at_s] = revision


def test_a_restart_shows_nothing_again() -> None:
    """Each restart would send every minute once more."""
    partition, topics = Partition(), Topics()
    for n in range(200):
        partition.take(at(n, n))
    topics.settle(partition)
    again = Partition.restored(topics.state)
    again.take(at(7, 7))
    assert again.settle() == ([], [])
    again.take(at(200, 199))
    changed, _ = again.settle()
    assert [each.bar.open_time_s for each in changed] == [NOON_S + 180]


def test_a_hundred_thousand_trades_of_a_minute_fit() -> None:
    """A broker refuses a message over 1 MB, and the minute would be lost with its transaction."""
    partition, topics = Partition(), Topics()
    for begin in range(0, 100_000, 7_000):
        for number in range(begin, min(begin + 7_000, 100_000)):
            partition.take(at(2 * number, number / 2_000))  # half of the ids are missing: the most intervals
        topics.settle(partition)
    rows = {key: value for key, value in topics.state.items() if read_key(key).kind == "trades"}
    assert len(rows) == 100
    assert all(len(msgspec.json.decode(value)) <= CHUNK for value in rows.values())
    again = Partition.restored(topics.state)
    assert again.take(at(0, 0)) is Outcome.DUPLICATE
    assert again.take(at(0, 0, price=1)) is Outcome.CONFLICT
    assert again.take(at(199_999, 59)) is Outcome.NEW
    (changed,) = again.settle()[0]
    assert changed.bar.ids == 100_001


def test_small_batches_do_not_make_a_chunk_each() -> None:
    """A quiet live series would leave thousands of keys an hour."""
    partition, topics = Partition(), Topics()
    for number in range(1_000):
        partition.take(at(number, number / 100))
        topics.settle(partition)
    assert len([key for key in topics.state if read_key(key).kind == "trades"]) == 8


def test_what_is_too_old_leaves_the_state() -> None:
    """The state would grow with every hour."""
    partition, topics = Partition(), Topics()
    for number in range(5 * 60):
        partition.take(at(number, number * 60))
        topics.settle(partition)
    kinds = [read_key(key).kind for key in topics.state]
    assert (kinds.count("trades"), kinds.count("ids"), kinds.count("times")) == (62, 1, 1)


def test_one_wild_time_closes_nothing() -> None:
    """A single broken clock would make every trade after it too late."""
    partition = Partition()
    assert [partition.take(at(n, seconds)) for n, seconds in enumerate([0, 900 * HOUR, 1, 2])] == [Outcome.NEW] * 4
    changed, _ = partition.settle()
    assert [each.closed for each in changed] == [False, False]


def test_series_do_not_share_a_clock() -> None:
    """A recording of last year next to a live symbol in one partition would be too late as a whole."""
    partition = Partition()
    for n in range(3):
        assert partition.take(at(n, 10 * HOUR + n)) is Outcome.NEW
        assert partition.take(at(n, n, symbol="ETHUSDT")) is Outcome.NEW
        assert partition.take(at(n, n, channel="aggTrade")) is Outcome.NEW


def test_misplaced_trades_are_remembered() -> None:
    """A restart would make /health well again while trades are missing."""
    partition, topics = Partition(), Topics()
    partition.misplaced += 2
    topics.settle(partition)
    assert Partition.restored(topics.state).misplaced == 2
    assert Partition.restored(topics.state).settle() == ([], [])


def test_trades_come_back_as_they_were() -> None:
    """A conflict after a restart would be a duplicate, or the other way round."""
    odd = a_trade(
        id=9,
        first_id=4,
        last_id=12,
        price=0,
        qty=2**62,
        is_buyer_maker=True,
        order_book=False,
        channel="aggTrade",
        event_time_us=0,
    )
    partition, topics = Partition(), Topics()
    partition.take(odd)
    topics.settle(partition)
    again = Partition.restored(topics.state)
    assert again.take(odd) is Outcome.DUPLICATE
    (book,) = again._books.values()
    ((trade, _),) = (book._minutes[NOON_S].bar.trades or {}).values()
    assert trade == odd
