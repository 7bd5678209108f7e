"""What each route answers, as plain data: the question is read here, the answer comes from the flows.

Rules: every window ends at the newest trade of the series, not at the clock, so recordings answer too; `as_of` says
when that was.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.candles import (
    FOREVER_S,
    BarsQuery,
    Candles,
    SeveralVenuesError,
    UnknownSymbolError,
    as_json,
    interval_text,
    units_text,
)
from tradecap.flows.joined import Joined, KnownSeries
from tradecap.flows.stats import spikes, volume
from tradecap.market.bars import Rank
from tradecap.market.records import Trade
from tradecap.serve import parameters
from tradecap.serve.problems import ProblemError
from tradecap.store.api import Series
from tradecap.times import time_text

MOST: Final = 5000
RANGES: Final = 10_000
"""Ranges of ids in one answer: the newest."""
Json = dict[str, object]


class Answers:
    """Answers questions about what is stored and what comes in."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined

    def choose(self, symbol: str, venue: str, channel: str) -> Series:
        """The series that is meant; 404 or 422 where none is."""
        try:
            return self._joined.choose(symbol, venue, channel)
        except UnknownSymbolError as error:
            hint = (
                error.hint
                if self._joined.series()
                else ("there are no trades yet: tradecap stream or tradecap replay brings some.")
            )
            raise ProblemError(
                404, f"Nothing is known of {' '.join(filter(None, (venue, symbol, channel)))}.", hint
            ) from error
        except SeveralVenuesError as error:
            raise ProblemError(422, error.message, f"name one: venue={error.venues[0]}") from error

    def symbols(self) -> Json:
        """See `models.Symbols`."""
        return {"series": [_series_row(self._joined.known(series)) for series in self._joined.series()]}

    def candles(
        self, series: Series, since: str | None, until: str | None, interval: str, limit: int, complete: bool
    ) -> Json:
        """See `models.BarPage`."""
        as_of_us, seconds = self._joined.as_of_us(series), parameters.interval(interval)
        from_s, to_s = parameters.when("from", since, as_of_us), parameters.when("to", until, as_of_us)
        if from_s is not None and to_s is not None and from_s >= to_s:
            raise ProblemError(422, "from is not before to.", "`to` is exclusive: for one day, `to` is the next day.")
        page = self._joined.candles(
            series,
            BarsQuery(symbol=series[1], seconds=seconds, from_s=from_s, to_s=to_s, limit=limit),
            complete=complete,
        )
        following = None if page.next_s is None else time_text(page.next_s * 10**9)
        return as_json(page.candles, seconds) | {"next": following, "as_of": _time(as_of_us)}

    def trades(self, series: Series, from_id: int | None, limit: int) -> Json:
        """See `models.TradePage`."""
        found, following = self._joined.trades(series, from_id, limit)
        rows = [_trade_row(trade, rank) for trade, rank in found]
        return _head(series) | {"trades": rows, "next": following, "as_of": _time(self._joined.as_of_us(series))}

    def volume(self, series: Series, window: str) -> Json:
        """See `models.VolumeAnswer`."""
        seconds, as_of_us = parameters.window(window), self._joined.as_of_us(series)
        until_s = as_of_us // 60_000_000 * 60 + 60
        since_s = max(until_s - seconds, 0)
        found = volume(self._joined.minutes(series, since_s, until_s))
        exact = {name: units_text(getattr(found, name)) for name in ("volume", "taker_buy_volume")}
        exact |= {name: units_text(getattr(found, name), 16) for name in ("quote_volume", "taker_buy_quote_volume")}
        rest = {name: getattr(found, name) for name in ("trades", "vwap", "first_id", "last_id", "complete")}
        times = {
            "window": window,
            "since": _time(since_s * 10**6),
            "until": _time(until_s * 10**6),
            "as_of": _time(as_of_us),
        }
        return _head(series) | times | exact | rest

    def spikes(self, series: Series, threshold: str, interval: str, window: str) -> Json:
        """See `models.SpikesAnswer`."""
        share, seconds, window_s = (
            parameters.threshold(threshold),
            parameters.interval(interval),
            parameters.window(window),
        )
        as_of_us = self._joined.as_of_us(series)
        since_s = max(as_of_us // 10**6 - window_s, 0)
        found: Candles | None = None
        while True:
            page = self._joined.candles(
                series, BarsQuery(symbol=series[1], seconds=seconds, from_s=since_s, to_s=FOREVER_S, limit=MOST)
            )
            found = replace(found, candles=found.candles + page.candles.candles) if found else page.candles
            if page.next_s is None:
                break
            since_s = page.next_s
        complete = sum(candle.complete for candle in found.candles)
        rows = [
            {
                "open_time": _time(int(each.open_time.timestamp()) * 10**6),
                "previous_close": each.previous_close,
                "close": each.close,
                "change": each.change,
            }
            for each in spikes(found.candles, seconds, share)
        ]
        asked = {"interval": interval_text(seconds), "window": window, "threshold": threshold, "as_of": _time(as_of_us)}
        return _head(series) | asked | {"compared": complete, "left_out": len(found.candles) - complete, "spikes": rows}

    def coverage(self, series: Series) -> Json:
        """See `models.Coverage`."""
        known = self._joined.known(series)
        proven = known.ids.intervals()[-RANGES:]
        gaps = [(before[1] + 1, after[0] - 1) for before, after in pairwise(proven)]
        return _head(series) | {
            "proven": proven,
            "gaps": gaps,
            "more": known.ids.pieces > RANGES,
            "as_of": _time(known.last_time_us),
        }


def retry(error: TradecapError) -> ProblemError:
    """What a store that doesn't answer now becomes."""
    return ProblemError(503, error.message, error.hint)


def _head(series: Series) -> Json:
    return dict(zip(("venue", "symbol", "channel"), series, strict=True))


def _series_row(known: KnownSeries) -> Json:
    first, last = known.ids.first or 0, known.ids.last or 0
    times = {"first_time": _time(known.first_time_us), "last_time": _time(known.last_time_us)}
    gaps = {
        "gaps": max(known.ids.pieces - 1, 0),
        "missing": last - first + 1 - len(known.ids) if known.ids.pieces else 0,
    }
    return _head(known.series) | {"first_id": first, "last_id": last} | times | gaps


def _trade_row(trade: Trade, rank: Rank) -> Json:
    return {
        "id": trade.id,
        "first_id": trade.first_id,
        "last_id": trade.last_id,
        "price": units_text(trade.price),
        "qty": units_text(trade.qty),
        "trade_time": _time(trade.trade_time_us),
        "event_time": _time(trade.event_time_us) if trade.event_time_us else None,
        "is_buyer_maker": trade.is_buyer_maker,
        "order_book": trade.order_book,
        "run": rank[0],
        "seq": rank[1],
    }


def _time(us: int) -> str:
    return time_text(us * 1000)
