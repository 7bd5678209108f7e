"""Real recordings through the whole pipeline: what their README says of them must come out.

The figures are those of the README next to the recordings, counted there without tradecap.
"""

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flows.builders import load, never, quietly, spoilt, verdict_of
from tradecap.errors import TradecapError
from tradecap.flows.candles import BarsQuery, ShownCandle, candles
from tradecap.flows.replay.replay import Choice, Replayed, look_at, replay
from tradecap.log.folder.log import FileLog
from tradecap.market.faults import FAULTS
from tradecap.recordings.reading import Source
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.recordings

ETHUSDT_8 = "ws/hft_spot_ethusdt_20240808.gz"
ETHUSDT_9 = "ws/hft_spot_ethusdt_20240809.gz"
BTCUSDT_USDM = "ws/hft_usdm_btcusdt_20240808.gz"
KLINES_USDM = "klines/BTCUSDT-USDM-1m-20240808T2353_20240809T0005.csv"
FULL_MINUTES = ("23:55", "23:56", "23:57", "23:58", "23:59")
"""The recording begins within 23:54 and ends with 23:59."""


def recorded(log: FileLog, *paths: Path, choice: Choice | None = None) -> Replayed:
    """Replay recordings into a log, as one run."""
    choice = choice or Choice()
    with log.writer() as writer:
        return replay(
            look_at([Source(str(path), path) for path in paths], choice), writer, choice, stop=never, progress=quietly
        )


def nine_values(candle: ShownCandle) -> list[Decimal]:
    """What the venue publishes of a minute."""
    amounts = (candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quote_volume)
    return [
        *map(Decimal, amounts),
        Decimal(candle.trades),
        Decimal(candle.taker_buy_volume),
        Decimal(candle.taker_buy_quote_volume),
    ]


def published(klines: Path) -> dict[str, list[Decimal]]:
    """The nine values of each minute (HH:MM) of an archive file of klines in milliseconds."""
    with klines.open(newline="") as file:
        rows = list(csv.reader(file))
    minutes = [f"{int(row[0]) // 3_600_000 % 24:02d}:{int(row[0]) // 60_000 % 60:02d}" for row in rows]
    return {
        minute: [Decimal(row[at]) for at in (1, 2, 3, 4, 5, 7, 8, 9, 10)]
        for minute, row in zip(minutes, rows, strict=True)
    }


def test_spot_recordings_give_every_trade_and_nothing_else(
    recordings: Path, log: FileLog, store: ClickHouseStore
) -> None:
    """Real captures that lose, double or quarantine a trade make every later number wrong."""
    first = recorded(log, recordings / ETHUSDT_8)
    second = recorded(log, recordings / ETHUSDT_9)
    assert (first.lines, first.valid, first.quarantined) == (33_618, 6_106, {})
    assert first.ignored == {"bookTicker": 24_077, "depthUpdate": 3_434, "snapshot": 1}
    assert (second.lines, second.valid, second.quarantined) == (46_126, 8_409, {})
    assert second.ignored == {"bookTicker": 34_681, "depthUpdate": 3_036}
    load(log, store)
    expected = {"trades": 14_515, "duplicates": 0, "conflicts": 0, "quarantined": 0, "ignored": 0, "gaps": 0}
    verdict = verdict_of(log, store, expect=expected, strict=True)
    assert not [check for check in verdict.checks if not check.ok]
    (series,) = verdict.series
    assert (series["venue"], series["symbol"], series["channel"]) == ("binance", "ETHUSDT", "trade")
    assert (series["coverage"], series["gaps"], series["uncovered"]) == ([[1_520_538_925, 1_520_553_439]], [], [])


@pytest.mark.parametrize(
    "choice", [Choice(), Choice(venue="binance-usdm", symbol="BTCUSDT")], ids=["by shape", "by --as"]
)
def test_usdm_minutes_equal_the_klines_of_the_venue(
    recordings: Path, log: FileLog, store: ClickHouseStore, choice: Choice
) -> None:
    """Nine values that differ from what the venue published in a single digit mean that the candles can't be
    trusted."""
    done = recorded(log, recordings / BTCUSDT_USDM, choice=choice)
    assert (done.lines, done.valid, done.quarantined) == (93_954, 21_313, {})
    assert done.ignored == {"bookTicker": 66_089, "depthUpdate": 6_551, "snapshot": 1}
    load(log, store)
    made = {
        f"{candle.open_time:%H:%M}": nine_values(candle)
        for candle in candles(store, BarsQuery(symbol="BTCUSDT", venue="binance-usdm")).candles
    }
    klines = published(recordings / KLINES_USDM)
    assert {minute: made[minute] for minute in FULL_MINUTES} == {minute: klines[minute] for minute in FULL_MINUTES}
    assert verdict_of(log, store, expect={"trades": 21_313, "gaps": 0}).ok


def test_wrong_order_repeats_and_faults_change_no_trade_and_no_candle(
    recordings: Path, tmp_path: Path, log: FileLog, store: ClickHouseStore
) -> None:
    """Late, repeated and spoilt records are a real feed's everyday; they must neither change what is stored nor go
    unfound."""
    recorded(log, recordings / ETHUSDT_9, recordings / ETHUSDT_8)
    recorded(log, recordings / ETHUSDT_9)
    spoilt(log, dict.fromkeys(FAULTS, 50))
    load(log, store)
    expected = {"trades": 14_515, "duplicates": 8_409 + 50, "conflicts": 50, "quarantined": 400, "gaps": 0}
    verdict = verdict_of(log, store, expect=expected)
    assert not [check for check in verdict.checks if not check.ok]
    assert verdict.quarantined == {reason: 50 * n for reason, n in reasons_of_faults().items()}
    (found,) = [check for check in verdict.checks if check.name == "injected.found"]
    assert (found.expected, found.actual) == (50 * len(FAULTS), 50 * len(FAULTS))
    spoilt_rows = rows_of(store)
    store.drop()  # one process can hold one embedded store
    store.create()
    clean = FileLog(tmp_path / "clean", create=True)
    recorded(clean, recordings / ETHUSDT_8, recordings / ETHUSDT_9)
    load(clean, store)
    assert spoilt_rows == rows_of(store)


def reasons_of_faults() -> dict[str, int]:
    """How many faults end in each reason."""
    outcomes = [fault.outcome for fault in FAULTS.values() if fault.outcome not in ("duplicate", "conflict")]
    return {reason: outcomes.count(reason) for reason in outcomes}


def rows_of(store: ClickHouseStore) -> list[list[tuple[object, ...]]]:
    """The trades and the candles."""
    trades = (
        "SELECT venue, symbol, channel, trade_id, price, qty, trade_time, is_buyer_maker, order_book FROM "
        "v_trades ORDER BY ALL"
    )
    bars = candles(store, BarsQuery(symbol="ETHUSDT")).candles
    return [[tuple(row.values()) for row in store.rows(trades)], [tuple(vars(bar).values()) for bar in bars]]


@pytest.mark.parametrize(
    ("path", "trades", "ignored"),
    [
        ("ws/cf_binance_spot_20211012.txt.gz", {"binance": 2}, 263),
        ("ws/cf_binance_us_20211012.txt.gz", {"binance-us": 11}, 469),
        ("ws/cf_binance_tr_20230410.txt.gz", {}, 139),
        ("ws/legacy_trade_with_order_ids_2019.ndjson", {"binance": 2}, 0),
        ("rest/XRPETH-aggTrades-20191011_20191013.ccxt.json.gz", {"binance": 12_477}, 0),
        ("rest/cf_binance_spot_depth1000_20211012.txt.gz", {}, 4),
    ],
)
def test_other_peoples_recordings_give_their_trades(
    recordings: Path, log: FileLog, store: ClickHouseStore, path: str, trades: dict[str, int], ignored: int
) -> None:
    """A capture of another program that is misread is filed under the wrong venue, or lost."""
    done = recorded(log, recordings / path)
    assert (done.valid, sum(done.ignored.values()), done.quarantined) == (sum(trades.values()), ignored, {})
    assert done.unknown_hosts == (["stream-cloud.trbinance.com"] if "_tr_" in path else [])
    load(log, store)
    assert {
        str(row["venue"]): row["n"] for row in store.rows("SELECT venue, count() AS n FROM v_trades GROUP BY venue")
    } == trades


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("ws/barter_spot_trades_reconnects_20241220.json", "as another program"),
        ("other_venues/cf_okx.jsonl.zst", "OKX"),
        ("other_venues/cf_coinbase.jsonl.zst", "COINBASE"),
        ("klines/BTCUSDT-USDM-1m-20240808T2353_20240809T0005.csv", "klines"),
    ],
)
def test_what_can_not_be_read_is_refused_with_the_reason(recordings: Path, log: FileLog, path: str, why: str) -> None:
    """A quarantine full of somebody else's messages helps nobody."""
    with pytest.raises(TradecapError, match=f"(?i){why}"):
        recorded(log, recordings / path)
