"""The settings of a local exchange. Each has a default, so a test names only what it needs."""

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from tradecap.simulate.faults import Fault
from tradecap.simulate.limits import Rules
from tradecap.simulate.market_data import KEEP

MAX_BEHIND: Final = 16 * 1024 * 1024

Start = Literal["now", "subscriber", "manual"]
FaultReport = dict[str, object]
"""What a fault did, as plain data: see `FaultInjector`."""


@dataclass(frozen=True, kw_only=True)
class ExchangeSettings:
    """How an exchange listens, plays its tape and treats its clients."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: any free port."""
    tls: ssl.SSLContext | None = None
    ca: str | None = None
    """The CA file that clients of `tls` have to trust."""

    speed: float | None = 1.0
    """1.0: as recorded. None: as fast as clients read."""
    loop: bool = False
    """Play the tape again and again."""
    now: bool = False
    """Shift times so that the first trade is now."""
    history_s: float = 0.0
    """Start with this much trading history behind it (for REST)."""
    start: Start = "now"
    """now: play at once.

    subscriber: play as soon as `streams` streams are subscribed. manual: only by `play(count)`.
    """
    streams: int = 1

    rules: Rules = field(default_factory=Rules)
    """The venue's limits."""
    time_scale: float = 1.0
    """The venue's clocks (ping, pong, 24 h, weight windows, bans) run this many times as fast as ours."""
    keep: int = KEEP
    """REST remembers this many trades of each series."""

    faults: Iterable[Fault] = ()
    seed: int = 1
    """The faults draw from it."""
    on_fault: Callable[[FaultReport], None] | None = None
    """Called with each report."""

    max_behind: int = MAX_BEHIND
    """A WebSocket client is cut when this many bytes wait for it."""
    patience_s: float = 5.0
    """A client that reads nothing for this long is cut; at full speed the tape waits for it this long at most."""
    request_s: float = 10.0
    """A request must arrive completely within this time."""
    idle_s: float = 60.0
    """A connection without a request is closed after this time."""
