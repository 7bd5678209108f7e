"""Faults of messages: dropping, repeating, turning around, holding back and breaking what streams say.

Rules: only what somebody hears is touched, and the market never: REST goes on telling the truth. Several faults may be at work; the first that
takes a message has it. How a message is broken is drawn from the seed (`market.faults`). Pure: what was held back is handed out to be said later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tradecap.market.faults import spoil
from tradecap.simulate.faults import SPOILT_AS, Fault
from tradecap.simulate.tape import Entry
from tradecap.venues.binance.strict import REQUIRED

Said = tuple[str, bytes, Entry]
"""What is said: on which stream, in which words, and the entry it comes from."""


@dataclass
class Spoiling:
    """A fault at work. touched: the ids by stream, in the order they came."""

    fault: Fault
    done: Callable[["Spoiling"], None]
    touched: dict[str, list[int]] = field(default_factory=dict)
    held: list[Entry] = field(default_factory=list)
    left: int = 0
    number: int = 0

    def __post_init__(self) -> None:
        self.left = self.fault.count

    def takes(self, entry: Entry) -> bool:
        trade, fault = entry.trade, self.fault
        if trade is None or self.left == 0:
            return False
        if fault.kind == "reorder" and self.held and self.held[0].stream != entry.stream:
            return False
        return fault.symbol in ("", trade.symbol) and fault.channel in ("", trade.channel)


class Spoiler:
    """The faults at work on messages."""

    def __init__(self, seed: int, later: Callable[[float, list[Said]], None]) -> None:
        self._rng = Random(seed)
        self._later = later
        self.active: list[Spoiling] = []

    def add(self, fault: Fault, done: Callable[[Spoiling], None]) -> Spoiling:
        """Let a fault work on the messages from here on; `done` is called when it has touched all it should."""
        spoiling = Spoiling(fault, done)
        self.active.append(spoiling)
        return spoiling

    def spoilt(self, entry: Entry) -> list[Said]:
        """What is said instead of the entry."""
        for spoiling in self.active:
            if spoiling.takes(entry):
                assert entry.trade is not None
                spoiling.left -= 1
                spoiling.touched.setdefault(entry.stream, []).append(entry.trade.id)
                said = self._said(spoiling, entry)
                if spoiling.left == 0:
                    self._end(spoiling)
                return said
        return [(entry.stream, entry.text, entry)]

    def _said(self, spoiling: Spoiling, entry: Entry) -> list[Said]:
        plain: Said = (entry.stream, entry.text, entry)
        match spoiling.fault.kind:
            case "drop":
                return []
            case "duplicate":
                return [plain, plain]
            case "delay":
                self._later(spoiling.fault.by_s, [plain])
                return []
            case "reorder":
                spoiling.held.append(entry)
                if spoiling.left:
                    return []
                held, spoiling.held = spoiling.held, []
                return [(each.stream, each.text, each) for each in reversed(held)]
            case kind:
                return [(entry.stream, self._spoilt(kind, entry), entry)]

    def _spoilt(self, kind: str, entry: Entry) -> bytes:
        assert entry.trade is not None
        return spoil(SPOILT_AS[kind], entry.text, entry.trade.channel, REQUIRED[entry.trade.channel], self._rng)

    def _end(self, spoiling: Spoiling) -> None:
        self.active.remove(spoiling)
        spoiling.done(spoiling)

    def finish(self) -> list[Said]:
        """No more messages will come: what is held is said after all, and faults that have touched something are done."""
        held = [(each.stream, each.text, each) for spoiling in self.active for each in spoiling.held]
        for spoiling in [*self.active]:
            self._end(spoiling)
        return held
