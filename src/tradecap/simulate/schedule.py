"""Which faults are due: by time, by trade, or by chance.

Rules: the same faults, seed and tape fire at the same trades. Pure: time and trades come from outside.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from tradecap.errors import TradecapError
from tradecap.simulate.faults import Fault


@dataclass(kw_only=True)
class _ScheduledFault:
    """A fault and when it is due next. left: how many times it may still fire, None for no limit."""

    fault: Fault
    next_s: float | None = None
    next_trade: int | None = None
    left: int | None = None
    rng: Random = field(default_factory=Random)


class Schedule:
    """The faults that haven't fired for the last time."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 1) -> None:
        self._waiting = [_scheduled(fault, Random(f"{seed}/{number}")) for number, fault in enumerate(faults)]

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take_untimed(self) -> list[Fault]:
        """The faults without a trigger, which work from the start. They are returned once."""
        found = [each for each in self._waiting if not each.fault.trigger]
        self._waiting = [each for each in self._waiting if each.fault.trigger]
        return [each.fault for each in found]

    def at_time(self, elapsed_s: float) -> Iterator[Fault]:
        """The faults that are due by this time after the tape began."""
        for each in [*self._waiting]:
            while each.next_s is not None and each.next_s <= elapsed_s:
                each.next_s = each.next_s + each.fault.every_s if each.fault.every_s else None
                yield self._fired(each)

    def at_trade(self, count: int) -> Iterator[Fault]:
        """The faults that are due after trade number `count` (the first is 1). Call it for each trade."""
        for each in [*self._waiting]:
            if each.next_trade is not None and each.next_trade <= count:
                each.next_trade = count + each.fault.every_trades if each.fault.every_trades else None
                yield self._fired(each)
            elif each.fault.chance is not None and each.rng.random() < each.fault.chance:
                yield self._fired(each)

    def _fired(self, each: _ScheduledFault) -> Fault:
        if each.left is not None:
            each.left -= 1
            if each.left == 0:
                self._waiting.remove(each)
                each.next_s = each.next_trade = None
        return each.fault


def _scheduled(fault: Fault, rng: Random) -> _ScheduledFault:
    once = fault.trigger in ("at", "trades", "")
    left = fault.times if fault.times is not None else 1 if once else None
    if once and left != 1:
        raise TradecapError(
            f"The fault {fault.kind!r} fires once: times = {left} needs every, every_trades or chance.",
            "use every = instead of at =.",
        )
    return _ScheduledFault(
        fault=fault,
        next_s=fault.at_s if fault.at_s is not None else fault.every_s,
        next_trade=fault.trades if fault.trades is not None else fault.every_trades,
        left=left,
        rng=rng,
    )
