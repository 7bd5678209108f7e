"""What each step costs, as a user runs it, and how that grows: CPU seconds a million, wall seconds and peak memory of
each command.

    python -m bench.growth [--trades 1000000 10000000] [--json FILE]

Each step is a process of its own: replay, load, a load that finds nothing new, verify. polars and DuckDB then read the
same log for the same candles and counts. They check nothing, keep nothing and prove nothing, so theirs is the price of
reading; their sums must be the store's. They live in environments of their own (see capture.py); one that can't be had
is named and left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from bench.capture import ROOT, an_environment
from bench.run import recording

READERS = {"polars": ("polars==2.1.0",), "duckdb": ("duckdb==2.0.1",)}


def measured(command: list[str], environment: dict[str, str]) -> tuple[dict[str, float], bytes]:
    """One command to its end: CPU seconds of all its threads and children, wall seconds, peak MB of the process; and
    its stdout."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.perf_counter() - began, "peak_mb": peak}, printed


class Growth:
    """One size of log, in a folder of its own."""

    def __init__(self, folder: Path, trades: int) -> None:
        self.trades = trades
        self.log = folder / "log"
        self.file = folder / "recording.ndjson"
        self.where = {"TRADECAP_LOG": f"file:{self.log}", "TRADECAP_STORE": f"chdb:{folder / 'db'}"}
        self.found: dict[str, dict[str, float]] = {}
        recording(self.file, trades)

    def note(self, name: str, figures: dict[str, float]) -> None:
        """Show and keep one step."""
        million = figures["cpu_s"] / self.trades * 1e6
        wall, peak = figures["wall_s"], figures["peak_mb"]
        print(f"{self.trades:>12,}  {name:<28} {million:>8.2f} CPU s/M {wall:>9.2f} s wall {peak:>8.0f} MB", flush=True)
        self.found[name] = {"cpu_s_per_million": million} | figures

    def command(self, name: str, *arguments: str) -> bytes:
        """A command of tradecap's."""
        figures, printed = measured([sys.executable, "-m", "tradecap", *arguments, "--json", "-q"], self.where)
        self.note(name, figures)
        return printed

    def steps(self) -> None:
        """The main job, in the order of its steps."""
        self.command("replay", "replay", str(self.file))
        self.command("init-db", "init-db")
        self.command("load", "load")
        self.command("load, nothing new", "load")
        self.command("verify", "verify")

    def readers(self) -> None:
        """The same candles by polars and DuckDB; each must find what the store has."""
        expected = self.stored()
        for name, packages in READERS.items():
            if python := an_environment(packages):
                figures, printed = measured([str(python), "-m", f"bench.clients.with_{name}", str(self.log)], {})
                assert [Decimal(value) for value in json.loads(printed)] == expected, (name, printed, expected)
                self.note(f"candles by {packages[0]}", figures)

    def stored(self) -> list[Decimal]:
        """Minutes, trades, volume and closes summed, from the store's candles."""
        figures, printed = measured(
            [sys.executable, "-m", "tradecap", "candles", "BTCUSDT", "--limit", "1000000", "--json", "-q"], self.where
        )
        self.note("candles, all of them as JSON", figures)
        candles = json.loads(printed)["candles"]
        sums = [sum((Decimal(candle[name]) for candle in candles), Decimal()) for name in ("trades", "volume", "close")]
        return [Decimal(len(candles)), *sums]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    asked = parser.parse_args()
    found = {}
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}")
    for trades in asked.trades:
        with tempfile.TemporaryDirectory(prefix="tradecap-growth-") as folder:
            growth = Growth(Path(folder), trades)
            growth.steps()
            growth.readers()
            found[trades] = growth.found
    print(f"load at the end {os.getloadavg()[0]:.1f}")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
