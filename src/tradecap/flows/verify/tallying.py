"""Counts a log on all cores: the log's side of `verify`, in one pass.

Rules: this process reads the log and judges its files; the others (workers.py, handed in) take whole batches, one at a
time, and give back what they counted, which is merged in the order of the log. So the outcome is that of counting alone
(`Tally.merge` holds a test to that), and one batch a process is in memory. A short log is counted here, before another
process would be up. If a worker dies, its batch is counted in this process.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from types import TracebackType
from typing import Final, Protocol, Self

from tradecap.flows.records import records_of, unwatched
from tradecap.flows.verify.counting import Counter
from tradecap.log.api import Damage, Snapshot
from tradecap.market.batch import BEGINNING, Portion, Position, Positions
from tradecap.market.records import Envelope
from tradecap.proof.tally import BLOCK_BITS, SeqBlock, Tally

ALONE: Final = 4
"""Batches (of 8 MiB) that are counted before others are asked to help: half a second's work."""


class Worker(Protocol):
    """Another process that counts. portion: what it was sent last."""

    portion: Portion | None

    def send(self, portion: Portion) -> bool:
        """Have a portion counted; False where the process is gone."""

    def counted(self) -> Tally | None:
        """What it counted of the portion that was sent; None where it died over it."""

    def close(self) -> None:
        """Let it end."""


Hire = Callable[[str], Worker | None]
"""Begins another process for a log's id; None where there is no room for one."""


def nobody(_: str) -> None:
    """No other process: this one counts alone."""


def tally_log(
    log: Snapshot,
    on_damage: Callable[[Damage], None],
    progress: Callable[[int], None],
    *,
    hire: Hire = nobody,
    alone: int = ALONE,
    base: Tally | None = None,
) -> Tally:
    """One pass over the log; a second one only for records that appear twice.

    base: what was counted of the log at an earlier time. It is continued, and the log is read from its ends on.
    """
    tally = Tally() if base is None else base
    counted_to = dict(tally.ends)
    counter = Counter(log.id)
    with _Team(tally, counter, log.id, hire) as team:
        batches = log.read(on_damage=on_damage) if base is None else log.read_on(tally.read_to, on_damage=on_damage)
        for number, batch in enumerate(batches):
            portion = Portion(batch, tally.ends.get(batch.end.partition))
            if number < alone:
                counter.count(tally, portion)
            else:
                team.count(portion)
            tally.ends[batch.end.partition] = batch.end
            progress(batch.records)
    if tally.repeated:
        # the first copy of a record that was counted earlier is in its block
        blocks = [tally.runs[run].blocks[seq >> BLOCK_BITS] for run, seq in tally.repeated]
        for envelope, line in _again(log, BEGINNING if base is None else before(counted_to, blocks)):
            if (envelope.run, envelope.seq) in tally.repeated:
                tally.note_repeat(envelope, line)
    return tally


def _again(log: Snapshot, after: Positions) -> Iterator[tuple[Envelope, bytes]]:
    """The records after a position, once more."""
    for batch in log.read(after, on_damage=unwatched):
        for envelope, _, line in records_of(batch, log.id):
            yield envelope, line


def before(ends: Mapping[int, Position], blocks: Collection[SeqBlock]) -> Positions:
    """Where reading has to begin to see all of these blocks: at the end of a partition that holds nothing of them."""
    after = {}
    for part, end in ends.items():
        begins = [block.since[part] for block in blocks if part in block.since]
        if None not in begins:
            after[part] = min([end, *(each for each in begins if each)], key=lambda each: each.order).at
    return after


class _Team:
    """Processes that count for a tally, begun when there is something to do. Leaving the context takes in what they
    have left."""

    def __init__(self, tally: Tally, counter: Counter, log_id: str, hire: Hire) -> None:
        self._tally, self._counter, self._log_id, self._hire = tally, counter, log_id, hire
        self._is_full = False
        self._idle: list[Worker] = []
        self._busy: deque[Worker] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._busy and kind is None:
                self._take_in()
        finally:
            for worker in (*self._idle, *self._busy):
                worker.close()

    def count(self, portion: Portion) -> None:
        """Have a portion counted, by whoever is free."""
        if not self._idle and not self._is_full:
            self._begin()
        while self._busy and not self._idle:
            self._take_in()
        if not self._idle:
            self._counter.count(self._tally, portion)
            return
        worker = self._idle.pop()
        if worker.send(portion):
            self._busy.append(worker)
        else:
            worker.close()
            self.count(portion)

    def _begin(self) -> None:
        """One more process, where the machine has room for it."""
        worker = self._hire(self._log_id)
        if worker is None:
            self._is_full = True
        else:
            self._idle.append(worker)

    def _take_in(self) -> None:
        """What was counted of the lines that come next in the log."""
        worker = self._busy.popleft()
        part = worker.counted()
        if part is None:
            worker.close()
        else:
            self._idle.append(worker)
        if (part is None or not self._tally.merge(part)) and worker.portion is not None:
            self._counter.count(self._tally, worker.portion)
