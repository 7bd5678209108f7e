"""The venue's klines against our candles: all nine values of every bar, and which bars can't be compared.

Rules: pure. A bar is compared when nothing of it can be missing: its number of trades is the kline's, or ids prove both
its edges. With fewer trades and an edge that no id proves it is partial; without a trade of ours it is absent, unless
ids run on across it: then there were none, and the kline must show that (n = 0; its prices, those of the close before,
are not compared). Integers are compared to the last digit, with two documented exceptions: a file of floats within
1e-9, without the taker's two values; and where price x quantity has more than the 8 decimals that are published, each
trade may have been rounded by one unit of the last. Candle rule and empty klines: docs/binance.md §4 and §10.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import gcd
from typing import Final

from tradecap.digits import number
from tradecap.market.klines import DECIMALS, Kline
from tradecap.proof.checks import SHOWN, Check

PRICES: Final = ("open", "high", "low", "close")
QUOTES: Final = ("quote_volume", "taker_buy_quote_volume")
QUOTE_UNIT: Final = 10**8
"""One unit of the last decimal that a venue publishes of a quote volume, in ours."""
FLOAT_TOLERANCE: Final = 10**9
"""Floats are equal when they differ by less than one part in this many."""
MAX_NAMED: Final = 10_000
"""Differences kept by name; further ones are counted."""


class HeldBar(Kline, frozen=True, gc=False, kw_only=True):
    """A bar as we have it. first_id and last_id are of all its ids; one without an order-book trade has zeros
    everywhere else."""

    first_id: int
    last_id: int


@dataclass(frozen=True)
class BarDifference:
    """One value of one bar that isn't the venue's."""

    open_time: str
    value: str
    ours: str
    theirs: str


@dataclass(kw_only=True)
class Comparison:
    """What became of each kline: compared (differing among them), partial or absent. unnamed: differences beyond those
    that are kept."""

    compared: int = 0
    differing: int = 0
    partial: int = 0
    absent: int = 0
    differences: list[BarDifference] = field(default_factory=list)
    unnamed: int = 0


@dataclass(kw_only=True, frozen=True)
class Published:
    """One file of klines, the series it was compared with, and the outcome."""

    file: str
    sha256: str
    venue: str
    symbol: str
    channel: str
    interval_s: int
    is_exact: bool
    result: Comparison


def compare(klines: Iterable[Kline], bars: Sequence[HeldBar], into: Comparison) -> None:
    """Count and compare klines. bars: ours of the same times, ascending, and the nearest one before and after."""
    times = [bar.open_time_s for bar in bars]
    is_rounded = _is_rounded(bars)
    for kline in klines:
        at = bisect_left(times, kline.open_time_s)
        here = bars[at] if at < len(bars) and times[at] == kline.open_time_s else None
        before = bars[at - 1] if at else None
        beyond = at + (here is not None)
        after = bars[beyond] if beyond < len(bars) else None
        _judge(kline, before, here, after, is_rounded, into)


def _judge(
    kline: Kline,
    before: HeldBar | None,
    here: HeldBar | None,
    after: HeldBar | None,
    is_rounded: bool,
    into: Comparison,
) -> None:
    if here is None and not _adjoin(before, after):
        into.absent += 1
        return
    is_short = here is not None and here.trades < kline.trades
    if is_short and not (_adjoin(before, here) and _adjoin(here, after)):
        into.partial += 1
        return
    found = _differences(kline, here or _nothing(kline), is_rounded)
    into.compared += 1
    into.differing += bool(found)
    kept = found[: max(MAX_NAMED - len(into.differences), 0)]
    into.differences += kept
    into.unnamed += len(found) - len(kept)


def _adjoin(before: HeldBar | None, after: HeldBar | None) -> bool:
    """Whether no id can be missing between two bars. Before id 0 there is nothing; ids may interleave where T fell
    across an edge."""
    if after is None:
        return False
    return after.first_id == 0 if before is None else after.first_id <= before.last_id + 1


def _nothing(kline: Kline) -> HeldBar:
    """What we have of a bar in which, by the ids around it, no trade happened."""
    zeros = dict.fromkeys(DECIMALS, 0)
    return HeldBar(
        open_time_s=kline.open_time_s, interval_s=kline.interval_s, first_id=0, last_id=0, is_exact=True, **zeros
    )


def _differences(kline: Kline, bar: HeldBar, is_rounded: bool) -> list[BarDifference]:
    is_empty = not bar.trades or not kline.trades
    found = []
    for name, decimals in DECIMALS.items():
        theirs, ours = getattr(kline, name), getattr(bar, name)
        if theirs is None or (is_empty and name in PRICES):
            continue
        slack = QUOTE_UNIT * kline.trades if is_rounded and name in QUOTES else 0
        if not kline.is_exact and decimals:
            slack = max(slack, max(ours, theirs) // FLOAT_TOLERANCE)
        if abs(ours - theirs) > slack:
            found.append(
                BarDifference(
                    time_text(kline.open_time_s), name, amount_text(ours, decimals), amount_text(theirs, decimals)
                )
            )
    return found


def _is_rounded(bars: Sequence[HeldBar]) -> bool:
    """Whether price x quantity has decimals here that a venue doesn't publish."""
    price = gcd(*(getattr(bar, name) for bar in bars for name in PRICES))
    qty = gcd(*(value for bar in bars for value in (bar.volume, bar.taker_buy_volume or 0)))
    return price * qty % QUOTE_UNIT != 0


def time_text(seconds: int) -> str:
    """RFC 3339, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def amount_text(units: int, decimals: int) -> str:
    """All its digits, without trailing zeros."""
    if not decimals:
        return str(units)
    digits = f"{units:0{decimals + 1}d}"
    return f"{digits[:-decimals]}.{digits[-decimals:]}".rstrip("0").rstrip(".")


def klines_equal(published: Sequence[Published]) -> Check:
    """Every bar that can be compared equals the venue's, and there is at least one."""
    total = _total(published)
    ok = total.compared > 0 and not total.differing
    counts = f"compared {number(total.compared)}, partial {number(total.partial)}, absent {number(total.absent)}"
    counts += f", differing {number(total.differing)}" if total.differing else ""
    fix = "" if ok else "# name klines of the time and the symbol that the store holds"
    if total.differing:
        fix = (
            "# the venue replaces files now and then: fetch this one again, else look at the trades of those "
            "bars in v_trades"
        )
    detail = "; ".join(filter(None, [counts, _detail(published, total)]))
    return Check(
        name="klines.equal",
        ok=ok,
        expected=max(total.compared, 1),
        actual=total.compared - total.differing,
        detail=detail,
        fix=fix,
        unit="bars",
    )


def _total(published: Sequence[Published]) -> Comparison:
    total = Comparison()
    for result in (each.result for each in published):
        total.compared += result.compared
        total.differing += result.differing
        total.partial += result.partial
        total.absent += result.absent
        total.unnamed += result.unnamed + len(result.differences)
    return total


def _detail(published: Sequence[Published], total: Comparison) -> str:
    named = [
        f"{each.symbol} {found.open_time} {found.value}: ours {found.ours}, theirs {found.theirs}"
        for each in published
        for found in each.result.differences[:SHOWN]
    ]
    details = named[:SHOWN]
    if total.unnamed > len(details):
        details.append(f"and {number(total.unnamed - len(details))} more values, named under klines with --json")
    details += [f"{each.file}: nothing could be compared" for each in published if not each.result.compared]
    details += [
        f"{each.file} holds floats: equal within 1e-9, without the taker's values"
        for each in published
        if not each.is_exact
    ]
    return "; ".join(details)
