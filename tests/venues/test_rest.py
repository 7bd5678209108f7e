"""The HTTP client, against the local exchange."""

import time

import pytest

from tests.exchange import Running, running
from tradecap.simulate import Rules
from tradecap.venues.api import SITES
from tradecap.venues.binance.rest import row_id
from tradecap.venues.failures import http_date_s
from tradecap.venues.rest import Budget, Rest, RestError
from tradecap.venues.sites import Site


def site_of(exchange: Running, name: str = "binance") -> Site:
    return SITES[name].at(exchange.url)


def test_old_trades_come_by_id_as_they_were_sent() -> None:
    """A repair would have holes of its own, or rows that aren't the venue's bytes."""
    with running() as exchange, Rest(site_of(exchange)) as rest:
        exchange.play(2500)
        rows = rest.old_trades("BTCUSDT", "trade", 1200)
        assert [row_id(row, "trade") for row in rows] == list(range(1200, 2200))
        assert rows[0].startswith(b'{"id":1200,"price":"')


def test_without_history_only_the_newest_thousand_are_there() -> None:
    """The data-only hosts don't serve historicalTrades: asking there would end each repair in a 404."""
    with running() as exchange, Rest(site_of(exchange, "binance-data")) as rest:
        exchange.play(2500)
        assert [row_id(row, "trade") for row in rest.old_trades("BTCUSDT", "trade", 5)] == list(range(1501, 2501))
        assert row_id(rest.newest("BTCUSDT", "trade")[0], "trade") == 2500


def test_an_unknown_symbol_comes_with_those_that_are_known() -> None:
    """Nobody could say 'did you mean'."""
    with running() as exchange, Rest(site_of(exchange)) as rest:
        assert rest.look_up(["BTCUSDT"]).unknown == {}
        assert rest.look_up(["BTCUSDT", "BTCUSD"]).unknown == {"BTCUSD": ["BTCUSDT"]}


@pytest.mark.parametrize(
    ("status", "kind", "is_final"), [(451, "http_451", True), (403, "http_403", False), (503, "http_503", False)]
)
def test_a_refusal_is_named(status: int, kind: str, is_final: bool) -> None:
    """'HTTP error' tells nobody whether to wait or to move house."""
    with running() as exchange, Rest(site_of(exchange)) as rest:
        exchange.fire("http", status=status)
        with pytest.raises(RestError) as caught:
            rest.newest("BTCUSDT", "trade")
        assert (caught.value.failure.kind, caught.value.failure.is_final) == (kind, is_final)
        assert rest.site.rest_url in caught.value.message


def test_geo_blocking_is_explained_with_the_way_out() -> None:
    """People in blocked places would give up at the first try."""
    with running() as exchange, Rest(site_of(exchange)) as rest:
        exchange.fire("http", status=451)
        with pytest.raises(RestError) as caught:
            rest.look_up(["BTCUSDT"])
        assert "--venue binance-data" in caught.value.hint
        assert "--venue binance-us" in caught.value.hint


def test_retry_after_is_obeyed() -> None:
    """A client that goes on asking is banned, for days in the end."""
    with running() as exchange, Rest(site_of(exchange)) as rest:
        exchange.play(1)
        exchange.fire("http", status=429, retry_after_s=2)
        began = time.monotonic()
        with pytest.raises(RestError):
            rest.newest("BTCUSDT", "trade")
        rest.newest("BTCUSDT", "trade")
        assert time.monotonic() - began >= 2.0


def test_a_wait_can_be_cut_short() -> None:
    """Ctrl-C would wait for the end of a ban."""
    with running() as exchange, Rest(site_of(exchange), wait=lambda seconds: seconds == 0) as rest:
        exchange.fire("http", status=418, retry_after_s=3000)
        with pytest.raises(RestError):
            rest.newest("BTCUSDT", "trade")
        with pytest.raises(RestError) as caught:
            rest.newest("BTCUSDT", "trade")
        assert caught.value.failure.kind == "stopped"


@pytest.mark.parametrize("set_by_s", [-3600.0, 3600.0])
def test_a_clock_that_is_set_changes_no_wait(monkeypatch: pytest.MonkeyPatch, set_by_s: float) -> None:
    """Set back, all repair would stand still for an hour; set forward, the venue would be asked again during its
    ban."""
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return seconds == 0

    with running() as exchange, Rest(site_of(exchange), wait=wait) as rest:
        exchange.fire("http", status=429, retry_after_s=30)
        with pytest.raises(RestError):
            rest.newest("BTCUSDT", "trade")
        right = time.time
        monkeypatch.setattr(time, "time", lambda: right() + set_by_s)
        with pytest.raises(RestError):
            rest.newest("BTCUSDT", "trade")
    assert 25.0 < waits[-1] <= 30.0


def test_no_more_than_half_of_the_weight_is_used() -> None:
    """The other programs behind this address would be banned together with us."""
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return seconds == 0

    with running(rules=Rules(weight_per_minute=200)) as exchange:
        exchange.play(10)
        site = site_of(exchange)._replace(weight_per_minute=200)
        with Rest(site, wait=wait) as rest:
            for _ in range(100 // 25):
                rest.newest("BTCUSDT", "trade")
            with pytest.raises(RestError):
                rest.newest("BTCUSDT", "trade")
        assert rest.requests == 100 // 25
        assert 0 < waits[-1] <= 60


def test_the_minute_is_that_of_the_venues_clock() -> None:
    """With a wrong clock here the budget would be spent twice in one minute there."""
    budget = Budget(50)
    now = 1_000_000.0
    ahead = "Mon, 12 Jan 1970 13:46:55 GMT"  # it is 15 s later there: 1 000 015 s
    budget.learn({"Date": ahead, "X-Mbx-Used-Weight-1M": "40"}, now, "X-Mbx-Used-Weight-1M")
    assert budget.wait_s(25, now) == pytest.approx(5.0)
    assert budget.wait_s(25, now + 6) == 0.0


@pytest.mark.parametrize(
    "date", ["Mon, 12 Jan 1970 13:46:55 GMT", "Mon, 12 Jan 1970 13:46:55 -0000", "Mon Jan 12 13:46:55 1970"]
)
def test_the_venues_clock_is_utc_whatever_the_zone_of_this_machine(in_new_york: None, date: str) -> None:  # noqa: ARG001 -- a state, not a value
    """A date without a zone, read as local time, would be hours away from one that names it."""
    assert http_date_s(date) == 1_000_015.0


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 12 Jan 99999999999 13:46:55 GMT"])
def test_a_date_that_cannot_be_read_changes_nothing(date: str) -> None:
    """A proxy's odd header would end the repair."""
    budget = Budget(50)
    budget.learn({"Date": date}, 1_000_000.0, "X-Mbx-Used-Weight-1M")
    assert budget.wait_s(25, 1_000_000.0) == 0.0


def test_a_connection_that_the_venue_closed_while_idle_is_no_failure() -> None:
    """The first request after a quiet hour would fail."""
    with running() as exchange, Rest(site_of(exchange)) as rest:
        exchange.play(1)
        rest.newest("BTCUSDT", "trade")
        for wire in [*exchange.exchange.connections.wires]:
            exchange.call(wire.transport.abort)
        time.sleep(0.05)
        assert len(rest.newest("BTCUSDT", "trade")) == 1


def test_nobody_there_is_named() -> None:
    """A wrong port would look like a bug of ours."""
    with Rest(SITES["binance"].at("ws://127.0.0.1:9")) as rest, pytest.raises(RestError) as caught:
        rest.newest("BTCUSDT", "trade")
    assert caught.value.failure.kind == "refused"
