"""The cut: what of a log that is still written, loaded and shortened the proof is about.

Rules: the log is cut once, at the start. Records of one run in one partition are in the order of seq, so the cut is,
for each run and partition, a range of seq: rows of the store above it came later, rows below it are of records that
retention has removed. The ends of several partitions aren't taken at one moment: a record that is missing below the
last one of its run is looked for behind the cut and taken into it. What is behind the cut is read once, and only when
somebody has to know it.
"""

import time
from collections.abc import Collection, Iterator
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.records import Line, raw_records, read_record, records_of, unwatched
from tradecap.flows.verify.tallying import before
from tradecap.log.api import Damage, DamageKind, Log, Snapshot
from tradecap.market.batch import Batch, Positions, position_text
from tradecap.market.foreign_records import orphan_record
from tradecap.market.records import read_envelope
from tradecap.market.seqs import Seqs
from tradecap.proof import checks
from tradecap.proof.tally import BLOCK_BITS, RunTally, SeqBlock, Tally
from tradecap.store.api import BlockKey, CutRange, Store

LOOK_AGAIN_S: Final = 0.3
"""Time between two looks at what differs."""
IN_FLIGHT_S: Final = 2.0
"""How long a run that has its end may lack a record: its producer sends to several partitions at a time."""
NOWHERE: Final = 2**63
LOOKED_INTO: Final = 16
"""Blocks (of 65 536 records) that are looked into record by record at a time."""


class LookingAgain:
    """How long to go on looking at what differs. The time runs from the first look that found something."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until_s: float | None = None

    def again(self) -> bool:
        """Wait a moment; False where the time is over."""
        now_s = time.monotonic()
        self._until_s = now_s + self.seconds if self._until_s is None else self._until_s
        if now_s >= self._until_s:
            return False
        time.sleep(min(LOOK_AGAIN_S, self._until_s - now_s))
        return True


class Cut:
    """A log at the start of `verify`, counted; and what has been written since, as far as it has been looked at.

    open_runs: the runs that were being written. damage grows with what is found on the way.
    """

    def __init__(
        self, log: Log, snapshot: Snapshot, tally: Tally, open_runs: Collection[str], damage: list[Damage]
    ) -> None:
        self.log, self.snapshot, self.tally, self.open_runs, self.damage = log, snapshot, tally, open_runs, damage
        self.losses: dict[str, str] = {}
        """By place, what retention removed before it was loaded."""
        self.unended = "torn" if log.has_one_writer else "silent"
        self._last = {name: max(run.last_seq, tally.recovered.get(name, -1)) for name, run in tally.runs.items()}
        self._at = tally.read_to
        self._taken: set[tuple[str, int]] = set()
        self.later: dict[tuple[str, int], list[int]] = {}
        """By run and partition, the lowest and the highest seq behind the cut."""

    # ---- the log's side ----------------------------------------------------------------------------------------------

    def complete(self, patience: LookingAgain) -> None:
        """Take in the records that are missing below the last one of their run, and lie behind the cut."""
        began_s = time.monotonic()
        while checks.holes(self.tally):
            self.look_behind()
            missing = {
                run
                for run, ranges in checks.holes(self.tally).items()
                if ranges[-1][1] >= self.reach(self.tally.runs[run])
            }
            if self.log.has_one_writer or not missing:
                return
            is_in_flight = missing & set(self.open_runs) or time.monotonic() - began_s < IN_FLIGHT_S
            if not is_in_flight or not patience.again():
                return

    def reach(self, run: RunTally) -> int:
        """The seq below which retention may have removed records of a run."""
        return max(
            (run.parts[part][0] if part in run.parts else run.last_seq + 1 for part in self.snapshot.shortened),
            default=0,
        )

    def look_behind(self) -> None:
        """Read what has been written since the cut, or since the last look."""
        for batch in self.log.snapshot().read(self._at, on_damage=unwatched):
            self._note(batch)
            self._at[batch.end.partition] = batch.end.at

    def _note(self, batch: Batch) -> None:
        part = batch.end.partition
        self.tally.begin(part)
        for raw, offset in raw_records(batch, self.log.id):
            envelope = read_envelope(raw) or orphan_record(raw, self.log.id, part, offset)
            if self._is_missing(envelope.run, part, envelope.seq):
                self.tally.add(*read_record(raw, self.log.id, part, offset), raw)
                self._taken.add((envelope.run, envelope.seq))
            elif (envelope.run, envelope.seq) not in self._taken:
                span = self.later.setdefault((envelope.run, part), [envelope.seq, envelope.seq])
                span[0], span[1] = min(span[0], envelope.seq), max(span[1], envelope.seq)

    def _is_missing(self, run: str, part: int, seq: int) -> bool:
        """Whether a record behind the cut is one that the cut lacks."""
        known = self.tally.runs.get(run)
        if known is None or seq >= self._last.get(run, -1) or seq in known.seqs or not checks.is_numbered(run):
            return False
        return part not in self.snapshot.shortened or (part in known.parts and seq > known.parts[part][0])

    def lines_of(self, keys: Collection[BlockKey]) -> Iterator[Line]:
        """The records of some blocks of the cut, read once more: of the log no more than what lies from their first one
        to their last one."""
        blocks = [self.tally.runs[key.run].blocks[key.block] for key in keys]
        wanted, left = set(keys), sum(block.records for block in blocks)
        for batch in self.snapshot.read(self.before(blocks), on_damage=unwatched):
            found = [
                line for line in records_of(batch, self.log.id) if (line[0].run, line[0].seq >> BLOCK_BITS) in wanted
            ]
            yield from found
            left -= len(found)
            if left <= 0 and not self.tally.repeats:  # a record that is there twice would be counted twice
                return
        if not self._taken:
            return
        for batch in self.log.snapshot().read(self.tally.read_to, on_damage=unwatched):
            for line in records_of(batch, self.log.id):
                if (line[0].run, line[0].seq) in self._taken and (line[0].run, line[0].seq >> BLOCK_BITS) in wanted:
                    yield line

    def before(self, blocks: Collection[SeqBlock]) -> Positions:
        """Where reading has to begin to see all of these blocks; the end for a partition that holds nothing of them."""
        return before(self.tally.ends, blocks)

    def holes(self) -> dict[str, list[tuple[int, int]]]:
        """The records that the cut lacks, and that retention can't have removed."""
        found = {}
        for name, ranges in checks.holes(self.tally).items():
            reach = self.reach(self.tally.runs[name])
            if above := [(max(first, reach), last) for first, last in ranges if last >= reach]:
                found[name] = above
        return found

    # ---- the store's side --------------------------------------------------------------------------------------------

    def ranges(self) -> list[CutRange]:
        """The ranges of the runs of which the store may hold more than the cut."""
        found = []
        for run in self.tally.runs.values():
            if not self._may_differ(run):
                continue
            for part, (low, high) in run.parts.items():
                found.append(CutRange(run.run, part, low if part in self.snapshot.shortened else 0, high))
            for part in self.snapshot.shortened - run.parts.keys():
                low = self.later[run.run, part][0] if (run.run, part) in self.later else NOWHERE
                found.append(CutRange(run.run, part, low, -1))
        return found

    def is_within(self, run: str, part: int, seq: int) -> bool:
        """Whether a row of the ledger is one that the cut would have to hold."""
        known = self.tally.runs.get(run)
        if known is None or not self._may_differ(known):
            return True
        if part not in known.parts:
            return False
        low, high = known.parts[part]
        return (part not in self.snapshot.shortened or seq >= low) and seq <= high

    def _may_differ(self, run: RunTally) -> bool:
        """Lines without an envelope are numbered by their hashes in a folder."""
        if self.log.has_one_writer and not checks.is_numbered(run.run):
            return False
        is_growing = checks.run_state(self.tally, run, self.open_runs, self.unended) != "ended"
        return is_growing or bool(self.snapshot.shortened and run.seqs.gaps_within(0, run.last_seq))

    def mark_pending(self, store: Store) -> bool:
        """Note which records lie behind the position of the feed; whether there are any. A position that the log no
        longer has is damage."""
        for known in self.tally.runs.values():
            known.pending = Seqs()
        positions = store.positions(self.log.id)
        is_pending = False
        self.losses = store.losses(self.log.id)
        try:
            for batch in (self.log.snapshot() if self._taken else self.snapshot).read(
                positions, on_damage=self._note_lost
            ):
                for raw, offset in raw_records(batch, self.log.id):
                    envelope = read_envelope(raw) or orphan_record(raw, self.log.id, batch.end.partition, offset)
                    run = self.tally.runs.get(envelope.run)
                    if run and envelope.seq in run.seqs:
                        run.pending.add(envelope.seq)
                        is_pending = True
        except TradecapError as error:
            self._add_damage(
                Damage(DamageKind.LOST_POSITION, position_text(positions), error.message.removesuffix("."))
            )
        return is_pending

    def has_passed(self, mark: Snapshot, store: Store) -> bool:
        """Whether the feed has loaded everything that was in the log at a moment."""
        try:
            return not any(batch.records for batch in mark.read(store.positions(self.log.id), on_damage=unwatched))
        except TradecapError:
            return True  # a position that the log no longer has: mark_pending has reported it

    def _note_lost(self, damage: Damage) -> None:
        """All other damage was found by the pass that counted the log."""
        if damage.kind is DamageKind.EXPIRED:
            self.losses[damage.place] = damage.detail

    def _add_damage(self, damage: Damage) -> None:
        if damage not in self.damage:
            self.damage.append(damage)
