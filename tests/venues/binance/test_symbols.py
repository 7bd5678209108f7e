"""Which symbols belong to the markets that are read here."""

import pytest

from tradecap.venues.binance.symbols import IN_NAMES, UNSUPPORTED, is_plain_symbol, symbol_fault


@pytest.mark.parametrize(
    "symbol", ["BTCUSDT", "1000SATSUSDT", "币安人生USDT", "BTCUSDT_210625", "BTCUSDC_260327", "A", "A" * 64, "1" * 18]
)
def test_the_shapes_of_spot_and_usdm_are_taken(symbol: str) -> None:
    """A whole market would go into quarantine."""
    assert symbol_fault(symbol) == ""


@pytest.mark.parametrize(
    "symbol",
    [
        "BTCUSD_PERP",
        "BTCUSD_210625",
        "BTC-251230-100000-C",
        "BTCUSDT_21062",
        "BTC/USDT",
        "BTC_USDT",
        "_210625",
        "BTCUSDT_210625X",
    ],
)
def test_a_neighbouring_market_is_not_taken(symbol: str) -> None:
    """Contracts of coin-margined futures would be stored as coins."""
    assert symbol_fault(symbol) == "unknown_message"


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "btcusdt",
        "BTC USDT",
        "BTC\tUSDT",
        "A" * 65,
        "币" * 22,
        "1" * 19,
        "BTC\u200bUSDT",
        "ＡＢｃ",
        "BTC\u00a0",
    ],
)
def test_what_cannot_be_a_name_is_out_of_range(symbol: str) -> None:
    """A blank or an invisible sign in a name makes two series that look like one."""
    assert symbol_fault(symbol) == "out_of_range"


@pytest.mark.parametrize(
    ("symbol", "plain"), [("BTCUSDT", True), ("A" * 16, True), ("A" * 17, False), ("btcusdt", False), ("", False)]
)
def test_the_fast_ways_take_valid_symbols_of_the_usual_length(symbol: str, plain: bool) -> None:
    """The fast reading would store what the strict one refuses."""
    assert is_plain_symbol(symbol) is plain


def test_each_market_that_is_refused_says_which_by_host_and_symbol() -> None:
    """A capture of contracts would be refused without its reason, or not at all."""
    coin, options = UNSUPPORTED
    assert coin.hosts.fullmatch("dstream.binance.com")
    assert coin.symbols.fullmatch("btcusd_perp")
    assert options.hosts.fullmatch("eapi.binance.com")
    assert options.symbols.fullmatch("BTC-251230-100000-C")
    for name in ("stream.binance.com", "fstream.binance.com", "dstreamxbinance.com", "dstreamxbinancefuture.com"):
        assert not any(market.hosts.fullmatch(name) for market in UNSUPPORTED)
    assert not any(market.symbols.fullmatch(name) for market in UNSUPPORTED for name in ("BTCUSDT", "BTCUSDT_210625"))


@pytest.mark.parametrize(
    ("name", "pair"),
    [("BTCUSDT", True), ("ETHBTC", True), ("BTCUSDT_210625", True), ("WBTC", False), ("DATA", False), ("STETH", False)],
)
def test_a_word_of_a_file_name_is_a_symbol_only_if_it_is_a_pair(name: str, pair: bool) -> None:
    """`DATA.csv` would be replayed as the trades of a coin named DATA."""
    assert bool(IN_NAMES.fullmatch(name)) is pair
