"""Recordings as the source of the exchange."""

import gzip
import resource
from pathlib import Path

import pytest

from tests.builders import a_trade
from tests.simulate.builders import some_entries
from tradecap import sample
from tradecap.errors import TradecapError
from tradecap.log.folder.log import FileLog
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.recordings.reading import Source
from tradecap.simulate.recordings import Recording, recording
from tradecap.simulate.tape import Entry
from tradecap.venues.binance import decode
from tradecap.venues.binance.synthetic import combined, f1_line, message


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def a_file(path: Path, entries: list[Entry]) -> Path:
    return written(path, [entry.payload for entry in entries])


def ids(source: Recording, stream: str = "btcusdt@trade") -> list[int]:
    return [entry.trade.id for entry in source.entries() if entry.stream == stream and entry.trade]


def test_several_files_are_one_tape_in_the_order_of_trading(tmp_path: Path) -> None:
    """Two captures of one hour would be played one after the other, or twice."""
    entries = some_entries(300)
    one = a_file(tmp_path / "one", [*entries[:200]])
    two = a_file(tmp_path / "two", [*entries[100:]])
    source = recording(two, one)
    assert ids(source) == list(range(1, 301))
    assert source.left_out["repeated"] == 100


def test_a_thousand_files_are_not_open_at_once(tmp_path: Path) -> None:
    """A folder of daily files would end in 'too many open files'."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    entries = some_entries(600)
    paths = [a_file(tmp_path / f"part{at:03}", entries[at : at + 3]) for at in range(0, 600, 3)]
    # other tests of this process may hold some
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/dev/fd").iterdir()]) + 60, limits[1]))
    try:
        assert ids(recording(*reversed(paths))) == list(range(1, 601))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_payload_stays_as_it_was_recorded(tmp_path: Path) -> None:
    """The exchange would send what the venue never sent."""
    odd = message(a_trade()).replace(b'"q":', b' "q": ')
    path = written(tmp_path / "odd", [f1_line(1_723_204_800_123_456_789, combined(b"btcusdt@trade", odd)).rstrip()])
    entry = next(recording(path).entries())
    assert (entry.payload, entry.time_ns) == (odd, 1_723_204_800_123_456_789)


def test_our_own_log_without_what_was_injected(tmp_path: Path) -> None:
    """Faults of an earlier test would come from the exchange as if the venue had made them."""
    log = FileLog(tmp_path / "log", create=True)
    with log.writer() as writer:
        run = RunWriter(writer.run)
        for trade_id, via in ((1, "ws"), (1, "inject:dupes"), (2, "ws")):
            trade = a_trade(id=trade_id)
            writer.append(run.record(1, series_head("binance", "BTCUSDT", "trade", via), frame(message(trade))), trade)
        writer.append(run.event(1, "disconnected", {}))
        writer.flush()
    source = recording(tmp_path / "log")
    assert ids(source) == [1, 2]
    assert source.left_out == {"injected": 1, "event": 1}


def test_rest_rows_become_messages(tmp_path: Path) -> None:
    """A repaired stretch of a log would be missing from the stream."""
    row = b'{"id":5,"price":"1.0","qty":"2.0","quoteQty":"2.0","time":1723204800000,"isBuyerMaker":true,"isBestMatch":true}'
    (entry, _) = recording(written(tmp_path / "rows", [row]), series=("binance", "BTCUSDT")).entries()
    assert decode(entry.payload) == entry.trade
    assert b'"E":1723204800000,"s":"BTCUSDT","t":5' in entry.payload


def test_recorded_aggregates_go_before_made_ones(tmp_path: Path) -> None:
    """Aggregates would have other ids than the venue gave them."""
    trade, agg = a_trade(id=7), a_trade(id=77, channel="aggTrade", first_id=7, last_id=7)
    source = recording(written(tmp_path / "both", [message(trade), message(agg)]))
    assert ids(source, "btcusdt@aggTrade") == [77]


def test_quotes_are_sent_and_other_streams_are_counted(tmp_path: Path) -> None:
    """A recording's bookTicker would be lost, or its depth taken for something it isn't."""
    quote = b'{"u":400,"s":"BTCUSDT","b":"1.0","B":"2.0","a":"1.1","A":"2.0"}'
    depth = b'{"lastUpdateId":1,"bids":[],"asks":[]}'
    source = recording(written(tmp_path / "mixed", [message(a_trade()), quote, depth, b"garbage"]))
    assert [entry.stream for entry in source.entries()] == ["btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker"]
    assert source.left_out == {"snapshot": 1, "unreadable": 1}


def test_the_sample_can_be_played_again_and_again() -> None:
    """--loop would end after the first round."""
    source = Recording([lambda: Source("sample:", stream=sample.open_sample())])
    assert source.symbols == ["BTCUSDT", "ETHUSDT", "PEPEUSDT"]
    first = [entry.payload for entry in source.entries()]
    assert first == [entry.payload for entry in source.entries()]
    assert len(first) > 5_000


@pytest.mark.parametrize(
    ("lines", "symbols", "report"),
    [
        ([], (), "holds no trade"),
        ([b"garbage"], (), "holds no trade"),
        ([message(a_trade())], ("ETHUSDT",), "has no trade of ETHUSDT"),
        ([message(a_trade(venue="binance-usdm"))], (), "USD-M futures, and simulate is a spot exchange"),
    ],
)
def test_what_cant_be_played_is_named(
    tmp_path: Path, lines: list[bytes], symbols: tuple[str, ...], report: str
) -> None:
    """An exchange without trades would leave its user wondering."""
    with pytest.raises(TradecapError, match=report):
        recording(written(tmp_path / "odd", lines), symbols=symbols)


def test_a_file_that_is_cut_short_gives_what_came_before(tmp_path: Path) -> None:
    """A broken capture could not be played at all."""
    entries = some_entries(50)
    packed = gzip.compress(b"".join(entry.payload + b"\n" for entry in entries))
    (tmp_path / "cut.gz").write_bytes(packed[:-30])
    source = recording(tmp_path / "cut.gz")
    assert 0 < len(ids(source)) <= 50
    assert source.problems


@pytest.mark.recordings
def test_a_real_recording_is_played_without_a_hole(recordings: Path) -> None:
    """The exchange would lose trades of a real file, or make them up."""
    source = recording(recordings / "ws/hft_spot_ethusdt_20240808.gz", recordings / "ws/hft_spot_ethusdt_20240809.gz")
    played = ids(source, "ethusdt@trade")
    assert len(played) == 14_515
    assert played == list(range(played[0], played[0] + 14_515))
