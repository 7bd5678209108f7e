"""tradecap verify: the proof."""

import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tradecap.cli.options import SYMBOL, WAIT, command, later, shared, time_range, typed
from tradecap.cli.output import Output, joined, lost, number, proven, spoilt, stacked, table
from tradecap.cli.settings import Settings
from tradecap.errors import Exit
from tradecap.flows.verify import Verdict, Wanted
from tradecap.flows.verify import verify as flow
from tradecap.log import open_log
from tradecap.market.checks import Check
from tradecap.market.records import REASONS
from tradecap.store import open_store

EXPECTABLE = ("records", "trades", "duplicates", "conflicts", "quarantined", "ignored", "events", "gaps", "candles")

if TYPE_CHECKING:
    from rich.console import RenderableType


def _expectation(text: str) -> tuple[str, int]:
    name, equals, count = text.partition("=")
    if not equals or not re.fullmatch(r"\d{1,18}", count, re.ASCII):
        raise ValueError(f"{text!r} is no expectation; write NAME=N, like duplicates=100.")
    if name not in EXPECTABLE and not (name.startswith("quarantined.") and name[12:] in REASONS):
        raise ValueError(f"{name!r} can't be expected; there is {', '.join(EXPECTABLE)} and quarantined.REASON (like quarantined.null_field).")
    return name, int(count)


@command
@click.option("--expect", type=typed("expectation", _expectation), multiple=True, metavar="NAME=N", help="Also check a count (may be repeated).")
@click.option("--run", metavar="ID|last", default="", help="Expectations are of this run.")
@click.option("--symbol", type=SYMBOL, help="Narrow ids and candles to a symbol.")
@time_range
@click.option("--strict", is_flag=True, help="Ids between two coverages fail too.")
@click.option("--allow-gaps", is_flag=True, help="Ids missing inside a coverage don't fail.")
@click.option("--allow-torn", is_flag=True, help="Runs without an end don't fail.")
@click.option("--wait", "wait_s", type=WAIT, default="0s", metavar="DURATION", help="Wait so long for another process to load what isn't loaded yet.")
@later("--klines", "--klines-offset", "--junit", "--certificate", "--against", "--as")
@shared
def verify(
    expect: tuple[tuple[str, int], ...],
    run: str,
    symbol: str | None,
    from_ns: int | None,
    to_ns: int | None,
    strict: bool,
    allow_gaps: bool,
    allow_torn: bool,
    wait_s: float,
    settings: Settings,
    out: Output,
) -> Exit:
    """Reconcile log and store, record by record.

    Exit 0: every record that entered is a stored trade, a known duplicate, a conflict, an event, ignored, or quarantined with a reason.
    Exit 1: a check failed; it says what differs, where, and what to run.

    \b
    Examples:
      tradecap verify
      tradecap verify --run last --expect duplicates=100 --expect quarantined.null_field=20
      tradecap verify --symbol BTCUSDT --strict --json
    """
    wanted = Wanted(dict(expect), run, symbol or "", _us(from_ns), _us(to_ns), strict, allow_gaps, allow_torn)
    deadline = time.monotonic() + wait_s
    while True:
        verdict = _verdict(settings, wanted, out)
        if verdict.ok or not verdict.only_pending or time.monotonic() >= deadline:
            break
    out.show(result_of(verdict), lambda: drawn(verdict))
    return Exit.OK if verdict.ok else Exit.CHECK_FAILED


def _verdict(settings: Settings, wanted: Wanted, out: Output) -> Verdict:
    log = open_log(settings.log.value)
    with open_store(settings.store.value) as store, out.progress("verify") as advance:
        return flow(log, store, wanted, progress=advance)


def _us(ns: int | None) -> int | None:
    return None if ns is None else -(-ns // 1000)


def result_of(verdict: Verdict) -> dict[str, object]:
    return {
        "ok": verdict.ok,
        "checks": [asdict(check) for check in verdict.checks],
        "counts": asdict(verdict.counts),
        "quarantined": verdict.quarantined,
        "runs": verdict.runs,
        "series": verdict.series,
    }


def drawn(verdict: Verdict) -> "RenderableType":
    rows = [(proven("ok") if check.ok else lost("FAILED"), check.name, check.expected, check.actual) for check in verdict.checks]
    series = [
        (
            f"{s['venue']} {s['symbol']} {s['channel']}",
            s["trades"],
            s["duplicates"],
            s["conflicts"],
            _count(s["gaps"]),
            f"{s['first_id']} … {s['last_id']}",
        )
        for s in verdict.series
    ]
    return stacked(
        table(("", "check", "expected", "found"), rows),
        *[line for check in verdict.checks for line in _story(check)],
        table(("series", "trades", "duplicates", "conflicts", "gaps", "ids"), series),
        *([spoilt(_quarantined(verdict))] if verdict.quarantined else []),
        conclusion(verdict),
    )


def _story(check: Check) -> list["RenderableType"]:
    if check.ok:
        return []
    told = [lost(f"{check.name}: expected {check.expected}, found {check.actual}")]
    return [*told, *([f"  {check.detail}"] if check.detail else []), *([f"  fix: {check.fix}"] if check.fix else [])]


def _count(ranges: object) -> int:
    assert isinstance(ranges, list)
    return len(ranges)


def _quarantined(verdict: Verdict) -> str:
    return "in quarantine: " + ", ".join(f"{number(n)} {reason}" for reason, n in verdict.quarantined.items())


def conclusion(verdict: Verdict) -> "RenderableType":
    """The sentence that all the rest is for."""
    c = verdict.counts
    parts = f"{number(c.trades)} trades + {number(c.duplicates)} duplicates + {number(c.conflicts)} conflicts + {number(c.quarantined)} quarantined"
    sum_up = f"{number(c.records)} records = {parts} + {number(c.ignored)} ignored + {number(c.events)} events"
    if verdict.ok:
        return joined(proven("PROVEN"), f" every record is accounted for, every trade is there exactly once: {sum_up}.")
    failed = sum(not check.ok for check in verdict.checks)
    return joined(lost("NOT PROVEN"), f" {number(failed)} of {len(verdict.checks)} checks failed: {sum_up}.")
