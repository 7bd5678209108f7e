"""Faults of messages: streams drop, repeat, reorder, delay or break them.

Rules: only messages with a subscriber are touched, and never the market: REST stays right. If several faults are at
work, the first that takes a message changes it. How a message is broken is drawn from the seed (`market.faults`). Pure:
a delayed message is handed to the caller, to be sent later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from tradecap.market.faults import spoil
from tradecap.simulate.faults import PAYLOAD_FAULTS, Fault
from tradecap.simulate.tape import Entry
from tradecap.venues.binance.strict import REQUIRED


class Outgoing(NamedTuple):
    """A message to be sent on a stream, and the entry it was made from."""

    stream: str
    payload: bytes
    entry: Entry


@dataclass(kw_only=True)
class Spoiling:
    """A fault at work. touched: the ids by stream, in the order in which they were touched."""

    fault: Fault
    done: Callable[["Spoiling"], None]
    touched: dict[str, list[int]] = field(default_factory=dict)
    held: list[Entry] = field(default_factory=list)
    left: int = 0
    """Messages it still takes."""

    def __post_init__(self) -> None:
        self.left = self.fault.count

    def takes(self, entry: Entry) -> bool:
        """Whether it wants to change this entry."""
        trade, fault = entry.trade, self.fault
        if trade is None or self.left == 0:
            return False
        if fault.kind == "reorder" and self.held and self.held[0].stream != entry.stream:
            return False
        return fault.symbol in ("", trade.symbol) and fault.channel in ("", trade.channel)


class Spoiler:
    """The faults at work on messages."""

    def __init__(self, seed: int, send_later: Callable[[float, list[Outgoing]], None]) -> None:
        self._rng = Random(seed)
        self._send_later = send_later
        self.active: list[Spoiling] = []

    def add(self, fault: Fault, done: Callable[[Spoiling], None]) -> Spoiling:
        """Let a fault work on messages from now on. `done` is called when it has touched all it should."""
        spoiling = Spoiling(fault=fault, done=done)
        self.active.append(spoiling)
        return spoiling

    def messages(self, entry: Entry) -> list[Outgoing]:
        """What to send for this entry."""
        for spoiling in self.active:
            if spoiling.takes(entry):
                assert entry.trade is not None
                spoiling.left -= 1
                spoiling.touched.setdefault(entry.stream, []).append(entry.trade.id)
                messages = self._changed(spoiling, entry)
                if spoiling.left == 0:
                    self._end(spoiling)
                return messages
        return [_plain(entry)]

    def _changed(self, spoiling: Spoiling, entry: Entry) -> list[Outgoing]:
        plain = _plain(entry)
        match spoiling.fault.kind:
            case "drop":
                return []
            case "duplicate":
                return [plain, plain]
            case "delay":
                self._send_later(spoiling.fault.by_s, [plain])
                return []
            case "reorder":
                spoiling.held.append(entry)
                if spoiling.left:
                    return []
                held, spoiling.held = spoiling.held, []
                return [_plain(each) for each in reversed(held)]
            case kind:
                return [plain._replace(payload=self._spoil(kind, entry))]

    def _spoil(self, kind: str, entry: Entry) -> bytes:
        assert entry.trade is not None
        return spoil(PAYLOAD_FAULTS[kind], entry.text, entry.trade.channel, REQUIRED[entry.trade.channel], self._rng)

    def _end(self, spoiling: Spoiling) -> None:
        self.active.remove(spoiling)
        spoiling.done(spoiling)

    def finish(self) -> list[Outgoing]:
        """No more messages will come: every fault is done. Returns the messages that were still held."""
        held = [_plain(each) for spoiling in self.active for each in spoiling.held]
        for spoiling in [*self.active]:
            self._end(spoiling)
        return held


def _plain(entry: Entry) -> Outgoing:
    return Outgoing(entry.stream, entry.text, entry)
