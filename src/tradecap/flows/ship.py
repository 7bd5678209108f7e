"""Copy a log in a folder into another log, unchanged.

Rules: records keep their identities, so one that is copied twice is the same record. A batch is acknowledged by the
other log before the next one is sent and before its position is noted, so a crash repeats records, loses none, and the
order of a symbol stays. The next batch is read meanwhile: after an outage the time until it is caught up depends on
that. While the other log can't be reached, or refuses, the same batch is sent again, ever more rarely. What isn't a
record is damage: named, not copied.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tradecap.digits import number
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.status import NewsItem
from tradecap.flows.records import read_record
from tradecap.log.api import Carrier, Damage, DamageKind, Log, Record
from tradecap.log.folder.spool import Spool, Target
from tradecap.market.batch import Batch, Lines, Positions, position_text
from tradecap.market.pacing import Lateness
from tradecap.market.records import Envelope, Trade, read_envelope, shortened

FIRST_REST_S: Final = 0.25
LONGEST_REST_S: Final = 5.0
LOOK_S: Final = 0.05
NOTE_S: Final = 0.5
"""How often the position is noted: each time costs a sync of the disk, and a crash in between only repeats records."""
SLOW_S: Final = 3.0
"""A log that hasn't acknowledged a batch for this long counts as one that doesn't answer."""


class FinalError(TradecapError):
    """Trying again won't help."""


@dataclass(kw_only=True)
class Shipped:
    """What was copied so far; read by other threads while it goes on.

    records were acknowledged, `shortened` of them cut because the other log doesn't take them whole. waits_s is since
    when (monotonic) the batch in hand waits for its acknowledgement, acknowledged_s when the last one came; oldest_ns
    is the recv of the first record of that batch, trouble why it was refused last. latency is from the socket to the
    acknowledgement, of the first record of each batch.
    """

    target: Target
    records: int = 0
    shortened: int = 0
    retries: int = 0
    at: Positions = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)
    news: deque[NewsItem] = field(default_factory=lambda: deque(maxlen=1000))
    waits_s: float | None = None
    acknowledged_s: float = 0.0
    oldest_ns: int | None = None
    trouble: str = ""
    latency: Lateness = field(default_factory=Lateness)

    @property
    def position(self) -> str:
        """How far it got, for people and for JSON."""
        return position_text(self.at)

    def is_up(self, now_s: float) -> bool:
        """Whether the other log answers, as far as can be seen."""
        return not self.trouble and (self.waits_s is None or now_s - self.waits_s < SLOW_S)

    def age_s(self, now_ns: int) -> float:
        """How old the oldest record is that waits for its acknowledgement, by its recv; 0 when none does."""
        return 0.0 if self.oldest_ns is None else max(0.0, (now_ns - self.oldest_ns) / 1e9)


def ship(
    spool: Spool,
    opened: Callable[[], Log],
    done: Shipped,
    *,
    follow: Callable[[], bool] | None,
    is_wanted: Callable[[], bool],
    progress: Callable[[int], None],
    is_trimmed: bool = False,
) -> bool:
    """Copy the log of `spool` to done.target, from where that stopped to the end; with follow, go on. False when
    is_wanted() ended it before.

    opened opens the other log, again after each failure. is_trimmed: what is acknowledged is removed, which only
    whoever holds the lock may do. Raises TradecapError where the log can't be read, the other one is another now, or a
    record can't be copied at all.
    """
    with spool.shipping():
        return _Shipment(spool, opened, done, follow, is_wanted, progress, is_trimmed).run()


@dataclass
class _Sent:
    """A batch on its way, as the other log takes it. oldest_ns: recv of its first record that has one; is_sent: to the
    log that is connected now."""

    batch: Batch
    records: list[Record]
    oldest_ns: int | None
    is_sent: bool = False


class _Shipment:
    def __init__(
        self,
        spool: Spool,
        opened: Callable[[], Log],
        done: Shipped,
        follow: Callable[[], bool] | None,
        is_wanted: Callable[[], bool],
        progress: Callable[[int], None],
        is_trimmed: bool,
    ) -> None:
        self._spool, self._opened, self._done, self._follow = spool, opened, done, follow
        self._is_wanted, self._progress, self._is_trimmed = is_wanted, progress, is_trimmed
        self._carrier: Carrier | None = None
        self._sent: _Sent | None = None
        self._looks = 0
        self._batch: Batch | None = None
        self._noted_s = time.monotonic()
        self._segment = self._unkept = ""
        self._rest_s = FIRST_REST_S

    def run(self) -> bool:
        log, done = self._spool.log, self._done
        done.at = self._spool.position(done.target.id)
        try:
            self._trim()
            for batch in log.read(done.at, follow=self._is_followed if self._follow else None, on_damage=self._damaged):
                if not self._deliver(batch):
                    return False
            return self._settled()
        finally:
            self._note(at_once=True)
            self._hang_up()

    def _is_followed(self) -> bool:
        """Asked before the log is looked at again: then the batch that was sent is settled, unless the log has more to
        read meanwhile."""
        self._looks += 1
        is_settled = self._settled() if self._sent and (self._sent.batch.is_newest or self._looks > 1) else True
        self._note()
        return is_settled and self._follow is not None and self._follow() and self._is_wanted()

    # ---- the other log

    def _deliver(self, batch: Batch) -> bool:
        """Send a batch, after the one before it was acknowledged; False when nobody wants it any more."""
        if self._done.waits_s is None:
            self._done.waits_s = time.monotonic()
        prepared: list[_Sent] = []
        if not (self._tried(lambda: prepared.append(self._prepared(batch))) and self._settled()):
            return False
        self._sent, self._looks = prepared[0], 0
        self._done.waits_s = time.monotonic()
        self._done.oldest_ns = self._sent.oldest_ns
        if self._carrier:
            try:
                self._sent.is_sent = self._carrier.send(self._sent.records, self._is_wanted)
            except TradecapError as error:
                self._failed(error)
        return True

    def _settled(self) -> bool:
        """Whether all that was sent is acknowledged; it is sent again until it is, or nobody wants it any more."""
        return self._sent is None or (self._tried(self._settle) and self._sent is None)

    def _settle(self) -> None:
        assert self._sent
        carrier, sent = self._carrier or self._connect(), self._sent
        retries = carrier.retries
        sent.is_sent = sent.is_sent or carrier.send(sent.records, self._is_wanted)
        is_settled = sent.is_sent and carrier.settle(self._is_wanted)
        self._done.retries += carrier.retries - retries
        if is_settled:
            self._sent = None
            self._acknowledged(sent.batch, len(sent.records))

    def _tried(self, what: Callable[[], None]) -> bool:
        """Do it, again after each failure; False when nobody wants it any more."""
        while self._is_wanted():
            try:
                what()
            except FinalError:
                raise
            except TradecapError as error:
                self._failed(error)
            else:
                return True
        return False

    def _connect(self) -> Carrier:
        target, wanted = self._opened(), self._done.target
        if target.id != wanted.id:
            raise FinalError(
                f"{target.url} is another log now ({target.id}, was {wanted.id}): was the topic made again?",
                f"what isn't copied is safe in {self._spool.log.path}: 'tradecap ship' copies all of it into a "
                "topic that you choose.",
                Exit.UNDELIVERED,
            )
        self._carrier = target.carrier()
        return self._carrier

    def _failed(self, error: TradecapError) -> None:
        """Report each reason once, then rest."""
        self._hang_up()
        done = self._done
        done.retries += 1
        if error.message != done.trouble:
            text = f"not shipped for now, trying again: {error.message}"
            done.news.append(NewsItem("warning", text, {"hint": error.hint, "target": done.target.url}))
        done.trouble = error.message
        until_s = time.monotonic() + self._rest_s
        self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)
        while self._is_wanted() and time.monotonic() < until_s:
            time.sleep(LOOK_S)

    def _hang_up(self) -> None:
        if self._sent:
            self._sent.is_sent = False
        if self._carrier:
            carrier, self._carrier = self._carrier, None
            carrier.__exit__()

    # ---- what is copied

    def _prepared(self, batch: Batch) -> "_Sent":
        """The records of a batch as the other log takes them; what isn't one is damage."""
        carrier = self._carrier or self._connect()
        assert isinstance(batch.content, Lines)
        found: list[Record] = []
        byte = int(batch.end.at.partition(":")[2]) - len(batch.content.text)
        oldest_ns: int | None = None
        longest, needs_trades = carrier.longest, carrier.needs_trades
        for line in batch.content.text.removesuffix(b"\n").split(b"\n"):
            envelope, trade = self._with_trade(line) if needs_trades else (read_envelope(line), None)
            if envelope is None:
                self._no_record(batch, byte)
            else:
                oldest_ns = oldest_ns or envelope.recv
                record = Record(line + b"\n", envelope, trade)
                found.append(record if len(line) < longest else self._cut(record, longest))
            byte += len(line) + 1
        return _Sent(batch, found, oldest_ns)

    def _with_trade(self, line: bytes) -> tuple[Envelope | None, Trade | None]:
        """A line and the trade in it. A line that holds one is a record: it needn't be taken apart once more."""
        envelope, reading = read_record(line, self._spool.log.id)
        return (envelope, reading) if type(reading) is Trade else (read_envelope(line), None)

    def _cut(self, record: Record, longest: int) -> Record:
        if len(record.line) <= longest:
            return record
        envelope = record.envelope
        place = (
            f"record {envelope.seq} of run {envelope.run} has {number(len(record.line))} bytes, "
            f"{self._done.target.url} takes {number(longest)}"
        )
        line = shortened(envelope, longest)
        if not line:
            raise FinalError(
                f"A record is too long: {place}.",
                "let the topic take longer ones (max.message.bytes).",
                Exit.UNDELIVERED,
            )
        self._done.shortened += 1
        self._done.news.append(
            NewsItem(
                "warning", f"{place}: the beginning of its payload is shipped, with size and SHA-256 of the whole", {}
            )
        )
        return Record(line, envelope, None)

    def _no_record(self, batch: Batch, byte: int) -> None:
        segment = batch.end.at.partition(":")[0]
        place = f"{segment}.ndjson:byte {byte}"
        self._damaged(
            Damage(
                DamageKind.BROKEN_PART,
                place,
                f"The line at byte {byte} of segment {segment} isn't a record, and isn't copied",
            )
        )

    def _damaged(self, damage: Damage) -> None:
        if damage not in self._done.damage:
            self._done.damage.append(damage)
            self._done.news.append(NewsItem("warning", f"{damage.detail}.", damage._asdict()))
            number = damage.place[:6]
            if number.isdecimal():
                self._keep_progress(lambda: self._spool.keep(int(number)))

    # ---- how far it is

    def _acknowledged(self, batch: Batch, records: int) -> None:
        done = self._done
        if done.trouble:
            done.news.append(NewsItem("info", f"{done.target.url} takes records again", {}))
        done.trouble, done.waits_s, done.acknowledged_s = "", None, time.monotonic()
        if done.oldest_ns is not None:
            done.latency.add(time.time_ns() - done.oldest_ns)
        done.oldest_ns = None if batch.is_newest else done.oldest_ns  # about as old as what comes next
        self._rest_s = FIRST_REST_S
        done.at = {0: batch.end.at}
        done.records += records
        self._batch = batch
        self._progress(batch.records)
        if batch.end.at.partition(":")[0] != self._segment:
            self._segment = batch.end.at.partition(":")[0]
            self._note(at_once=True)
            self._trim()
        self._note()

    def _note(self, *, at_once: bool = False) -> None:
        batch = self._batch
        if batch and (at_once or time.monotonic() - self._noted_s >= NOTE_S):
            self._noted_s = time.monotonic()
            if self._keep_progress(lambda: self._spool.note(self._done.target.id, batch.end)):
                self._batch = None

    def _trim(self) -> None:
        if self._is_trimmed:
            self._keep_progress(lambda: self._spool.trim(read_record))

    def _keep_progress(self, keep: Callable[[], object]) -> bool:
        """Write down how far it is; False if that failed. A full disk is reported once. It doesn't stop the copy: the
        next note makes up for it."""
        try:
            keep()
        except TradecapError as error:
            if error.message != self._unkept:
                self._done.news.append(NewsItem("warning", error.message, {"hint": error.hint}))
            self._unkept = error.message
            return False
        self._unkept = ""
        return True
