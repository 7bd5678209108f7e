"""Pour the log into the store.

The order of the lines is the guarantee: rows first, then the position, so a crash repeats records and never loses one; what is repeated is the
same row again. The position only moves when the store took as many records as were read. Who follows a log pours what
comes in about once a second, and makes candles anew as often as a tenth of his time allows.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.log import Batch, Damage, Log
from tradecap.log.inflate import BrokenError, pieces_of, unzstd
from tradecap.store import Store

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


class _UnsoundError(Exception):
    """A whole segment isn't what its writer left."""


def load(log: Log, store: Store, *, follow: Callable[[], bool] | None = None, stop: Callable[[], bool], progress: Callable[[int], None]) -> Loaded:
    """Pour the log into the store from where the store stands until the log's end, or until stop(); with follow, go on until it says False.

    From a damaged segment on the log reads its lines itself, as far as they go, and tells of the damage.
    """
    started = time.monotonic()
    before = _counts(store)
    loaded = Loaded(position=store.position(log.id))

    def note(damage: Damage) -> None:
        if damage not in loaded.damage:
            loaded.damage.append(damage)

    sweeps = _Sweeps(store, loaded)

    def followed() -> bool:
        sweeps.if_due()
        return follow is not None and follow()

    def pour(*, whole_files: bool) -> None:
        batches = log.read(loaded.position, follow=followed if follow else None, on_damage=note, whole_files=whole_files)
        for batch in _poured(batches, log.id, store, loaded, stop, progress):
            sweeps.is_wanted = True
            if follow and batch.is_newest:
                _rest(lambda: followed() and not stop())

    try:
        pour(whole_files=store.reads_files)
    except _UnsoundError:
        pour(whole_files=False)
    loaded.candles += store.sweep_candles()
    _count(loaded, before, _counts(store))
    loaded.seconds = time.monotonic() - started
    return loaded


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


def _poured(
    batches: Iterable[Batch], log_id: str, store: Store, loaded: Loaded, stop: Callable[[], bool], progress: Callable[[int], None]
) -> Iterator[Batch]:
    """The batches, each when it is in the store."""
    for batch in batches:
        if batch.file is not None and not _is_sound(batch.file, batch.records):
            raise _UnsoundError
        taken = store.pour(log_id, batch.lines, batch.file)
        if taken != batch.records:
            raise _unequal(store.url, taken, batch)
        store.commit(log_id, batch.end)
        loaded.position = batch.end
        loaded.records += batch.records
        progress(batch.records)
        if stop():
            return
        yield batch


def _unequal(store: str, taken: int, batch: Batch) -> TradecapError:
    return TradecapError(
        f"Store {store} took {taken:,} records where {batch.records:,} were read from the log, up to {batch.end}; its position was not moved.",
        "nothing is lost, the log has them all: run 'tradecap load' again. If it says the same, report it.",
        Exit.UNDELIVERED,
    )


def _rest(is_wanted: Callable[[], bool]) -> None:
    """Let more come together: at a live log's end every pour costs the same, however little it brings."""
    until_s = time.monotonic() + FOLLOW_S
    while is_wanted() and (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, LOOK_S))


def _is_sound(file: Path, records: int) -> bool:
    """Whether a whole segment decompresses, checksum and all, to so many lines. The store itself takes a cut one for a short one."""
    try:
        with file.open("rb") as packed:
            return sum(piece.count(b"\n") for piece in unzstd(pieces_of(packed))) == records
    except BrokenError:
        return False


def _counts(store: Store) -> dict[str, int]:
    return {str(row["outcome"]): int(str(row["records"])) for row in store.ask("outcomes")}


def _count(loaded: Loaded, before: dict[str, int], after: dict[str, int]) -> None:
    new = {outcome: after[outcome] - before.get(outcome, 0) for outcome in after}
    loaded.valid, loaded.quarantined = new.get("trade", 0), new.get("quarantined", 0)
    loaded.ignored, loaded.events = new.get("ignored", 0), new.get("event", 0)
    loaded.redelivered = loaded.records - sum(new.values())
