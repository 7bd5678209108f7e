"""Markets that write messages like a venue's, and aren't read: refused by name where a recording is theirs, quarantined
where it is mixed."""

from pathlib import Path

import pytest

from tests.cases import COIN_M, COIN_M_ROW, OPTION, USDM
from tests.flows.builders import load, verdict_of
from tests.flows.replay.test_replay import dry, replayed, stream
from tradecap.errors import TradecapError
from tradecap.flows.records import read_lines
from tradecap.log.folder.log import FileLog
from tradecap.recordings.reading import Source
from tradecap.store.clickhouse.store import ClickHouseStore

CONTRACTS = "coin-margined futures.* are not supported: quantities are contracts"
ROW = b"9876,58570.1,58,0.09902664,1616201883304,true"
AGG_ROW = b"41045788,58570.1,58,91864326,91864327,1616201883304,true"
NAMED = {"venue": "binance-usdm", "symbol": "BTCUSDT"}
LIKE_USDM = COIN_M.replace(b"BTCUSD_PERP", b"BTCUSDT")


@pytest.mark.parametrize("choice", [{}, NAMED], ids=["by shape", "by --as"])
@pytest.mark.parametrize(
    ("lines", "name", "why"),
    [
        ([COIN_M], "x", CONTRACTS),
        ([b'{"stream":"btcusd_perp@aggTrade","data":' + COIN_M + b"}"], "x", CONTRACTS),
        ([b'{"e":"depthUpdate","s":"BTCUSD_PERP"}', b'{"result":null,"id":1}', COIN_M], "x", CONTRACTS),
        ([COIN_M.replace(b"_PERP", b"_210625")], "x", CONTRACTS),
        ([b'{"info":%b,"symbol":"BTC/USD:BTC"}' % COIN_M_ROW], "BTCUSD_PERP-x.json", CONTRACTS),
        ([b"1723161255603123456 " + COIN_M], "x", CONTRACTS),
        ([b"wss://dstream.binance.com/ws <-> 1633998274.5", b"1633998275: " + LIKE_USDM], "x", CONTRACTS),
        (
            [
                b'{"t":"recv","conn":"BINANCE_DELIVERY.ws.2","ts":1633998274.72,"data":"%b"}'
                % LIKE_USDM.replace(b'"', b'\\"')
            ],
            "x",
            CONTRACTS,
        ),
        ([b"id,price,qty,base_qty,time,is_buyer_maker", ROW], "BTCUSDT-trades-2021.csv", CONTRACTS),
        ([ROW], "BTCUSDT-trades-2021.csv", CONTRACTS),
        ([AGG_ROW], "BTCUSD_PERP-aggTrades-2021.csv", CONTRACTS),
        ([AGG_ROW], "BTCUSD_210625-aggTrades-2021.csv", CONTRACTS),
        ([OPTION], "x", "options are not supported"),
        ([b'{"exchange":"binance-delivery","ts":1723161255603,"data":%b}' % LIKE_USDM], "x", CONTRACTS),
        (
            [b'{"exchange":"binance-options","ts":1723161255603,"data":%b}' % LIKE_USDM],
            "x",
            "options are not supported",
        ),
    ],
)
def test_another_market_is_refused_by_name(lines: list[bytes], name: str, why: str, choice: dict[str, str]) -> None:
    """Contracts would be proven as coins, at hundreds of times their worth."""
    with pytest.raises(TradecapError, match=why):
        dry(stream(*lines, name=name), **choice)


def test_a_mixed_recording_keeps_the_other_market_out_of_the_trades(log: FileLog, store: ClickHouseStore) -> None:
    """One line of another market among thousands would make a candle wrong, or cost the recording."""
    done = replayed(log, stream(USDM, COIN_M, OPTION, COIN_M_ROW))
    assert (done.valid, done.quarantined) == (1, {"unknown_message": 3})
    load(log, store)
    assert verdict_of(log, store, expect={"trades": 1, "quarantined.unknown_message": 3}).ok


def test_a_trade_of_another_market_ends_a_file_that_began_well() -> None:
    """Where only the host tells, two recordings joined would mix contracts with coins."""
    lines = [
        b"wss://fstream.binance.com/ws <-> 1633998274.5",
        b"1633998275: " + USDM,
        b"wss://dstream.binance.com/ws <-> 1633998276.5",
    ]
    done = dry(stream(*lines, b"1633998277: " + LIKE_USDM), **NAMED)
    assert (done.valid, [problem.message for problem in done.problems]) == (
        1,
        ["recording:4 is from dstream.binance.com: coin-margined futures are not supported: quantities are contracts."],
    )


def test_a_row_with_a_wrong_amount_is_no_contract(tmp_path: Path) -> None:
    """A slip in the first row of a sound file would refuse the file."""
    path = tmp_path / "BTCUSDT-trades-2021.csv"
    path.write_bytes(b"9876,58570.1,0,0,1616201883304,true\n9877,58570.1,58,5,1616201883304,true\n")
    assert dry(Source(path.name, path)).lines == 2


@pytest.mark.parametrize(
    ("exchange", "venue"),
    [("binance", "binance"), ("BINANCE_FUTURES", "binance-usdm"), ("binance-us", "binance-us"), ("aster", "")],
)
def test_an_envelope_that_names_its_exchange_is_believed(log: FileLog, exchange: str, venue: str) -> None:
    """Exchanges that copied the venue's messages would be taken for it."""
    done = replayed(log, stream(b'{"exchange":"%b","ts":1723161255603,"data":%b}' % (exchange.encode(), USDM)))
    assert {envelope.venue for envelope, _, _ in read_lines(log) if envelope.channel} == {venue} - {""}
    assert ["which isn't a venue" in problem.message for problem in done.problems] == [True] * (not venue)


def test_as_puts_no_two_symbols_into_one_series(tmp_path: Path) -> None:
    """ETHUSDT would be sold at the price of BTCUSDT."""
    sources = [Source(name, tmp_path / name) for name in ("BTCUSDT-trades-2024.csv", "ETHUSDT-trades-2024.csv")]
    for source in sources:
        (tmp_path / source.name).write_bytes(b"9876,2683.8,0.002,5.3676,1723161255611,true\n")
    done = dry(*sources, **NAMED)
    assert (done.valid, [problem.message for problem in done.problems]) == (
        1,
        ["ETHUSDT-trades-2024.csv:1 is of ETHUSDT by the name of its file, and rows before it are of BTCUSDT."],
    )
