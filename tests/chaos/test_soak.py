"""What takes days, in minutes: connections that reach their 24 h, shutdown notices, clocks that are set, midnight, the
end of a month.

`make test` has 7 s of it, `make soak` ten minutes (MINUTES=60 for more).
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median_low

import pytest

from tests.chaos import soak
from tests.chaos.account import (
    detail,
    loaded_and_verified,
    no_connection_is_forgotten,
    nothing_was_repaired_silently,
    the_store_has_what_was_traded,
)
from tests.chaos.ordeal import SYMBOLS
from tests.chaos.soak import SPEED, Soaked
from tests.chaos.soaking import LIFETIME_S
from tradecap.flows.records import read_lines
from tradecap.flows.verify.klines import Klines, Window, compare_klines
from tradecap.log.folder.log import FileLog
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds

SHORT_S = 7.0
GROWTH = 2_000_000
"""Bytes that memory may differ by without growing: what the allocator keeps, buffers of a burst."""


def _cases() -> Iterator[tuple[str, int, float]]:
    """(midnight at the end of a month, connections, seconds)."""
    minutes = float(os.environ.get("TRADECAP_SOAK", "0"))
    yield "2025-01-01", 1, minutes * 30 or SHORT_S
    if minutes:
        yield "2024-03-01", 2, minutes * 30


@pytest.mark.parametrize(("midnight", "connections", "seconds"), [*_cases()])
def test_days_of_capture_cost_no_trade_and_no_memory(
    tmp_path: Path, midnight: str, connections: int, seconds: float
) -> None:
    """What only goes wrong after a day, at a month's end or when somebody sets the clock would go wrong at the
    user's."""
    midnight_s = int(datetime.fromisoformat(midnight).replace(tzinfo=UTC).timestamp())
    # a slow machine needs longer until connections have been handed over
    for lasts in (seconds, 3 * seconds, 9 * seconds):
        folder = tmp_path / f"{lasts:g}"
        folder.mkdir()
        soaked = asyncio.run(soak.soak(folder, midnight_s * 1000, lasts, connections))
        log = FileLog(folder / "log", create=False)
        nothing_was_repaired_silently(log, kills=1)
        no_connection_is_forgotten(log)
        runs = _runs(log)
        if _has_handed_over(runs, lasts):
            break
    _the_clock_was_wrong_and_runs_rose(runs)
    _handovers_cost_nothing(runs, soaked, lasts)
    _nothing_grew(soaked.samples, lasts)
    with loaded_and_verified(log, folder / "db") as store:
        for symbol in SYMBOLS:
            the_store_has_what_was_traded(store, soaked.trades[symbol])
        for published in compare_klines(store, Klines(tuple(str(file) for file in soaked.klines.values())), Window()):
            assert published.result.differences == []
            assert published.result.compared >= lasts * SPEED / 60 - 2
        months = store.rows("SELECT DISTINCT toYYYYMM(trade_time) AS month FROM v_trades ORDER BY 1")
        assert [str(row["month"]) for row in months] == [
            f"{datetime.fromtimestamp(midnight_s + s, UTC):%Y%m}" for s in (-1, 0)
        ]


@dataclass
class _Run:
    """One run of the log, in order of its records. lost: connections that ended unforeseen."""

    received: list[int] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    handed_over: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    gaps: list[tuple[str, int, int]] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)


def _runs(log: FileLog) -> dict[str, _Run]:
    """By id, in order of the log."""
    runs: dict[str, _Run] = {}
    for envelope, reading, _ in read_lines(log):
        run = runs.setdefault(envelope.run, _Run())
        run.received.append(envelope.recv or 0)
        run.events[envelope.event] += 1
        if type(reading) is Trade and envelope.via == "ws":
            run.first.setdefault(reading.symbol, reading.id)
        elif envelope.event == "handed_over":
            run.handed_over[str(detail(envelope)["why"])] += 1
        elif envelope.event == "disconnected":
            run.lost += detail(envelope)["connection"] != 0
        elif envelope.event == "gap_found":
            gap = detail(envelope)
            run.gaps.append((str(gap["symbol"]), int(str(gap["first"])), int(str(gap["last"]))))
    return runs


def _the_clock_was_wrong_and_runs_rose(runs: dict[str, _Run]) -> None:
    ids, received = list(runs), [run.received for run in runs.values()]
    assert len(ids) == 3
    assert ids == sorted(ids)
    assert received[1][0] < received[0][0], "the second run began before the first, by its clock"
    steps = [after - before for before, after in zip(received[2], received[2][1:], strict=False)]
    assert min(steps) < -3600e9
    assert max(steps) > 3600e9


def _handed_over(runs: dict[str, _Run]) -> Counter[str]:
    return sum((run.handed_over for run in runs.values()), Counter[str]())


def _has_handed_over(runs: dict[str, _Run], seconds: float) -> bool:
    """Whether the machine was fast enough for both kinds, and as often as the time should have brought them."""
    handed_over, lost = _handed_over(runs), sum(run.lost for run in runs.values())
    return (
        len(handed_over) == 2
        and handed_over.total() > seconds / LIFETIME_S / 3
        and lost <= 1 + handed_over.total() // 10
    )


def _handovers_cost_nothing(runs: dict[str, _Run], soaked: Soaked, seconds: float) -> None:
    """A gap is of dropped messages, or from before the run's first message, or of a connection that was lost: a slow
    machine may miss the notice."""
    handed_over = _handed_over(runs)
    assert set(handed_over) == {"lifetime", "serverShutdown"}
    assert handed_over.total() > seconds / LIFETIME_S / 3
    for run in runs.values():
        unexplained = [gap for gap in run.gaps if not _is_explained(gap, run, soaked.dropped)]
        assert len(unexplained) <= run.lost * len(SYMBOLS), f"{unexplained} while {run.lost} connections were lost"
    lost = sum(run.lost for run in runs.values())
    assert lost <= 1 + handed_over.total() // 10, f"{lost} connections were lost and {handed_over} handed over"


def _is_explained(gap: tuple[str, int, int], run: _Run, dropped: dict[str, TradeIds]) -> bool:
    symbol, first, last = gap
    return last < run.first.get(symbol, last + 1) or all(number in dropped[symbol] for number in range(first, last + 1))


def _nothing_grew(samples: list[dict[str, int]], seconds: float) -> None:
    """The middle of an early and of a late while: handovers and new segments come and go, and a leak never lets go."""
    length = max(3, len(samples) // 4)
    early, late = (_middle(samples[length : 2 * length]), _middle(samples[-length:]))
    assert late["files"] <= early["files"] + 2
    assert late["threads"] <= early["threads"]
    assert late["objects"] <= early["objects"] + 500
    if seconds > 60:
        assert late["memory"] <= early["memory"] + GROWTH


def _middle(samples: list[dict[str, int]]) -> dict[str, int]:
    return {name: median_low(sample[name] for sample in samples) for name in samples[0]}
