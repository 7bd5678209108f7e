"""What a capture counts and what it did.

Rule: `CaptureCounts` is the one list of counters. The status, the metrics, the result of `stream` and the run's end
record all show these values.
"""

from dataclasses import dataclass, field

from tradecap.errors import TradecapError


@dataclass(kw_only=True)
class CaptureCounts:
    """The counters of one capture."""

    records: int = 0
    """Records written, events included."""
    valid: int = 0
    """Trades written."""
    duplicates_dropped: int = 0
    """Equal copies of a trade of this run. They are not written."""
    quarantined: int = 0
    """Messages that can't be read. They are written."""
    ignored: int = 0
    """Messages that are not about trades. They are written."""
    conflicts: int = 0
    """Copies of a trade with other content. They are written."""
    gaps_found: int = 0
    gaps_repaired: int = 0
    outliers: int = 0
    """Ids far from their series. They are written, and the series stays where it is."""
    moves: int = 0
    """How often a series continued at ids far from the expected ones."""
    reconnects: int = 0
    """Lost connections that were replaced."""


@dataclass(frozen=True, kw_only=True)
class Captured:
    """What a capture did, and why it ended. problem: set where the command ends with an error."""

    run: str
    counts: CaptureCounts
    why: str
    problem: TradecapError | None = None
    gaps_open: list[dict[str, object]] = field(default_factory=list)
    series: list[dict[str, object]] = field(default_factory=list)
    seconds: float = 0.0
    latency: dict[str, float] = field(default_factory=dict)
    """From the socket to the durable log."""
