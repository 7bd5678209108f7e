"""Figures, each as a ratio against a named alternative in the same run. `make bench`; ARGS='--trades 10000000' for
more, ARGS='load verify' for some.

Whole-machine figures move with the machine: quote the ratios. docs/performance.md keeps what was measured, when and
where.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tradecap.cli.logs import own_log
from tradecap.fast import SWITCH
from tradecap.flows.load import load
from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.flows.verify.tallying import tally_log
from tradecap.flows.verify.verify import Wanted, verify
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.market.batch import Batch, Lines, Position
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.recordings.reading import expand
from tradecap.store import create_store
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode, synthetic
from tradecap.workers import Workers, has_cores_to_overlap

START_MS = 1_723_161_600_000
DAY_MS = 86_400_000


def never() -> bool:
    """Nobody stops a measurement."""
    return False


def _unheard(_: object) -> None:
    """Damage, of which there is none."""


def unseen(_: int) -> None:
    """No progress bar in a measurement."""


def recording(path: Path, trades: int) -> None:
    """A recording (F1) of this many synthetic BTCUSDT trades."""
    instrument = synthetic.SPOT["BTCUSDT"]
    made = synthetic.trades(instrument, 1, START_MS, START_MS + 4000 * DAY_MS)
    with path.open("wb") as out:
        for _, trade in zip(range(trades), made, strict=False):
            line = synthetic.combined(b"btcusdt@trade", synthetic.message(trade))
            out.write(synthetic.f1_line(trade.event_time_us * 1000, line))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def cpu_of_all() -> float:
    """CPU seconds of this process and of those it has waited for."""
    spent = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


class Bench:
    """One folder, one recording, and what was measured on it."""

    def __init__(self, folder: Path, trades: int, runs: int) -> None:
        self.folder = folder
        self.trades = trades
        self.runs = runs
        self.found: dict[str, object] = {}
        self.file = folder / "recording.ndjson"
        recording(self.file, trades)

    def note(self, name: str, value: float, unit: str, target: str = "") -> None:
        """Show and keep one figure."""
        shown = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        print(f"{name:<58} {shown:>12} {unit:<10} {target}", flush=True)
        self.found[name] = {"value": value, "unit": unit, "aim": target}

    def log(self, name: str = "log") -> Log:
        """The recording, replayed; made once."""
        path = self.folder / name
        log = open_log(f"file:{path}", create=True)
        if not (path / "000001.json").exists():
            self.replay_into(log)
        return log

    def replay_into(self, log: Log) -> None:
        """As `tradecap replay` does it."""
        with open_log(log.url).writer() as writer:
            replay(
                look_at(expand([str(self.file)], sys.stdin.buffer, own_log), Choice()),
                writer,
                Choice(),
                stop=never,
                progress=unseen,
            )

    # ---- what is measured --------------------------------------------------------------------------------------------

    def decode(self) -> None:
        """Decode and validate, in a plain loop."""
        payloads = [line.split(b" ", 1)[1] for line in self.file.read_bytes().split(b"\n")[:200_000] if line]
        best = min(timed(lambda: [decode(payload) for payload in payloads])[1] for _ in range(self.runs))
        self.note("decode and validate", len(payloads) / best, "trades/s", "AIM 600 000")

    def replay(self) -> None:
        """Checked, stamped and durable, against a loop of json.loads and json.dumps that writes lines."""
        ratios, rates = [], []
        for run in range(self.runs):
            log = open_log(f"file:{self.folder / f'replayed{run}'}", create=True)
            _, ours = timed(lambda log=log: self.replay_into(log))  # type: ignore[misc]  # a lambda's default has no type
            _, plain = timed(self.json_loop)
            shutil.rmtree(self.folder / f"replayed{run}")
            ratios.append(plain / ours)
            rates.append(self.trades / ours)
        self.note("replay, CPU of one core", statistics.median(rates), "trades/s", "AIM 300 000")
        self.note("replay / json.loads+json.dumps loop", statistics.median(ratios), "x", "AIM 2")

    def json_loop(self) -> None:
        """The alternative anybody would write first."""
        with self.file.open("rb") as lines, (self.folder / "plain.ndjson").open("w") as out:
            for number, line in enumerate(lines):
                received, _, payload = line.partition(b" ")
                out.write(
                    json.dumps(
                        {"run": "r", "seq": number, "recv": int(received), "data": json.loads(payload)},
                        separators=(",", ":"),
                    )
                )
                out.write("\n")
            out.flush()
            os.fsync(out.fileno())

    def load(self) -> None:
        """Into all tables, against a hand-written typed INSERT of the same segments into one bare table."""
        log = self.log()
        url = f"chdb:{self.folder / 'db'}"
        walls, ratios, seconds, cpus = [], [], [], []
        for _ in range(self.runs):
            create_store(url, drop_first=True)
            with ClickHouseStore.embedded(self.folder / "db", url, create=True) as store:
                bare = timed(lambda store=store: self.bare_insert(store))  # type: ignore[misc]  # a lambda's default has no type
                ours = timed(lambda store=store: self.loaded(log, store))  # type: ignore[misc]  # a lambda's default has no type
                walls.append(bare[0] / ours[0])
                ratios.append(bare[1] / ours[1])
                seconds.append(ours[0])
                cpus.append(ours[1] / self.trades * 1e6)
                self.found["load_seconds"] = ours[0]
                small = [self.small_load(store, log, number) for number in range(5)]
        create_store(url, drop_first=True)  # verify proves nothing about a store with the small loads
        self.note("load into all tables", self.trades / statistics.median(seconds), "records/s")
        self.note("load, CPU of a million", statistics.median(cpus), "s")
        self.note(
            "load / typed INSERT SELECT FROM file() into one table, CPU", statistics.median(ratios), "x", "AIM 0.55"
        )
        self.note("the same, wall time", statistics.median(walls), "x")
        names = {
            "load of five lines, CPU": "AIM 0.03",
            "sweep of the hour they are in, CPU": "AIM 0.1",
            "sweep of all days, CPU": "",
        }
        for (name, aim), figures in zip(names.items(), zip(*small, strict=True), strict=True):
            self.note(name, statistics.median(figures), "s", aim)

    def loaded(self, log: Log, store: ClickHouseStore) -> None:
        """As `tradecap load` does it."""
        load(log, store, stop=never, progress=unseen)

    def small_load(self, store: ClickHouseStore, log: Log, number: int) -> tuple[float, float, float]:
        """What a follower does for a handful of lines, as CPU: insert and position, the sweep of one hour, and for
        comparison one of all days."""
        run = RunWriter(f"01f00000-0000-7000-8000-{number:012d}", 0)
        instrument = synthetic.SPOT["BTCUSDT"]
        made = synthetic.trades(instrument, 2 + number, START_MS + DAY_MS // 2, START_MS + 4000 * DAY_MS)
        head = series_head("binance", "BTCUSDT", "trade", "ws")
        lines = [
            run.record(None, head, frame(synthetic.message(trade))) for _, trade in zip(range(5), made, strict=False)
        ]
        batch = Batch(Lines(b"".join(lines)), len(lines), Position(0, "000000:0", 0))
        hours: set[int] = set()

        def loaded() -> None:
            store.add(log.id, batch)
            hours.update(store.newest_hours)
            store.commit(log.id, batch.end, hours)

        return timed(loaded)[1], timed(lambda: store.sweep_candles(hours))[1], timed(store.sweep_candles)[1]

    def bare_insert(self, store: ClickHouseStore) -> None:
        """Columns and codecs of `trades`, nothing checked, nothing accounted for."""
        store.run("DROP TABLE IF EXISTS bare")
        store.run(
            """CREATE TABLE bare (
            venue LowCardinality(String) CODEC(ZSTD(1)), channel LowCardinality(String) CODEC(ZSTD(1)),
            symbol LowCardinality(String) CODEC(ZSTD(1)),
            trade_id UInt64 CODEC(DoubleDelta, ZSTD(1)), trade_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
            event_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)), recv_ns Int64 CODEC(Delta, ZSTD(1)),
            price Decimal(18, 8) CODEC(Delta, ZSTD(1)),
            qty Decimal(38, 8) CODEC(ZSTD(1)), is_buyer_maker Bool CODEC(ZSTD(1)),
            run UUID CODEC(ZSTD(1)), seq UInt64 CODEC(DoubleDelta, ZSTD(1)))
            ENGINE = MergeTree ORDER BY (venue, channel, symbol, trade_id)"""
        )
        store.run(
            """INSERT INTO bare
            SELECT x.venue, d.e, d.s, d.t, fromUnixTimestamp64Milli(d.T, 'UTC'), fromUnixTimestamp64Milli(d.E, 'UTC'),
                x.recv, d.p, d.q, d.m,
                x.run, x.seq
            FROM (
                SELECT JSONExtract(line, 'Tuple(run UUID, seq UInt64, recv Int64,
                    venue LowCardinality(String), data Tuple(data Tuple(
                    e LowCardinality(String), E Int64, s LowCardinality(String), t UInt64,
                    p Decimal(18, 8), q Decimal(38, 8), T Int64, m Bool)))') AS x,
                    x.data.data AS d
                FROM file({files:String}, 'LineAsString', 'line String'))""",
            files=f"{self.folder.resolve()}/log/*.ndjson.zst",
        )

    def verify(self) -> None:
        """The whole proof, against the load it proves."""
        log = self.log()
        url = f"chdb:{self.folder / 'db'}"
        with ClickHouseStore.embedded(self.folder / "db", url, create=True) as store:
            store.create()
            done = load(log, store, stop=never, progress=unseen)
            loaded = done.seconds if done.records else float(str(self.found["load_seconds"]))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            wall, _ = timed(lambda: self.prove(log, store, overlapped=has_cores_to_overlap()))
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.note("verify", self.trades / wall, "records/s")
        self.note("verify / load, seconds", wall / loaded, "x", "AIM 1")
        self.note("peak memory grown by verify", grown / 1024, "MiB")

    def overlap(self) -> None:
        """The proof with and without asking the store while the log is counted, in turn; CPU of all processes."""
        log = self.log()
        url = f"chdb:{self.folder / 'db'}"
        spent: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        with ClickHouseStore.embedded(self.folder / "db", url, create=True) as store:
            store.create()
            self.loaded(log, store)
            for run in range(2 * self.runs):
                wall, cpu = time.perf_counter(), cpu_of_all()
                self.prove(log, store, overlapped=run % 2 == 1)
                spent[run % 2 == 1].append((time.perf_counter() - wall, cpu_of_all() - cpu))
                print(f"  {'overlapped' if run % 2 else 'in turn':<10} {spent[run % 2 == 1][-1]}", flush=True)
        for overlapped, runs in spent.items():
            name = "verify, overlapped" if overlapped else "verify, one side after the other"
            walls, cpus = zip(*runs, strict=True)
            self.note(f"{name}, wall time", statistics.median(walls), "s")
            self.note(f"{name}, CPU", statistics.median(cpus), "s")

    def ways(self) -> None:
        """How much faster replay and the log's side of verify are by their quick ways than by the plain ones."""
        log = self.log()
        replays, tallies = [], []
        for run in range(self.runs):
            spent = {}
            for way in ("0", "1"):
                os.environ[SWITCH] = way
                made = open_log(f"file:{self.folder / f'way{run}{way}'}", create=True)
                _, replayed = timed(lambda made=made: self.replay_into(made))  # type: ignore[misc]  # a lambda's default has no type
                shutil.rmtree(self.folder / f"way{run}{way}")
                _, counted = timed(lambda: tally_log(log.snapshot(), _unheard, unseen))
                spent[way] = replayed, counted
            del os.environ[SWITCH]
            replays.append(spent["0"][0] / spent["1"][0])
            tallies.append(spent["0"][1] / spent["1"][1])
        self.note("replay, the quick way / TRADECAP_PLAIN=0, CPU", statistics.median(replays), "x")
        self.note("verify's log side, the quick way / TRADECAP_PLAIN=0, CPU", statistics.median(tallies), "x", "AIM 3")

    def prove(self, log: Log, store: ClickHouseStore, *, overlapped: bool) -> None:
        """Verify, and be sure that it is proven."""
        verdict = verify(log, store, Wanted(), progress=unseen, hire=Workers(), overlapped=overlapped)
        assert verdict.ok, [check for check in verdict.checks if not check.ok]

    def pacing(self) -> None:
        """A recorded minute at its own pace, and ten times faster; lateness of each record."""
        for speed in (10, 1):
            minute = ("--from", "2024-08-09T12:00:00Z", "--to", "2024-08-09T12:01:00Z")
            found = run_json("replay", "sample:", *minute, "--speed", str(speed), folder=self.folder)
            self.note(f"replay --speed {speed}: lateness p99", found["pacing"]["p99_ms"], "ms", "AIM 1")


def run_json(*command: str, folder: Path) -> dict[str, dict[str, float]]:
    """The JSON result of a command, run as a user runs it."""
    log = f"file:{folder / ('paced' + command[-1])}"
    done = subprocess.run(
        [sys.executable, "-m", "tradecap", *command, "--log", log, "--json", "-q"], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def chosen(names: list[str]) -> Iterator[str]:
    """What to measure, in an order in which each finds what it needs."""
    return (
        name
        for name in ("decode", "replay", "load", "verify", "overlap", "ways", "pacing")
        if not names or name in names
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="decode, replay, load, verify, overlap, ways, pacing (default: all)")
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tradecap-bench-") as folder:
        bench = Bench(Path(folder), asked.trades, asked.runs)
        print(
            f"{asked.trades:,} trades, median of {asked.runs} runs, {os.cpu_count()} cores, Python "
            f"{sys.version.split()[0]}"
        )
        for name in chosen(asked.names):
            getattr(bench, name)()
        bench.note(
            "peak memory of this process, embedded store included",
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "MiB",
        )
        if asked.json:
            asked.json.write_text(json.dumps(bench.found, indent=2) + "\n")


if __name__ == "__main__":
    main()
