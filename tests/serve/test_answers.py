"""What each route answers, as plain data."""

from collections.abc import Iterator

import pytest

from tests.flows.builders import a_message, replayed
from tests.flows.test_live import joined
from tradecap.errors import TradecapError
from tradecap.log.folder.log import FileLog
from tradecap.serve.answers import Answers, retry
from tradecap.serve.problems import ProblemError

SERIES = ("binance", "BTCUSDT", "trade")
PRICES = {1: 100, 2: 103, 5: 90}
"""By minute, which is the id as well."""


@pytest.fixture
def answers(log: FileLog) -> Iterator[Answers]:
    """Answers about a log with three trades in three minutes, ids 3 and 4 missing."""
    replayed(log, [a_message(n, at_s=60 * n, price=price * 10**8) for n, price in PRICES.items()])
    with joined(log, None) as there:
        yield Answers(there)


def test_a_series_is_chosen_or_refused_with_what_there_is(answers: Answers) -> None:
    """A typo would be answered by an empty chart."""
    assert answers.choose("btcusdt", "", "") == SERIES
    with pytest.raises(ProblemError, match="Nothing is known of binance BTCUSD") as unknown:
        answers.choose("BTCUSD", "binance", "")
    assert (unknown.value.status, unknown.value.hint) == (404, "did you mean BTCUSDT?")


def test_a_log_without_trades_says_how_to_get_some(log: FileLog) -> None:
    """The first thing that a new user sees would be a list of nothing."""
    with joined(log, None) as empty, pytest.raises(ProblemError) as unknown:
        Answers(empty).choose("BTCUSDT", "", "")
    assert "tradecap replay" in unknown.value.hint


def test_coverage_and_symbols_count_what_is_missing(answers: Answers) -> None:
    """A hole would be served as a quiet market."""
    covered = answers.coverage(SERIES)
    assert (covered["proven"], covered["gaps"], covered["more"]) == ([(1, 2), (5, 5)], [(3, 4)], False)
    assert covered["as_of"] == "2024-08-09T12:05:00Z"
    assert answers.symbols() == {
        "series": [
            {
                "venue": "binance",
                "symbol": "BTCUSDT",
                "channel": "trade",
                "first_id": 1,
                "last_id": 5,
                "first_time": "2024-08-09T12:01:00Z",
                "last_time": "2024-08-09T12:05:00Z",
                "gaps": 1,
                "missing": 2,
            }
        ]
    }


def test_an_empty_range_is_refused(answers: Answers) -> None:
    """`from` and `to` taken for each other would look like a market without trades."""
    for since, until in (("1723204860", "1723204860"), ("1723204861", "1723204860")):
        with pytest.raises(ProblemError, match=r"from is not before to\."):
            answers.candles(SERIES, since, until, "1m", 10, False)
    assert answers.candles(SERIES, "1723204860", "1723204861", "1m", 10, False)["candles"]


def test_a_window_ends_with_the_minute_of_the_newest_trade(answers: Answers) -> None:
    """By the clock of the machine every window of a recording would be empty."""
    found = answers.volume(SERIES, "2m")
    assert (found["since"], found["until"]) == ("2024-08-09T12:04:00Z", "2024-08-09T12:06:00Z")
    assert (found["volume"], found["quote_volume"], found["trades"]) == ("1", "90", 1)
    assert answers.volume(SERIES, "7d")["trades"] == 3


def test_a_trade_has_exact_numbers_and_the_place_of_its_record(answers: Answers) -> None:
    """A price as a float, or a trade without its record, could not be checked against the log."""
    page = answers.trades(SERIES, 5, 10)
    assert isinstance(page["trades"], list)
    (trade,) = page["trades"]
    assert (trade["id"], trade["price"], trade["qty"], trade["seq"]) == (5, "90", "1", 3)
    assert trade["trade_time"] == "2024-08-09T12:05:00Z"
    assert page["next"] is None


def test_a_spike_needs_two_whole_bars(answers: Answers) -> None:
    """A jump across a hole would be reported as one between neighbours."""
    found = answers.spikes(SERIES, "0.01", "1m", "1h")
    assert found["spikes"] == []
    assert (found["compared"], found["left_out"]) == (0, 3)
    assert found["threshold"] == "0.01"


def test_a_store_that_is_away_is_asked_again_later() -> None:
    """A client would take an outage for its own mistake."""
    problem = retry(TradecapError("The store is away.", "wait."))
    assert (problem.status, problem.detail, problem.hint) == (503, "The store is away.", "wait.")
    assert "Retry-After" in problem.headers
