"""Pour the log into the store.

The order of the lines is the guarantee: rows first, then the position, so a crash repeats records and never loses one; what is repeated is the
same row again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tradecap.log import Damage, Log
from tradecap.store import Store


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
    """Pour the log into the store from where the store stands until the log's end, or until stop(); with follow, go on until it says False."""
    started = time.monotonic()
    before = _counts(store)
    loaded = Loaded(position=store.position(log.id))
    for batch in log.read(loaded.position, follow=follow, on_damage=loaded.damage.append, whole_files=store.reads_files):
        store.pour(log.id, batch.lines, batch.file)
        store.commit(log.id, batch.end)
        loaded.position = batch.end
        if follow:
            loaded.candles += store.sweep_candles()
        progress(batch.records)
        loaded.records += batch.records
        if stop():
            break
    loaded.candles += store.sweep_candles()
    _count(loaded, before, _counts(store))
    loaded.seconds = time.monotonic() - started
    return loaded


def _counts(store: Store) -> dict[str, int]:
    return {str(row["outcome"]): int(str(row["records"])) for row in store.ask("outcomes")}


def _count(loaded: Loaded, before: dict[str, int], after: dict[str, int]) -> None:
    new = {outcome: after[outcome] - before.get(outcome, 0) for outcome in after}
    loaded.valid, loaded.quarantined = new.get("trade", 0), new.get("quarantined", 0)
    loaded.ignored, loaded.events = new.get("ignored", 0), new.get("event", 0)
    loaded.redelivered = loaded.records - sum(new.values())
