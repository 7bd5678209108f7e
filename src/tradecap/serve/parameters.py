"""The parameters of a query, read strictly: what can't be understood is a 422 that names the parameter.

Rules: times are RFC 3339, a day, `-10m` before the newest trade, or the time since 1970 in seconds (up to 11 digits) or
ms (12 to 14). A window is a whole number of minutes.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Final, TypeVar

from tradecap.flows.candles import parse_interval
from tradecap.serve.problems import ProblemError
from tradecap.times import parse_duration, parse_time

WINDOW_S: Final = 7 * 86_400
LAST_MS: Final = 4_102_444_800_000
_EPOCH: Final = re.compile(r"\d{1,14}", re.ASCII)
_THRESHOLD: Final = re.compile(r"\d{1,6}(?:\.\d{1,12})?", re.ASCII)
Value = TypeVar("Value")


def read(name: str, text: str, parse: Callable[[str], Value]) -> Value:
    """The value of a parameter; 422 for one that parse refuses by ValueError."""
    try:
        return parse(text)
    except ValueError as error:
        raise ProblemError(422, f"{name}: {error}", "GET /docs lists the parameters.") from None


def when(name: str, text: str | None, as_of_us: int) -> int | None:
    """A time in whole seconds, rounded up; None where it isn't given."""
    if text is None:
        return None
    return read(name, text, lambda value: -(-_time_ns(value, as_of_us) // 10**9))


def _time_ns(text: str, as_of_us: int) -> int:
    if _EPOCH.fullmatch(text):
        ms = int(text) if len(text) > 11 else int(text) * 1000
        if ms > LAST_MS:
            raise ValueError(f"{text!r} is after the year 2099.")
        return ms * 10**6
    # in a query, the + of a zone is a blank
    return parse_time(re.sub(r"(?<=\d) (?=\d\d:\d\d$)", "+", text), as_of_us * 1000)


def interval(text: str) -> int:
    """Seconds of an interval."""
    return read("interval", text, parse_interval)


def window(text: str) -> int:
    """Seconds of a window: whole minutes, at most a week."""
    return read("window", text, _window)


def _window(text: str) -> int:
    seconds = parse_duration(text)
    if seconds < 60 or seconds % 60 or seconds > WINDOW_S:
        raise ValueError(f"{text!r} is not a window; it must be a multiple of a minute, up to 7d.")
    return int(seconds)


def threshold(text: str) -> Fraction:
    """A share of the previous close, exactly as it is written."""
    return read("threshold", text, _threshold)


def _threshold(text: str) -> Fraction:
    if not _THRESHOLD.fullmatch(text) or not Fraction(text):
        raise ValueError(f"{text!r} is not a threshold; write a share like 0.03.")
    return Fraction(text)
