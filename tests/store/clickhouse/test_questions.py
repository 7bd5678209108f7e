"""What ClickHouse is asked, besides what every store promises."""

from datetime import date

import pytest

from tests.builders import NOON_S
from tests.store.builders import at, fill, one, run_of
from tradecap.store.api import CandleSpan
from tradecap.store.clickhouse.store import ClickHouseStore

SERIES = ("binance", "BTCUSDT", "trade")
DAY = date(2024, 8, 9)


@pytest.fixture
def doubled(store: ClickHouseStore) -> ClickHouseStore:
    """A store in which somebody doubled every volume: in the views, and so in the candles that a sweep made of them."""
    for name, columns in (("v_minutes", "volume * 2 AS volume"), ("v_candles", "volume * 2 AS volume")):
        text = str(
            one(
                store.rows(
                    "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
                    name=name,
                )
            )["as_select"]
        )
        store.run(f"CREATE OR REPLACE VIEW {name} AS SELECT * REPLACE ({columns}) FROM ({text})")
    fill(store, *run_of([at(n, n) for n in range(5)]))
    store.sweep_candles()
    return store


def test_what_proves_the_candles_reads_no_view(doubled: ClickHouseStore) -> None:
    """If a view and the candles were both doubled, they would be reported to agree."""
    (difference,) = doubled.candle_differences(DAY, DAY, CandleSpan("", 0, 2**62))
    assert (difference.open_time_s, difference.differing) == (NOON_S, "volume")
    assert doubled.first_candles(SERIES, 60, 0, 2**32 - 1, 9)[0].volume == 20
    assert doubled.kline_bars(SERIES, 60, NOON_S, NOON_S + 60)[0].volume == 10, "as it is stored"
    assert sorted(doubled.create().replaced) == ["v_candles", "v_minutes"]
