"""Replays of recordings of several layouts, both ways in alternating runs: CPU seconds a million lines.
`.venv/bin/python -m bench.replays`.

The plain way is TRADECAP_PLAIN=0: each line by itself. The loop of json.loads and json.dumps only writes lines.
"""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from bench.run import recording, timed, unseen

from tradecap.fast import SWITCH
from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.log import open_log
from tradecap.log.folder.log import SEGMENT_AGE_S, SEGMENT_BYTES
from tradecap.recordings.reading import Source

SYMBOLS = [b"%b%bUSDT" % (bytes([65 + n % 26]) * 2, bytes([65 + n // 26])) for n in range(50)]
IDS: dict[bytes, Iterator[int]] = {}


def _bare(line: bytes) -> bytes:
    return line[line.index(b'"data":') + 7 : -1]


def _of_any_symbol(line: bytes) -> bytes:
    """With ids that are dense in each symbol, as the venue's are."""
    symbol = random.choice(SYMBOLS)
    trade_id = 1_000_000_000 + next(IDS.setdefault(symbol, count()))
    return (
        re.sub(rb'"t":\d+', b'"t":%d' % trade_id, line).replace(b"BTCUSDT", symbol).replace(b"btcusdt", symbol.lower())
    )


def _row(line: bytes) -> bytes:
    trade = json.loads(_bare(line))
    quote = float(trade["p"]) * float(trade["q"])
    return f"{trade['t']},{trade['p']},{trade['q']},{quote:.8f},{trade['T']},{trade['m']},True".encode()


LAYOUTS: dict[str, Callable[[bytes], bytes]] = {
    "receive time in front": lambda line: line,
    "combined": lambda line: line.partition(b" ")[2],
    "bare": _bare,
    "50 symbols in random order": _of_any_symbol,
    "archive CSV": _row,
}


def _json_loop(source: Path, target: Path) -> None:
    """The alternative anybody would write first."""
    with source.open("rb") as lines, target.open("w") as out:
        for number, line in enumerate(lines):
            received, _, payload = (b"0", b"", line) if line.startswith(b"{") else line.partition(b" ")
            out.write(
                json.dumps(
                    {"run": "r", "seq": number, "recv": int(received), "data": json.loads(payload)},
                    separators=(",", ":"),
                )
            )
            out.write("\n")
        out.flush()
        os.fsync(out.fileno())


def _replay(folder: Path, source: Path, way: str) -> None:
    """As `tradecap replay` does it."""
    os.environ[SWITCH] = way
    log = open_log(f"file:{folder / 'log'}", create=True)
    with open_log(log.url, segment_bytes=SEGMENT_BYTES, segment_age_s=SEGMENT_AGE_S).writer() as writer:
        replay(look_at([Source(source.name, source)], Choice()), writer, Choice(), stop=lambda: False, progress=unseen)
    shutil.rmtree(folder / "log")


def measured(folder: Path, layout: str, trades: int, runs: int) -> Iterator[tuple[float, float, float]]:
    """CPU seconds: the plain way, the quick way, the loop (0 where the lines aren't JSON)."""
    whole, source = folder / "whole", folder / "BTCUSDT-trades"
    recording(whole, trades)
    source.write_bytes(b"".join(LAYOUTS[layout](line) + b"\n" for line in whole.read_bytes().splitlines()))
    for _ in range(runs):
        plain, quick = (timed(lambda way=way: _replay(folder, source, way))[1] for way in "01")  # type: ignore[misc]  # a lambda's default has no type
        yield plain, quick, 0.0 if layout == "archive CSV" else timed(lambda: _json_loop(source, folder / "plain"))[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    for layout in LAYOUTS:
        with tempfile.TemporaryDirectory(prefix="tradecap-bench-") as folder:
            found = list(measured(Path(folder), layout, asked.trades, asked.runs))
        plain, quick, loop = (statistics.median(each) / asked.trades * 1e6 for each in zip(*found, strict=True))
        gain = statistics.median(each[0] / each[1] for each in found)
        against = statistics.median(each[2] / each[1] for each in found)
        print(
            f"{layout:<28} plain {plain:.2f}, quick {quick:.2f}, json loop {loop:.2f} s a million; {gain:.2f}x, "
            f"{against:.2f}x the loop",
            flush=True,
        )


if __name__ == "__main__":
    main()
