"""Pour the log into the store.

The order of the lines is the guarantee: rows first, then the position, so a crash repeats records and never loses one; what is repeated is the
same row again. The position only moves when the store took as many records as were read. Who follows a log pours what
comes in about once a second, and makes candles anew as often as a tenth of his time allows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.log.api import Damage, Log
from tradecap.market.batch import position_text
from tradecap.store.api import Store

FOLLOW_S: Final = 0.7
"""From one look at the log's end to the next: with the pouring itself a record is in the store about a second after it was durable."""
SWEEP_REST: Final = 9.0
"""A sweep looks at every trade of the store: a rest so many times as long follows each while a log is followed."""
LOOK_S: Final = 0.05
"""How often a rest looks whether somebody asked for the end."""


@dataclass
class Loaded:
    """What a load did.

    records counts lines poured; valid, quarantined, ignored and events those that the store had not seen; the rest were redelivered.
    """

    records: int = 0
    valid: int = 0
    quarantined: int = 0
    ignored: int = 0
    events: int = 0
    redelivered: int = 0
    candles: int = 0
    seconds: float = 0.0
    position: str = ""
    damage: list[Damage] = field(default_factory=list)


def load(log: Log, store: Store, *, follow: Callable[[], bool] | None = None, stop: Callable[[], bool], progress: Callable[[int], None]) -> Loaded:
    """Load the log into the store from the store's position until the log's end, or until stop(); with follow, go on until it says False.

    Damage in the log is noted, and passed by.
    """
    started = time.monotonic()
    refuse_altered(store)
    before = _counts(store)
    positions = dict(store.positions(log.id))
    loaded = Loaded(position=position_text(positions))

    def note(damage: Damage) -> None:
        if damage not in loaded.damage:
            loaded.damage.append(damage)

    sweeps = _Sweeps(store, loaded)

    def is_followed() -> bool:
        sweeps.if_due()
        return follow is not None and follow()

    batches = log.feed(
        store.store_id,
        lambda: store.positions(log.id),
        follow=is_followed if follow else None,
        on_damage=note,
        segment_files=store.reads_segment_files,
    )
    for batch in batches:
        store.add(log.id, batch)
        store.commit(log.id, batch.end)
        positions[batch.end.partition] = batch.end.at
        loaded.records += batch.records
        sweeps.is_wanted = True
        progress(batch.records)
        if stop():
            break
        if follow and batch.is_newest:
            _rest(lambda: is_followed() and not stop())
    loaded.position = position_text(positions)
    loaded.candles += store.sweep_candles()
    _count(loaded, before, _counts(store))
    loaded.seconds = time.monotonic() - started
    return loaded


def refuse_altered(store: Store) -> None:
    """Raises TradecapError (exit 3) where views or tables of the store aren't the package's: what is poured through them could be lost or spoilt."""
    if found := store.schema_differences():
        message = f"Store {store.url} isn't as this tradecap makes it: {', '.join(each.text for each in found)}."
        raise TradecapError(message, "; ".join(dict.fromkeys(each.fix for each in found)), Exit.UNREACHABLE)


class _Sweeps:
    """Makes candles while a log is followed: soon, but seldom where it takes long."""

    def __init__(self, store: Store, loaded: Loaded) -> None:
        self.is_wanted = False
        self._store, self._loaded = store, loaded
        self._due_s = 0.0

    def if_due(self) -> None:
        """Make them, when rows came since, and the last sweep is long enough ago."""
        began_s = time.monotonic()
        if self.is_wanted and began_s >= self._due_s:
            self._loaded.candles += self._store.sweep_candles()
            self.is_wanted = False
            ended_s = time.monotonic()
            self._due_s = ended_s + SWEEP_REST * (ended_s - began_s)


def _rest(is_wanted: Callable[[], bool]) -> None:
    """Let more come together: at a live log's end every pour costs the same, however little it brings."""
    until_s = time.monotonic() + FOLLOW_S
    while is_wanted() and (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, LOOK_S))


def _counts(store: Store) -> dict[str, int]:
    return store.outcomes()


def _count(loaded: Loaded, before: dict[str, int], after: dict[str, int]) -> None:
    new = {outcome: after[outcome] - before.get(outcome, 0) for outcome in after}
    loaded.valid, loaded.quarantined = new.get("trade", 0), new.get("quarantined", 0)
    loaded.ignored, loaded.events = new.get("ignored", 0), new.get("event", 0)
    loaded.redelivered = loaded.records - sum(new.values())
