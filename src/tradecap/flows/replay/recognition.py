"""What an input is, by its first lines, and why an input in which nothing is recognised isn't replayed.

Rules: pure. A trade, even a spoilt one, or a record of one of our logs settles it. Other streams make a recording too;
a control answer doesn't, because other programs write similar ones. Where everything recognised is of a market that
isn't read, or names no symbol, the refusal gives that as the reason.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from tradecap.errors import TradecapError
from tradecap.market.records import Ignored, Reading, Rejected, Trade
from tradecap.recordings.layouts import Frame
from tradecap.recordings.refusals import unread
from tradecap.venues.api import from_name, unsupported

UNREADABLE: Final = ("malformed_json", "not_an_object", "not_utf8", "unknown_message", "oversize")
"""Reasons that don't show what the line was meant to be."""


class Sight(NamedTuple):
    """What a line says of its file. why: it is of a market that isn't read; venue: of the trade that a row would be if
    anything named its symbol."""

    is_trade: bool = False
    is_stream: bool = False
    why: str = ""
    venue: str = ""


TRADE: Final = Sight(is_trade=True)
STREAM: Final = Sight(is_stream=True)
NOTHING: Final = Sight()


def sight(each: Frame, reading: Reading, symbol: str, with_a_symbol: Callable[[], Reading]) -> Sight:
    """What a line is. symbol: that of the message or row; with_a_symbol reads it as if something named its symbol."""
    match reading:
        case Ignored(kind):
            return NOTHING if kind == "reply" else STREAM
        case Rejected() | Trade() if why := unsupported(each.host, each.symbol) or unsupported("", symbol):
            return Sight(why=why)
        case Rejected(reason) if reason in UNREADABLE:
            if each.channel and not symbol and type(row := with_a_symbol()) is Trade:
                return Sight(venue=row.venue)
            return NOTHING
    return TRADE


def refusal(
    name: str, payloads: list[bytes], sights: Iterable[Sight], problem: TradecapError | None
) -> TradecapError | None:
    """Why an input with these first lines isn't replayed; None where something in it is recognised. problem: why it
    broke off, if it did."""
    found = set(sights)
    if TRADE in found:
        return None
    if others := sorted(each.why for each in found if each.why):
        return TradecapError(
            f"{name} can't be replayed: {others[0]}.",
            "replay recordings of spot, or of futures that are margined in dollars.",
        )
    if venues := sorted(each.venue for each in found if each.venue):
        return TradecapError(
            f"{name} holds trades that don't name their symbol.",
            f"add --as {venues[0]}:BTCUSDT, with the symbol they are of.",
        )
    if STREAM in found:
        return None
    if problem:
        return problem
    what, run = unread(payloads, name)
    what = what or (_nothing(len(payloads)) if payloads else "it is empty")
    return TradecapError(f"{name} isn't a recording: {what}.", run or "docs/recordings.md lists what can be read.")


def not_a_venue(name: str, each: Frame, venue: str) -> TradecapError | None:
    """What is wrong with a trade from a host of no venue; None where --as may name one (venue).

    Filed under a venue by its shape alone, a trade of another exchange would share ids with other trades.
    """
    if why := unsupported(each.host, ""):
        return TradecapError(
            f"{name}:{each.line} is from {each.host}: {why}.",
            "replay recordings of spot, or of futures that are margined in dollars.",
        )
    if venue:
        return None
    message = f"{name}:{each.line} is a trade from {each.host}, which isn't a venue that tradecap knows."
    return TradecapError(message, "--as VENUE:SYMBOL files it under a venue that you name.")


class Names:
    """The symbols that names of files give to rows which --as files under one symbol: two of them would share its
    series."""

    def __init__(self) -> None:
        self._symbol = ""

    def differs(self, name: str, each: Frame) -> TradecapError | None:
        """What is wrong where a name gives another symbol than an earlier one."""
        symbol = from_name(each.symbol) if each.channel else ""
        self._symbol = self._symbol or symbol
        if symbol in ("", self._symbol):
            return None
        message = (
            f"{name}:{each.line} is of {symbol} by the name of its file, and rows before it are of {self._symbol}."
        )
        return TradecapError(message, "--as is for rows of one symbol: leave it out, or replay the files one by one.")


def _nothing(lines: int) -> str:
    where = "its only line" if lines == 1 else f"its first {lines} lines"
    return f"nothing in {where} is a message of a known venue"
