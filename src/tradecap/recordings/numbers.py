"""Where the numbers of a row are in its bytes: rows of the archive's CSV files and of REST answers, as they are usually
written.

Rules: pure; None for every other row, and for anything that isn't a row.
"""

import re
from typing import Final

Span = tuple[int, int]
"""First byte, and the one behind the last."""

_INTEGER = rb"(\d{1,18})"
_AMOUNT = rb"(\d{1,7})(?:\.(\d{1,8}))?"
_QUOTE = rb"(\d{1,16})(?:\.(\d{1,18}))?"
_MOMENT = rb"(\d{16}|\d{13})"
_TRUTH = rb"(?:[Tt]rue|[Ff]alse)"
_END = rb"%b(?:,%b)?" % (_TRUTH, _TRUTH)
_TRADE_NAMES: Final = ("id", "price", "price_fraction", "qty", "qty_fraction", "quote", "quote_fraction", "time")
_AGG_NAMES: Final = ("id", "price", "price_fraction", "qty", "qty_fraction", "first", "last", "time")
_ROWS: Final = (
    (re.compile(b",".join((_INTEGER, _AMOUNT, _AMOUNT, _QUOTE, _MOMENT, _END))), _TRADE_NAMES),
    (re.compile(b",".join((_INTEGER, _AMOUNT, _AMOUNT, _INTEGER, _INTEGER, _MOMENT, _END))), _AGG_NAMES),
    (
        re.compile(
            rb'\{"id":%b,"price":"%b","qty":"%b","quoteQty":"%b","time":%b,"isBuyerMaker":%b(?:,"isBestMatch":%b)?\}'
            % (_INTEGER, _AMOUNT, _AMOUNT, _QUOTE, _MOMENT, _TRUTH, _TRUTH)
        ),
        _TRADE_NAMES,
    ),
    (
        re.compile(
            rb'\{"a":%b,"p":"%b","q":"%b","f":%b,"l":%b,"T":%b,"m":%b(?:,"M":%b)?\}'
            % (_INTEGER, _AMOUNT, _AMOUNT, _INTEGER, _INTEGER, _MOMENT, _TRUTH, _TRUTH)
        ),
        _AGG_NAMES,
    ),
)


def numbers_of_row(payload: bytes) -> dict[str, Span] | None:
    """By name the digits of a row's numbers; None where it isn't a row as they usually are."""
    for row, names in _ROWS:
        if found := row.fullmatch(payload):
            return {name: found.span(at) for at, name in enumerate(names, 1) if found[at] is not None}
    return None


_NUMBERS: Final = re.compile(rb':(\d{1,18})(?=[,}])|:"(\d{1,18})(?:\.(\d{1,18}))?"')


def numbers_of_message(payload: bytes) -> tuple[list[Span], list[Span]]:
    """The digits of a JSON message's integers, and those of the decimals in its texts: of a message that is only
    counted."""
    integers: list[Span] = []
    decimals: list[Span] = []
    for found in _NUMBERS.finditer(payload):
        if found[1] is not None:
            integers.append(found.span(1))
        else:
            decimals += [found.span(group) for group in (2, 3) if found[group] is not None]
    return integers, decimals


_EPOCH: Final = re.compile(rb"(?<![\d.])(\d{19}|\d{16}|\d{13}|\d{10})(?:\.(\d{1,18}))?(?![\d.])")


def receive_time(line: bytes, behind: Span, recv_ns: int) -> tuple[Span, Span] | None:
    """The digits of the receive time that a line gives as seconds, or as thousandths of them, and so on: those of the
    number and of its fraction.

    behind: a part of the line to pass by. Their first nineteen, filled up with zeros, are the nanoseconds. None where
    there is no such number.
    """
    for found in _EPOCH.finditer(line):
        if not (behind[0] <= found.start() < behind[1]):
            fraction = found.span(2) if found[2] is not None else (found.end(1), found.end(1))
            if int((found[1] + (found[2] or b"")).ljust(19, b"0")[:19]) == recv_ns:
                return found.span(1), fraction
    return None
