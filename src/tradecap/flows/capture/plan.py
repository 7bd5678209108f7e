"""What a capture is asked to do: which trades, for how long, and how far it goes to get them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to capture, and when to end."""

    venue: str
    channel: str
    symbols: tuple[str, ...]
    duration_s: float | None = None
    max_trades: int | None = None
    is_resumed: bool = True
    """Whether it continues after the last ids of the log, and fetches what an earlier run left missing."""
    is_repaired: bool = True
    """Whether gaps are fetched by REST. The newest id of a silent series is asked for in any case."""
    repair_max: int = 100_000
    """A gap of more ids than this stays open."""
    stale_s: float = 60.0
    """After this long without a message, REST is asked for the newest id of a series."""
    min_free: int = 0
    """Bytes that must stay free on the log's disk."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the run's `started` record."""
