"""What a venue is to the rest of the program: a frozen value of pure functions and facts."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tradecap.market.klines import Kline, WrongRow
from tradecap.market.numbers import Numbers
from tradecap.market.records import Reading
from tradecap.venues.sites import Site

Decode = Callable[[bytes, str, str, str], Reading]
"""(payload, venue, symbol, channel) -> what the message is. It never raises, on any bytes.

venue '' means that it isn't known: the shape of the message decides. symbol and channel are for rows that don't name
theirs; a message's own symbol goes before. A message holds one trade at most.
"""
Described = Callable[[bytes], tuple[str, str]]
"""(symbol, channel) of a message that can't be read, as far as its text tells; '' for what it doesn't. Only to file it
under."""
Moved = Callable[[bytes, str, int], bytes]
"""(payload of a valid trade, its channel, microseconds) -> the payload with its times that much later."""
NumbersOf = Callable[[bytes, str], Numbers | None]
"""(payload of a valid trade, its channel) -> where its numbers are; None where it isn't of a usual shape."""
ReadKlines = Callable[[Iterable[bytes], int | None], Iterator[Kline | WrongRow]]
"""(lines of a file, UTC offset in seconds of times that carry none) -> the klines in it, and what is wrong."""


def no_numbers(_: bytes, __: str) -> None:
    """For a venue whose messages are read one by one."""


NO_HOST: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A market that writes messages like a venue's and isn't read. why: the sentence it is refused with.

    hosts and symbols match the whole of its hosts (lower case, without port, or what a recorder calls it) and symbols.
    """

    why: str
    hosts: re.Pattern[str] = NO_HOST
    symbols: re.Pattern[str] = NO_HOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """An exchange and market: how its messages are read, and where and how it is asked for them.

    required: by channel, the members of a message that must be there and not null. hosts: matches each of its hosts
    (lower case, without port). recorded_as: what recorders call it (upper case), and the host they then mean. sites:
    where `stream` can capture it. read_klines: None where its files of klines can't be read. unsupported: markets whose
    messages could be taken for its own. in_names: matches a symbol that may be taken from a file's name.
    """

    name: str
    decode: Decode
    described: Described
    moved: Moved
    required: Mapping[str, tuple[str, ...]]
    numbers_of: NumbersOf = no_numbers
    hosts: re.Pattern[str] = NO_HOST
    recorded_as: Mapping[str, str] = field(default_factory=dict)
    sites: tuple[Site, ...] = ()
    read_klines: ReadKlines | None = None
    unsupported: tuple[Unsupported, ...] = ()
    in_names: re.Pattern[str] = NO_HOST
