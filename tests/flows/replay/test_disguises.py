"""Rows of every known layout under every disguise: exactly the right trades, or a refusal; never a trade that
differs."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flows.builders import never, quietly
from tradecap.errors import TradecapError
from tradecap.flows.records import read_lines
from tradecap.flows.replay.replay import Choice, Replayed, look_at, replay
from tradecap.log.folder.log import FileLog
from tradecap.market.records import Trade
from tradecap.recordings.reading import Source

MS = 1_723_161_255_611
Wanted = tuple[str, str, str, int, int, int, str, str, bool]
"""venue, symbol, channel, id, first and last id, price, quantity, maker."""

SYMBOLS = {"binance": ["ETHUSDT", "1000SATSUSDT", "币安人生USDT"], "binance-usdm": ["ETHUSDT", "BTCUSDT_210625"]}
LAYOUTS = ("message", "combined", "rest", "ccxt", "csv", "csv with header")
ENVELOPES: list[tuple[str, Callable[[str, str], str]]] = [
    ("none", lambda m, _: m),
    ("F1", lambda m, t: f"{t.replace('-', '')} {m}"),
    ("RFC 3339", lambda m, _: f"2024-08-08T23:54:15.6031234Z {m}"),
    ("a log", lambda m, _: f"2024-08-08 23:54:15,603 INFO {m}"),
    ("ms", lambda m, _: f"1723161255603 {m}"),
    ("wscat", lambda m, _: f"< {m}"),
    ("a key and TAB", lambda m, _: f"key\t{m}"),
    ("CreateTime", lambda m, _: f"CreateTime:1723161255603\tkey\t{m}"),
    (
        "localTimestamp",
        lambda m, _: json.dumps({"localTimestamp": "2024-08-08T23:54:15.6Z"})[:-1] + f', "message": {m}}}',
    ),
    ("a text", lambda m, _: json.dumps({"received_at": 1723161255.603, "json": m})),
    ("t and d", lambda m, _: f'{{"t":1723161255603,"d":{m}}}'),
    (
        "kcat",
        lambda m, _: json.dumps(
            {"topic": "t", "partition": 0, "offset": 1723161255, "ts": 1723161255603, "key": "k", "payload": m}
        ),
    ),
    ("pretty", lambda m, _: json.dumps(json.loads(m), indent=2, ensure_ascii=False)),
    ("Python", lambda m, _: repr(json.loads(m))),
]
PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gz": gzip.compress,
    "zstd": zstandard.compress,
    "zst": zstandard.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
ENDS = ("\n", "\r\n")
CONTAINERS = ("plain", "gzip", "zstd", "bz2", "xz", "zip", "tar", "tar.gz", "tar.zst")
NAMES = (
    "{symbol}-{channel}-2024.csv",
    "rec",
    "BINANCE-trades.csv",
    "DATA-2024.csv",
    "BTC-trades.csv",
    "OTHERUSDT-trades-2024.csv",
    "XRP_ETH-trades.json",
)


def a_row(venue: str, symbol: str, channel: str, layout: str, number: int) -> tuple[str, Wanted]:
    """A line of this layout, and the trade that it is."""
    price, qty, maker, spot = f"26{number % 90 + 10}.5", f"0.{number % 9 + 1}", number % 2 == 0, venue == "binance"
    first, last = (number, number) if channel == "trade" else (number * 2, number * 2 + 1)
    wanted = (venue, symbol, channel, number, first, last, price, qty, maker)
    best = {"M": True} if spot else {}
    if layout in ("message", "combined"):
        ids = {"t": number} if channel == "trade" else {"a": number}
        ends = {} if channel == "trade" else {"f": first, "l": last}
        message = {"e": channel, "E": MS, "s": symbol, **ids, "p": price, "q": qty, **ends, "T": MS, "m": maker, **best}
        return _json(
            message if layout == "message" else {"stream": f"{symbol.lower()}@{channel}", "data": message}
        ), wanted
    if layout.startswith("csv"):
        quote = str(round(float(price) * float(qty), 5))
        middle = [quote, str(MS)] if channel == "trade" else [str(first), str(last), str(MS)]
        return ",".join([str(number), price, qty, *middle, str(maker), *(["True"] if spot else [])]), wanted
    row: dict[str, object] = {"a": number, "p": price, "q": qty, "f": first, "l": last, "T": MS, "m": maker, **best}
    if channel == "trade":
        row = {"id": number, "price": price, "qty": qty, "quoteQty": "1", "time": MS, "isBuyerMaker": maker} | (
            {"isBestMatch": True} if spot else {}
        )
    return _json(row if layout == "rest" else {"info": row, "symbol": _unified(symbol), "price": 1.5}), wanted


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _unified(symbol: str) -> str:
    return {"BTCUSDT_210625": "BTC/USDT:USDT-210625"}.get(symbol, symbol.removesuffix("USDT") + "/USDT")


def packed(content: bytes, name: str, container: str) -> bytes:
    """The content in a container, under a name where it keeps names."""
    written = io.BytesIO()
    if container == "zip":
        with zipfile.ZipFile(written, "w") as file:
            file.writestr(name, content)
    elif container.startswith("tar"):
        with tarfile.open(fileobj=written, mode="w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    inner = written.getvalue() or content
    return PACKS.get(container.rpartition(".")[2] or container, bytes)(inner)


def trades_of(path: Path, folder: Path) -> tuple[set[Wanted], Replayed | None]:
    """What a replay of a file logs as trades; None where it is refused."""
    log = FileLog(folder / "log", create=True)
    try:
        inputs = look_at([Source(path.name, path)], Choice())
    except TradecapError:
        return set(), None
    with log.writer() as writer:
        done = replay(inputs, writer, Choice(), stop=never, progress=quietly)
    return {_as_wanted(reading) for _, reading, _ in read_lines(log) if isinstance(reading, Trade)}, done


def _as_wanted(trade: Trade) -> Wanted:
    price, qty = (f"{units // 10**8}.{units % 10**8:08d}".rstrip("0") for units in (trade.price, trade.qty))
    return (
        trade.venue,
        trade.symbol,
        trade.channel,
        trade.id,
        trade.first_id,
        trade.last_id,
        price,
        qty,
        trade.is_buyer_maker,
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_disguise_changes_no_trade(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Somebody's way of keeping the venue's rows would change a trade, or file it under another symbol, and verify
    would prove it."""
    draw = data.draw
    venue = draw(st.sampled_from(sorted(SYMBOLS)))
    symbol = draw(st.sampled_from(SYMBOLS[venue]))
    channel, layout = draw(st.sampled_from(["trade", "aggTrade"])), draw(st.sampled_from(LAYOUTS))
    rows = [a_row(venue, symbol, channel, layout, number) for number in range(5, 5 + draw(st.integers(1, 4)))]
    lines = [line for line, _ in rows]
    is_array = layout in ("rest", "ccxt") and draw(st.booleans())
    if not layout.startswith("csv") and not is_array:
        _, wrap = draw(st.sampled_from(ENVELOPES))
        lines = [wrap(line, "1723161255603123456") for line in lines]
    if layout == "csv with header":
        index = draw(st.sampled_from(["", "index,"]))
        lines = [index + header(channel), *((f"{n}," if index else "") + line for n, line in enumerate(lines))]
    text = (
        "[" + ",".join(lines) + "]"
        if is_array
        else draw(st.sampled_from(ENDS)).join(lines) + draw(st.sampled_from(["", "\n"]))
    )
    name = draw(st.sampled_from(NAMES)).format(symbol=symbol, channel=channel)
    folder = tmp_path_factory.mktemp("disguise")
    path = folder / name
    path.write_bytes(
        packed((draw(st.sampled_from(["", "\ufeff"])) + text).encode(), name, draw(st.sampled_from(CONTAINERS)))
    )
    found, done = trades_of(path, folder)
    names_none = layout in ("rest", "csv", "csv with header")
    wanted = {trade if not names_none else (trade[0], _by_name(name), *trade[2:]) for _, trade in rows}
    assert found in (set(), wanted)
    if found and names_none:
        assert done is not None
        assert done.named_by_file == [_by_name(name)]


def header(channel: str) -> str:
    """The archive's header."""
    if channel == "trade":
        return "id,price,qty,quote_qty,time,is_buyer_maker"
    return "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"


def _by_name(name: str) -> str:
    """What only a name of a pair gives."""
    begin = name.partition("-")[0]
    return begin if begin.removesuffix("_210625").endswith("USDT") else "?"


@pytest.mark.parametrize("layout", ["message", "combined", "ccxt"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("name", "wrap"),
    [each for each in ENVELOPES if each[0] not in ("pretty", "Python")],
    ids=lambda each: str(each)[:12],
)
def test_what_should_be_read_is_not_refused(
    tmp_path: Path, layout: str, container: str, name: str, wrap: Callable[[str, str], str]
) -> None:
    """A law that a refusal always keeps would hold for a program that reads nothing."""
    line, wanted = a_row("binance", "ETHUSDT", "trade", layout, 7)
    path = tmp_path / "rec"
    path.write_bytes(packed((wrap(line, "1723161255603123456") + "\n").encode(), "m", container))
    assert trades_of(path, tmp_path)[0] == {wanted}, name
