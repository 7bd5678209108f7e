"""What the first lines of an input say it is, and why an input in which nothing is recognised isn't replayed.

Rules: pure. A trade, also a spoilt one, or a record of a log of ours settles it. Other streams make a recording too, a control answer doesn't: other
programs write the like. Where all that is recognised is of a market that isn't read, or names no symbol, the refusal says so.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from tradecap.errors import TradecapError
from tradecap.market.records import Ignored, Reading, Rejected, Trade
from tradecap.recordings.layouts import Frame
from tradecap.recordings.refusals import unread
from tradecap.venues.api import unsupported

UNREADABLE: Final = ("malformed_json", "not_an_object", "not_utf8", "unknown_message", "oversize")
"""Reasons that say nothing of what the line was meant to be."""


class Sight(NamedTuple):
    """What a line says of its file. why: it is of a market that isn't read; venue: of the trade that a row would be if anything named its symbol."""

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


def refusal(name: str, payloads: list[bytes], sights: Iterable[Sight], problem: TradecapError | None) -> TradecapError | None:
    """Why an input with these first lines isn't replayed; None where something in it is recognised. problem: why it broke off, if it did."""
    found = set(sights)
    if TRADE in found:
        return None
    if others := sorted(each.why for each in found if each.why):
        return TradecapError(f"{name} can't be replayed: {others[0]}.", "replay recordings of spot or of USD-margined futures.")
    if venues := sorted(each.venue for each in found if each.venue):
        return TradecapError(f"{name} holds trades that don't name their symbol.", f"add --as {venues[0]}:BTCUSDT, with the symbol they are of.")
    if STREAM in found:
        return None
    if problem:
        return problem
    what, run = unread(payloads, name)
    what = what or (f"nothing in its first {len(payloads)} lines is a message of a known venue" if payloads else "it is empty")
    return TradecapError(f"{name} is no recording: {what}.", run or "docs/recordings.md lists what can be read.")
