"""Records appended many at a time give the log that they give one by one."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.log.builders import a_trade, an_event, begin, unpack
from tradecap.log import open_log
from tradecap.log.api import Block
from tradecap.market.records import RunWriter, Trade, frame, series_head

SYMBOLS = st.sampled_from(["BTCUSDT", "ETHUSDT"])
TRADES = st.lists(st.tuples(SYMBOLS, st.integers(0, 6)) | st.just(None) | st.just("recovered"), max_size=40)


def records(run: str, made: list[object]) -> list[tuple[bytes, Trade | None]]:
    """Records of a run: trades, others, and events that attest a run."""
    writer = RunWriter(run)
    found: list[tuple[bytes, Trade | None]] = []
    for each in made:
        if each == "recovered":
            found.append(
                (an_event(run, writer.seq, "recovered", run=f"0193{writer.seq:04d}-0000-7000-8000-000000000000"), None)
            )
            writer.seq += 1
        elif isinstance(each, tuple):
            trade = a_trade(each[1], symbol=each[0])
            payload = b'{"t":%d,"x":{"event":"recovered","detail":{"run":"%b"}}}' % (trade.id, run.encode())
            found.append((writer.record(None, series_head("binance", each[0], "trade", "ws"), frame(payload)), trade))
        else:
            found.append((writer.record(None, b"", b'"text":"x"}\n'), None))
    return found


def files_of(folder: Path, run: str, log_id: str) -> dict[str, bytes]:
    """By name, the segments and manifests without what differs from log to log."""
    found = {}
    for file in folder.iterdir():
        if re.match(r"\d+\.(ndjson\.zst|json)", file.name):
            text = (
                unpack(file)
                if file.suffix == ".zst"
                else re.sub(rb'"(sha256|previous|packed)":"\w*"', b"", file.read_bytes())
            )
            found[file.name] = text.replace(run.encode(), b"RUN").replace(log_id.encode(), b"LOG")
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=TRADES, cuts=st.lists(st.integers(0, 40), max_size=4), segment_bytes=st.integers(200, 3000))
def test_a_folder_holds_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, made: list[object], cuts: list[int], segment_bytes: int
) -> None:
    """A segment would end elsewhere, a manifest would lack ids, or a torn run would never be attested."""
    found = []
    for is_many in (False, True):
        folder = tmp_path_factory.mktemp("log")
        log = open_log(f"file:{folder}", create=True)
        with begin(log, segment_bytes=segment_bytes) as writer:
            all_records = records(writer.run, made)
            bounds = [0, *sorted(cut for cut in cuts if cut <= len(all_records)), len(all_records)]
            for first, behind in pairwise(bounds):
                some = all_records[first:behind]
                if is_many:
                    writer.append_many(Block.of(some))
                else:
                    for line, trade in some:
                        writer.append(line, trade)
        found.append(files_of(folder, writer.run, log.id))
    assert found[1] == found[0]


def test_a_line_without_its_newline_is_refused(tmp_path: Path) -> None:
    """Two records in one line are damage."""
    log = open_log(f"file:{tmp_path}/log", create=True)
    writer = begin(log)
    writer.append_many(Block(b"{}\n{}", [3, 5], []))
    with pytest.raises(ValueError, match="one line"):
        writer.flush()
