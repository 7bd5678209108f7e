"""The venues that the program knows. To add one, add its package and name it in VENUES.

Rules: the rest of the program names no venue: it takes one from here by the name that a record, a host or an option
says. Records that name no venue are read as the first venue's, in Python as in SQL; only `by_shape` asks all of them.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Final

from tradecap.market.records import Reading, Rejected
from tradecap.venues import binance
from tradecap.venues.sites import Site
from tradecap.venues.venue import Decode, Venue

__all__ = [
    "SITES",
    "UNNAMED",
    "VENUES",
    "Decode",
    "Venue",
    "by_shape",
    "from_name",
    "recorders",
    "unsupported",
    "venue_of",
]

VENUES: Final[dict[str, Venue]] = {venue.name: venue for venue in binance.VENUES}

_first = next(iter(VENUES.values()))


def _decode_unnamed(payload: bytes, venue: str, symbol: str, channel: str) -> Reading:
    return Rejected("unknown_message", "venue") if venue else _first.decode(payload, "", symbol, channel)


UNNAMED: Final = replace(_first, name="", decode=_decode_unnamed, sites=())
"""Used where a record names no venue, or one that isn't known (whose messages nobody can read):
`VENUES.get(name, UNNAMED)`."""


def by_shape(payload: bytes, _: str, symbol: str, channel: str) -> Reading:
    """`Decode` for a message of which nobody says whose it is: as the first venue that can read it reads it."""
    reading = _first.decode(payload, "", symbol, channel)
    if type(reading) is Rejected:
        for venue in VENUES.values():
            if (
                venue.decode is not _first.decode
                and type(found := venue.decode(payload, "", symbol, channel)) is not Rejected
            ):
                return found
    return reading


@lru_cache(maxsize=256)
def venue_of(host: str) -> str:
    """The venue that a host (lower case, without its port) belongs to; '' for one that isn't known."""
    return next((venue.name for venue in VENUES.values() if venue.hosts.fullmatch(host)), "")


@lru_cache(maxsize=1024)
def unsupported(host: str, symbol: str) -> str:
    """Why messages of this host or symbol are of no market that is read, as a sentence; '' where they are."""
    markets = (market for venue in VENUES.values() for market in venue.unsupported)
    return next(
        (market.why for market in markets if market.hosts.fullmatch(host) or market.symbols.fullmatch(symbol)), ""
    )


@lru_cache(maxsize=1024)
def from_name(symbol: str) -> str:
    """The symbol that a file's name begins with, where a venue has such symbols or a market that isn't read; else
    ''."""
    is_known = any(venue.in_names.fullmatch(symbol) for venue in VENUES.values()) or unsupported("", symbol)
    return symbol if is_known else ""


def recorders() -> dict[str, str]:
    """What recorders call the venues (upper case), and the host they then mean."""
    return {name: host for venue in VENUES.values() for name, host in venue.recorded_as.items()}


SITES: Final[dict[str, Site]] = {site.name: site for venue in VENUES.values() for site in venue.sites}
"""By the name that --venue takes."""
