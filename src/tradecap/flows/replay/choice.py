"""What a replay is asked for, and what came of it."""

from dataclasses import dataclass, field

from tradecap.errors import TradecapError


@dataclass(kw_only=True, frozen=True)
class Choice:
    """What to replay and how. Times in ns since 1970 UTC, to_ns exclusive; venue and symbol of --as are for lines that
    don't name theirs."""

    speed: float | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    symbols: frozenset[str] = frozenset()
    limit: int | None = None
    now: bool = False
    venue: str = ""
    symbol: str = ""


@dataclass(kw_only=True)
class Replayed:
    """lines = valid + quarantined + ignored + filtered; records = valid + quarantined + events.

    named_by_file: the symbols that only the name of a file gave to its rows; None where there are none.
    stopped: whether a signal ended it before the end of its inputs. left_out_ns: the first and last time of trades that
    options left out.
    """

    run: str = ""
    lines: int = 0
    records: int = 0
    valid: int = 0
    events: int = 0
    filtered: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    pacing: dict[str, float] | None = None
    named_by_file: list[str] | None = None
    stopped: bool = False
    left_out_ns: tuple[int, int] | None = None
    unknown_hosts: list[str] = field(default_factory=list)
    problems: list[TradecapError] = field(default_factory=list)
