"""Load the log into the store.

The order of the lines is the guarantee: rows first, then the position, so a crash repeats records and never loses one;
what is repeated is the same row again. The position only moves when the store took as many records as were read. A load
that follows a log inserts what comes in about once a second, and builds candles as often as a tenth of its time allows.
A store that is away is waited for.

Candles are looked for in the hours that were loaded. These are kept with the position until they have been swept, so a
load goes on with those of one that was killed. Which hours they are is a hint, and fingerprints decide which candles
are built: a load that finds nothing to do looks at all hours, and so does a follower, once an hour.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.flows.patience import LOOK_S, Patience
from tradecap.flows.records import spans_of, unwatched
from tradecap.log.api import Damage, DamageKind, Log
from tradecap.market.batch import Batch, Positions, SegmentFiles, position_text
from tradecap.proof.checks import joined_fixes
from tradecap.store.api import SeqRange, Store

FOLLOW_S: Final = 0.7
"""Time between two looks at the log's end. With the load itself added, a record is in the store about a second after it
was durable."""
READ_BY_ITSELF: Final = "wait for it: tradecap load --feed kafka; or load it from here: tradecap init-db --feed loader"
SWEEP_REST: Final = 9.0
"""While a log is followed, each sweep is followed by a rest this many times as long as it took."""
ALL_HOURS_S: Final = 3600.0
"""From one look at all hours to the next."""
FRESH_S: Final = 5.0
"""How old the positions that a monitoring system sees may be: other processes may load the same log."""


@dataclass(kw_only=True)
class Loaded:
    """What a load did, this process alone.

    records counts lines loaded; valid, quarantined, ignored and events those that the store had not seen; the rest were
    redelivered.
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


class LoadStatus:
    """What others may see of a load while it runs. positions: how far the store is in the log, whoever loads; None
    before the store was asked."""

    def __init__(self) -> None:
        self.records = 0
        self.positions: Positions | None = None
        self.patience: Patience | None = None

    @property
    def away(self) -> str:
        """What is wrong with a store that is waited for; '' where nothing is."""
        return self.patience.away if self.patience else ""


def load(
    log: Log,
    store: Store,
    *,
    follow: Callable[[], bool] | None = None,
    stop: Callable[[], bool],
    progress: Callable[[int], None],
    say: Callable[[str], None] = unwatched,
    status: LoadStatus | None = None,
) -> Loaded:
    """Load the log into the store from the store's position until the log's end, or until stop(); with follow, go on
    until it says False.

    Damage in the log is noted, and passed by; what retention removed before it was loaded is noted in the store, before
    anything behind it. Raises StoreAwayError where the store is away for longer than a load with an end waits.
    """
    return _Load(log, store, follow, stop, say, status or LoadStatus()).run(progress)


class _Load:
    """One load."""

    def __init__(
        self,
        log: Log,
        store: Store,
        follow: Callable[[], bool] | None,
        stop: Callable[[], bool],
        say: Callable[[str], None],
        status: LoadStatus,
    ) -> None:
        self._log, self._store, self._follow, self._stop = log, store, follow, stop
        self._status = status
        self._ask = status.patience = Patience(lambda: follow is not None and follow(), stop, say)
        self._loaded = Loaded()
        self._sweeps = Sweeps(self._sweep)
        self._hours: set[int] = set()
        """Where candles may have changed since the last sweep (hours since 1970)."""
        self._is_noted = False
        """Whether the store holds such hours of this log."""
        self._all_hours_s = time.monotonic()
        self._asked_s = 0.0
        self._positions: dict[int, str] = {}

    def run(self, progress: Callable[[int], None]) -> Loaded:
        """Do it."""
        started_s = time.monotonic()
        loaded, store, log = self._loaded, self._store, self._log
        counts = _CountsOfBatches(store) if store.is_shared else _CountsOfStore(store)
        self._ask(lambda: refuse_topic_reader(log.id, store, READ_BY_ITSELF))
        self._ask(lambda: refuse_altered(store))
        self._ask(counts.begin)
        self._positions = dict(self._where_the_store_is())
        self._hours = set(self._ask(lambda: store.touched(log.id)))
        self._is_noted = self._sweeps.is_wanted = bool(self._hours)
        progress(0)  # where it begins is known
        batches = log.feed(
            self._ask(lambda: store.store_id),
            self._where_the_store_is,
            follow=self._is_followed if self._follow else None,
            on_damage=self._note,
            segment_files=store.segment_files,
        )
        for batch in batches:
            self._take(batch, counts)
            progress(batch.records)
            if self._stop():
                break
            if self._follow and batch.is_newest:
                _rest(lambda: self._is_followed() and not self._stop())
        loaded.position = position_text(self._positions)
        self._sweep_last()
        self._ask(lambda: counts.end(loaded))
        loaded.seconds = time.monotonic() - started_s
        return loaded

    def _take(self, batch: Batch, counts: "_CountsOfBatches | _CountsOfStore") -> None:
        """Rows first, then the position."""
        spans = spans_of(batch, self._log.id) if not isinstance(batch.content, SegmentFiles) else []
        self._ask(lambda: counts.before(batch, spans))
        counts.after(self._ask(lambda: self._store.add(self._log.id, batch)))
        self._hours |= self._store.newest_hours
        self._ask(lambda: self._store.commit(self._log.id, batch.end, self._hours))
        self._is_noted = self._is_noted or bool(self._hours)
        self._positions[batch.end.partition] = batch.end.at
        self._loaded.records += batch.records
        self._status.records += batch.records
        self._status.positions = {**(self._status.positions or {}), batch.end.partition: batch.end.at}
        self._sweeps.is_wanted = True

    def _is_followed(self) -> bool:
        self._sweeps.if_due()
        if time.monotonic() - self._asked_s > FRESH_S:
            self._where_the_store_is()
        return self._follow is not None and self._follow()

    def _where_the_store_is(self) -> Positions:
        found: Positions = self._ask(lambda: self._store.positions(self._log.id))
        self._status.positions = found
        self._asked_s = time.monotonic()
        return found

    def _sweep(self) -> None:
        is_all = time.monotonic() - self._all_hours_s >= ALL_HOURS_S
        if is_all:
            self._all_hours_s = time.monotonic()
        self._loaded.candles += self._ask(lambda: self._store.sweep_candles(None if is_all else self._hours))
        self._hours = set()  # the store's note of them goes with the next position

    def _sweep_last(self) -> None:
        """What this process and killed ones have left; all hours where nothing was loaded: then `verify` may have sent
        us."""
        if self._is_noted:
            self._hours |= self._ask(lambda: self._store.touched(self._log.id))
        is_idle = not (self._loaded.records or self._hours)
        self._loaded.candles += self._ask(lambda: self._store.sweep_candles(None if is_idle else self._hours))
        if self._is_noted:
            self._ask(lambda: self._store.forget_touched(self._log.id, self._hours))

    def _note(self, damage: Damage) -> None:
        if damage not in self._loaded.damage:
            self._loaded.damage.append(damage)
        if damage.kind is DamageKind.EXPIRED:
            self._ask(lambda: self._store.record_loss(self._log.id, damage.place, damage.detail))


def refuse_topic_reader(log_id: str, store: Store, hint: str) -> None:
    """Raises TradecapError where the store reads the log by itself: two feeds at once would do everything twice."""
    if store.topics and (feed := store.topics.feed(log_id)):
        raise TradecapError(f"Store {store.url} reads topic {feed.topic} by itself.", hint)


def refuse_altered(store: Store) -> None:
    """Raises TradecapError (exit 3) where views or tables of the store aren't the package's: what is loaded through
    them could be lost or spoilt."""
    if found := store.schema_differences():
        message = f"Store {store.url} isn't as this tradecap makes it: {', '.join(each.text for each in found)}."
        raise TradecapError(message, joined_fixes([each.fix for each in found]), Exit.UNREACHABLE)


class Sweeps:
    """Makes candles while a log is followed: soon, but seldom where it takes long."""

    def __init__(self, sweep: Callable[[], None]) -> None:
        self.is_wanted = False
        self._sweep = sweep
        self._due_s = 0.0

    def if_due(self) -> None:
        """Make them, when rows came since, and the last sweep is long enough ago."""
        began_s = time.monotonic()
        if self.is_wanted and began_s >= self._due_s:
            self._sweep()
            self.is_wanted = False
            ended_s = time.monotonic()
            self._due_s = ended_s + SWEEP_REST * (ended_s - began_s)


def _rest(is_wanted: Callable[[], bool]) -> None:
    """Let more come together: at a live log's end every load costs the same, however few records it adds."""
    until_s = time.monotonic() + FOLLOW_S
    while is_wanted() and (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, LOOK_S))


# ---- counts: what this process has loaded ----------------------------------------------------------------------------


class _CountsOfStore:
    """Counts for a store that only this process fills: what it holds after the load, less what it held before."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before: dict[str, int] = {}

    def begin(self) -> None:
        self._before = self._store.outcomes()

    def before(self, batch: Batch, spans: list[SeqRange]) -> None:
        """Nothing to look at."""

    def after(self, outcomes: Mapping[str, int]) -> None:
        """Nothing to note."""

    def end(self, loaded: Loaded) -> None:
        fill(loaded, Counter(self._store.outcomes()) - Counter(self._before))


class _CountsOfBatches:
    """Counts for a store that other processes fill too: each batch, less those of its records that the store already
    held."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._new: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    def begin(self) -> None:
        """Nothing to look at."""

    def before(self, batch: Batch, spans: list[SeqRange]) -> None:
        self._held = Counter()
        for span in spans:
            self._held.update(self._store.held(batch.end.partition, span))

    def after(self, outcomes: Mapping[str, int]) -> None:
        self._new += Counter(outcomes) - self._held

    def end(self, loaded: Loaded) -> None:
        fill(loaded, self._new)


def fill(loaded: Loaded, new: Mapping[str, int]) -> None:
    """Note what became of the records that are new in the store."""
    loaded.valid, loaded.quarantined = new.get("trade", 0), new.get("quarantined", 0)
    loaded.ignored, loaded.events = new.get("ignored", 0), new.get("event", 0)
    loaded.redelivered = loaded.records - sum(new.values())
