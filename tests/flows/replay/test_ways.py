"""Both ways of a replay give the same log and the same counts: for recordings of every layout, with faults among their
lines.

`make fuzz` draws more (FUZZ_LINES).
"""

import gzip
import os
import random
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest

from tests.flows.builders import never
from tests.log.builders import unpack
from tests.mutations import mutated_line
from tradecap.flows.replay import replay as replaying
from tradecap.flows.replay.replay import Choice, Replayed, look_at, replay
from tradecap.log import open_log
from tradecap.market.records import RunWriter, frame, series_head, source_head
from tradecap.recordings.reading import Source

LINES: Final = int(os.environ.get("FUZZ_LINES", "12000")) // 12
SEED: Final = os.environ.get("FUZZ_SEED", "1")
PRICES: Final = (
    "61000.01000000",
    "0.00002345",
    "00.50000000",
    "3.5",
    "9999999.99999999",
    "0.00000000",
    "12",
    "61002.50000000",
)
RUN: Final = "01930000-0000-7000-8000-000000000000"


def values(rng: random.Random, n: int) -> dict[str, Any]:
    """The numbers of a trade; ids grow by one, mostly."""
    trade_id = rng.choice((n, n, n, n, n, n + 3, 5, 10**14 + n))
    return {
        "E": 1723161600034 + n,
        "t": trade_id,
        "T": 1723161600033 + n,
        "f": trade_id,
        "l": trade_id + rng.randrange(3),
        "p": rng.choice(PRICES[:1] * 9 + PRICES),
        "q": rng.choice(("0.00215000",) * 9 + PRICES),
        "m": rng.choice(("true", "false")),
        "s": rng.choice(("BTCUSDT", "BTCUSDT", "ETHUSDT")),
    }


SPOT: Final = '{"e":"trade","E":%(E)d,"s":"%(s)s","t":%(t)d,"p":"%(p)s","q":"%(q)s","T":%(T)d,"m":%(m)s,"M":true}'
USDM: Final = '{"e":"trade","E":%(E)d,"T":%(T)d,"s":"%(s)s","t":%(t)d,"p":"%(p)s","q":"%(q)s","X":"MARKET","m":%(m)s}'
AGG: Final = '{"e":"aggTrade","E":%(E)d,"s":"%(s)s","a":%(t)d,"p":"%(p)s","q":"%(q)s","f":%(f)d,"l":%(l)d,"T":%(T)d,"m":%(m)s,"M":true}'
BOOK: Final = '{"u":%(t)d,"s":"%(s)s","b":"%(p)s","B":"%(q)s","a":"%(p)s","A":"%(q)s"}'
DEPTH: Final = '{"e":"depthUpdate","E":%(E)d,"s":"%(s)s","U":%(f)d,"u":%(l)d,"b":[["%(p)s","%(q)s"]],"a":[]}'
REST: Final = (
    '{"id":%(t)d,"price":"%(p)s","qty":"%(q)s","quoteQty":"%(p)s","time":%(T)d,"isBuyerMaker":%(m)s,"isBestMatch":true}'
)
REST_AGG: Final = '{"a":%(t)d,"p":"%(p)s","q":"%(q)s","f":%(f)d,"l":%(l)d,"T":%(T)d,"m":%(m)s,"M":true}'
CSV: Final = "%(t)d,%(p)s,%(q)s,%(p)s,%(T)d,%(m)s,true"
CSV_AGG: Final = "%(t)d,%(p)s,%(q)s,%(f)d,%(l)d,%(T)d000,%(m)s,true"
COMBINED: Final = '{"stream":"x@trade","data":%s}'


def message(rng: random.Random, n: int) -> bytes:
    """A message of a stream."""
    made = rng.choice((SPOT, SPOT, SPOT, USDM, AGG, BOOK, BOOK, DEPTH)) % values(rng, n)
    return (COMBINED % made if rng.random() < 0.5 else made).encode()


def own(rng: random.Random, n: int) -> bytes:
    """A record of a log of ours."""
    head = series_head("binance", "BTCUSDT", "trade", rng.choice(("ws", "ws", "inject:dupes")))
    head += source_head(b"day.f1", n % 1000) if rng.random() < 0.5 else b""
    payload = rng.choice((message(rng, n), (CSV % values(rng, n)).encode()))
    return RunWriter(RUN, n).record(rng.choice((None, 99, 1723161600034000000 + n)), head, frame(payload))[:-1]


def captured(rng: random.Random, n: int) -> bytes:
    """A line of a capture, some behind the line that tells its host."""
    if rng.random() < 0.004:
        return b"wss://%b <-> 1723161600.5" % rng.choice(
            (b"stream.binance.com:9443/ws", b"stream.binance.us:9443/ws", b"fstream.binance.com/ws")
        )
    return b"%d.%06d: %b" % (1723161600 + n, n % 10**6, message(rng, n))


def row(layout: str) -> Callable[[random.Random, int], bytes]:
    """Rows of one layout."""
    return lambda rng, n: (layout % values(rng, n)).encode()


LAYOUTS: Final[dict[str, Callable[[random.Random, int], bytes]]] = {
    "messages": message,
    "receive time in front": lambda rng, n: b"%d " % (1723161600034000000 + n) + message(rng, n),
    "capture": captured,
    "envelope": lambda rng, n: b'{"recv_time":%d,"data":%b}' % (1723161600034 + n, message(rng, n)),
    "BTCUSDT-trades-2024-08-09.csv": row(CSV),
    "BTCUSDT-aggTrades-2024-08-09.csv": row(CSV_AGG),
    "BTCUSDT-rows.ndjson": row(REST),
    "BTCUSDT-aggs.ndjson": row(REST_AGG),
    "own": own,
    "BTCUSDT-everything": lambda rng, n: rng.choice((message, own, row(CSV), row(CSV_AGG), row(REST)))(rng, n),
}
CHOICES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"symbols": frozenset({"ETHUSDT"})},
    {"from_ns": 1723161600133 * 10**6, "to_ns": 1723161600533 * 10**6 + 1},
    {"limit": LINES // 3},
    {"venue": "binance-us", "symbol": "BTCUSDT"},
)


def other_digits(rng: random.Random, line: bytes) -> bytes:
    """The line with another digit, or another byte in its place."""
    at = [n for n, byte in enumerate(line) if byte in b"0123456789"]
    changed = bytearray(line)
    changed[rng.choice(at)] = rng.choice(b"00009123456789 -e/:\x00\xff")
    return bytes(changed)


def recording(rng: random.Random, layout: Callable[[random.Random, int], bytes]) -> bytes:
    """A recording with faults, blank lines and ends of lines of another system."""
    lines = [layout(rng, 0)]
    for n in range(1, LINES):
        line, fate = layout(rng, n), rng.random()
        if fate < 0.02:
            line = mutated_line(rng, line, 1)
        elif fate < 0.05:
            line = other_digits(rng, line) if re.search(rb"\d", line) else line
        lines.append(rng.choice((b"", line + b"\r", b" " + line)) if fate > 0.98 else line)
    return b"\n".join(lines) + rng.choice((b"", b"\n"))


def written(
    tmp_path: Path, way: str, sources: Callable[[], list[Source]], choice: Choice
) -> tuple[dict[str, bytes], Replayed, list[int]]:
    """By name the files of the log, without what differs from run to run; what is reported of the replay, and its
    progress."""
    progress: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADECAP_PLAIN", way)
        patch.setattr(replaying, "FLUSH_RECORDS", 333)
        log = open_log(f"file:{tmp_path / way}", create=True)
        inputs = look_at(sources(), choice)
        with open_log(log.url, segment_bytes=60_000, segment_age_s=600).writer() as writer:
            done = replay(inputs, writer, choice, stop=never, progress=progress.append)
    files = {}
    for file in sorted((tmp_path / way).iterdir()):
        if re.match(r"\d+\.(ndjson\.zst|json)", file.name):
            text = (
                unpack(file)
                if file.suffix == ".zst"
                else re.sub(rb'"(sha256|previous|packed)":"\w*"', b"", file.read_bytes())
            )
            text = text.replace(done.run.encode(), b"RUN").replace(log.id.encode(), b"LOG")
            files[file.name] = re.sub(rb'"recv":\d+,"event"', b'"event"', text)
    return files, done, progress


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: " ".join(choice) or "all")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_ways_write_the_same_files(tmp_path: Path, layout: str, choice: dict[str, Any]) -> None:
    """What is in the log, and what is counted, would depend on whether numpy is installed, or on how many lines came at
    once."""
    rng = random.Random(f"{SEED} {layout} {sorted(choice)}")
    content = recording(rng, LAYOUTS[layout])
    (tmp_path / layout).write_bytes(gzip.compress(content, 1))
    is_stream = rng.random() < 0.3

    def sources() -> list[Source]:
        return [Source(layout, stream=BytesIO(content)) if is_stream else Source(layout, tmp_path / layout)]

    (plain, done, report), (quick, quickly_done, quick_report) = (
        written(tmp_path, way, sources, Choice(**choice)) for way in "01"
    )
    assert quick == plain
    assert quick_report == report
    assert [str(problem) for problem in quickly_done.problems] == [str(problem) for problem in done.problems]
    assert replace(quickly_done, run="", seconds=0, problems=[]) == replace(done, run="", seconds=0, problems=[])
    assert list(quickly_done.ignored) == list(done.ignored)


@pytest.mark.parametrize("layout", ["receive time in front", "capture", "BTCUSDT-trades-2024-08-09.csv", "own"])
def test_the_quick_way_without_numpy_writes_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """numpy comes with an extra: without it, other records would be written."""
    content = recording(random.Random(f"{SEED} {layout}"), LAYOUTS[layout])

    def sources() -> list[Source]:
        return [Source(layout, stream=BytesIO(content))]

    plain = written(tmp_path, "0", sources, Choice())
    monkeypatch.setitem(sys.modules, "tradecap.flows.replay.together", None)
    quick = written(tmp_path, "1", sources, Choice())
    assert quick[0] == plain[0]
    assert quick[2] == plain[2]
    assert replace(quick[1], run="", seconds=0) == replace(plain[1], run="", seconds=0)
