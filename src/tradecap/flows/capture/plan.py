"""What a capture is asked for, and what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tradecap.errors import TradecapError


@dataclass(frozen=True)
class Plan:
    """What to capture, and how far to go for it."""

    venue: str
    channel: str
    symbols: tuple[str, ...]
    duration_s: float | None = None
    max_trades: int | None = None
    is_repaired: bool = True
    """Whether gaps are fetched. A silent series is looked up by REST anyway."""
    repair_max: int = 100_000
    stale_s: float = 60.0
    min_free: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Of the run, for its `started` record."""


@dataclass
class Captured:
    """What a capture did. valid counts trades as they were logged; duplicates_dropped equal copies that weren't."""

    run: str = ""
    records: int = 0
    valid: int = 0
    duplicates_dropped: int = 0
    conflicts: int = 0
    quarantined: int = 0
    ignored: int = 0
    gaps_found: int = 0
    gaps_repaired: int = 0
    gaps_open: list[dict[str, object]] = field(default_factory=list)
    outliers: int = 0
    """Ids far from their series, which were kept and didn't move it."""
    moves: int = 0
    """How often a series went on at ids far from the ones that were due."""
    reconnects: int = 0
    undelivered: int = 0
    seconds: float = 0.0
    why: str = ""
    series: list[dict[str, object]] = field(default_factory=list)
    latency: dict[str, float] = field(default_factory=dict)
    problem: TradecapError | None = None
