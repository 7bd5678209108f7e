"""Times and durations as people write and read them.

Rules: times are UTC and become nanoseconds since 1970; durations become seconds. What can't be understood raises
ValueError with a sentence.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

UNITS_S: Final = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_NS: Final = 2**63 - 1
_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt "
    r"](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> float:
    """Seconds in `30s`, `10m`, `1h30m`, `500ms`. Raises ValueError with a sentence."""
    parts = _DURATION.findall(text.strip())
    if not parts or "".join(amount + unit for amount, unit in parts) != text.strip():
        raise ValueError(f"{text!r} isn't a duration; write it like 30s, 10m, 1h30m or 500ms.")
    return float(sum(Decimal(amount) * UNITS_S[unit] for amount, unit in parts))


def parse_time(text: str, now_ns: int) -> int:
    """Nanoseconds since 1970 UTC of RFC 3339, a day, or `-10m` before now. Without a zone it is UTC. Raises ValueError
    with a sentence."""
    if text.startswith("-"):
        return _within(text, now_ns - round(parse_duration(text[1:]) * 10**9))
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} isn't a time; write it like 2024-08-09, 2024-08-09T12:30:00Z or -10m.")
    day, hour, minute, second, fraction, zone = match.groups()
    try:
        whole = datetime.combine(date.fromisoformat(day), datetime.min.time(), tzinfo=UTC)
        whole = whole.replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0)) - _offset(
            zone or "Z"
        )
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} isn't a time that exists ({error}).") from error
    return _within(text, (whole - EPOCH) // timedelta(seconds=1) * 10**9 + int((fraction or "0").ljust(9, "0")))


def _within(text: str, ns: int) -> int:
    if not 0 <= ns <= LAST_NS:
        raise ValueError(f"{text!r} is outside of 1970 to 2262.")
    return ns


def _offset(zone: str) -> timedelta:
    if zone in "Zz":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(f"no zone is {zone}")
    return timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)


def time_text(ns: int) -> str:
    """A time as people and JSON read it: RFC 3339, UTC, with Z, and only the digits there are."""
    seconds, rest = divmod(ns, 10**9)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}{fraction}Z"
