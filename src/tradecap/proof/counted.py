"""What was counted of a log, as a certificate keeps it, so that `verify --since` can continue from there.

Rules: pure. It is the whole tally of the log's side, up to a position in each partition: a tally that is restored and
then given the rest of the log is the tally of the whole log. Only the contents of records that appeared twice are left
out: they were the same. Sums below 2^64 are written as texts, as many programs read numbers of JSON as floats.
"""

import base64
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

from tradecap.digits import counted, number
from tradecap.market.batch import Position
from tradecap.market.seqs import SIZE, Seqs
from tradecap.market.trade_ids import TradeIds
from tradecap.proof.tally import BLOCK_BITS, RunTally, SeqBlock, SeriesTally, Tally

SCATTERED: Final = 32
"""Intervals of one block of seq from which a bitmap is shorter."""

Range = tuple[int, int]


class CountedBlock(msgspec.Struct, frozen=True, array_like=True):
    """See `tally.SeqBlock`. since: where its records begin in each partition, without a position for the beginning."""

    run: str
    block: int
    records: int
    fingerprint: str
    trades: int
    rest: str
    repeats: int
    rest_of_repeats: str
    since: dict[str, tuple[str, int] | None]


class CountedRun(msgspec.Struct, frozen=True):
    """See `tally.RunTally`. bitmaps: the seqs of blocks that have too many holes for intervals, packed.

    injected: the faults that its end record reports; None where it has no end, or its end reports none.
    """

    run: str
    seqs: list[Range]
    bitmaps: dict[str, str]
    counts: dict[str, int]
    reasons: dict[str, int]
    faults: list[tuple[str, str, str, int]]
    spans: list[tuple[str, str, str, int, int]]
    parts: list[tuple[int, int, int]]
    is_started: bool
    ended_seq: int
    injected: dict[str, int] | None


class CountedSeries(msgspec.Struct, frozen=True):
    """See `tally.SeriesTally`."""

    venue: str
    symbol: str
    channel: str
    valid: int
    ids: list[Range]
    repeated_blocks: list[int]


class Counted(msgspec.Struct, frozen=True):
    """A tally. ends: by partition, the position up to which it counts; newest_run: see `Snapshot.newest_run`."""

    ends: list[tuple[int, str, int]]
    empty: int
    repeats: int
    recovered: dict[str, int]
    newest_run: str
    runs: list[CountedRun]
    blocks: list[CountedBlock]
    series: list[CountedSeries]

    @property
    def records(self) -> int:
        """Distinct (run, seq)."""
        return sum(sum(run.counts.values()) for run in self.runs)

    @property
    def read_to(self) -> dict[int, str]:
        """By partition, where the rest of the log begins."""
        return {part: at for part, at, _ in self.ends}


# ---- to be kept ------------------------------------------------------------------------------------------------------


def kept(tally: Tally, newest_run: str) -> Counted:
    """A tally as a certificate keeps it."""
    return Counted(
        ends=[(part, end.at, end.order) for part, end in sorted(tally.ends.items())],
        empty=tally.empty,
        repeats=tally.repeats,
        recovered=dict(tally.recovered),
        newest_run=newest_run,
        runs=[_kept_run(run) for _, run in sorted(tally.runs.items())],
        blocks=[
            _kept_block(name, n, block)
            for name, run in sorted(tally.runs.items())
            for n, block in sorted(run.blocks.items())
        ],
        series=[
            CountedSeries(*key, each.valid, each.ids.intervals(), sorted(each.repeated_blocks))
            for key, each in sorted(tally.series.items())
        ],
    )


def _kept_run(run: RunTally) -> CountedRun:
    seqs, bitmaps = _kept_seqs(run.seqs)
    injected = (run.ended or {}).get("injected")
    return CountedRun(
        run=run.run,
        seqs=seqs,
        bitmaps=bitmaps,
        counts=dict(run.counts),
        reasons=dict(run.reasons),
        faults=[(*fault, n) for fault, n in sorted(run.faults.items())],
        spans=[(*key, first, last) for key, (first, last) in sorted(run.spans.items())],
        parts=[(part, low, high) for part, (low, high) in sorted(run.parts.items())],
        is_started=run.started is not None,
        ended_seq=-1 if run.ended is None else run.ended_seq,
        injected={str(fault): n for fault, n in injected.items() if type(n) is int}
        if isinstance(injected, dict)
        else None,
    )


def _kept_block(run: str, n: int, block: SeqBlock) -> CountedBlock:
    return CountedBlock(
        run=run,
        block=n,
        records=block.records,
        fingerprint=str(block.fingerprint % 2**64),
        trades=block.trades,
        rest=str(block.rest % 2**64),
        repeats=block.repeats,
        rest_of_repeats=str(block.rest_of_repeats % 2**64),
        since={str(part): (at.at, at.order) if at else None for part, at in sorted(block.since.items())},
    )


def _kept_seqs(seqs: Seqs) -> tuple[list[Range], dict[str, str]]:
    """Intervals, and bitmaps of the blocks that have many of them.

    What retention leaves of a topic with several partitions is full of holes.
    """
    intervals = seqs.intervals()
    pieces: dict[int, int] = {}
    for first, last in intervals:
        for block in {first >> BLOCK_BITS, last >> BLOCK_BITS}:
            pieces[block] = pieces.get(block, 0) + 1
    scattered = sorted(block for block, n in pieces.items() if n > SCATTERED)
    if not scattered:
        return intervals, {}
    rest = [part for first, last in intervals for part in _outside(first, last, scattered)]
    return rest, {str(block): _packed(seqs, block) for block in scattered}


def _outside(first: int, last: int, blocks: list[int]) -> Iterator[Range]:
    """The parts of an interval that lie in none of the blocks."""
    for block in blocks:
        low, high = block << BLOCK_BITS, (block + 1 << BLOCK_BITS) - 1
        if high < first or low > last:
            continue
        if first < low:
            yield first, low - 1
        first = high + 1
    if first <= last:
        yield first, last


def _packed(seqs: Seqs, block: int) -> str:
    base = block << BLOCK_BITS
    bits = 0
    for first, last in seqs.within(base, base + SIZE - 1):
        bits |= (1 << (last - first + 1)) - 1 << (first - base)
    return base64.b64encode(zlib.compress(bits.to_bytes(SIZE // 8, "little"))).decode()


# ---- restored --------------------------------------------------------------------------------------------------------


def tally_of(of: Counted) -> Tally:
    """The tally that was kept. Raises ValueError for what `kept` can't have given."""
    tally = Tally()
    tally.ends = {part: Position(part, at, order) for part, at, order in of.ends}
    tally.empty, tally.repeats, tally.recovered = of.empty, of.repeats, dict(of.recovered)
    tally.runs = {run.run: _restored_run(run) for run in of.runs}
    for each in of.blocks:
        if each.run not in tally.runs:
            raise ValueError(f"it has a block of run {each.run}, which it doesn't name")
        tally.runs[each.run].blocks[each.block] = _restored_block(each)
    tally.series = {
        (each.venue, each.symbol, each.channel): SeriesTally(TradeIds(each.ids), each.valid, set(each.repeated_blocks))
        for each in of.series
    }
    return tally


def _restored_run(kept_run: CountedRun) -> RunTally:
    seqs = Seqs(kept_run.seqs)
    for block, packed in kept_run.bitmaps.items():
        seqs.add_bits(int(block), int.from_bytes(_unpacked(packed), "little"))
    injected: dict[str, object] = {} if kept_run.injected is None else {"injected": dict(kept_run.injected)}
    return RunTally(
        run=kept_run.run,
        seqs=seqs,
        counts=dict(kept_run.counts),
        reasons=dict(kept_run.reasons),
        faults={(fault, outcome, reason): n for fault, outcome, reason, n in kept_run.faults},
        spans={(venue, symbol, channel): [first, last] for venue, symbol, channel, first, last in kept_run.spans},
        started={} if kept_run.is_started else None,
        ended=injected if kept_run.ended_seq >= 0 else None,
        ended_seq=kept_run.ended_seq,
        parts={part: [low, high] for part, low, high in kept_run.parts},
    )


def _unpacked(packed: str) -> bytes:
    try:
        return zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), SIZE // 8)
    except zlib.error as error:
        raise ValueError("a bitmap is damaged") from error


def _restored_block(each: CountedBlock) -> SeqBlock:
    return SeqBlock(
        records=each.records,
        fingerprint=int(each.fingerprint),
        trades=each.trades,
        rest=int(each.rest),
        repeats=each.repeats,
        rest_of_repeats=int(each.rest_of_repeats),
        since={int(part): Position(int(part), *at) if at else None for part, at in each.since.items()},
    )


# ---- whether it holds together ---------------------------------------------------------------------------------------


def contradictions(tally: Tally) -> Iterator[str]:
    """What a tally says twice, and not alike."""
    for run in tally.runs.values():
        here = f"run {run.run}"
        if sum(run.counts.values()) != len(run.seqs):
            yield (
                f"{here} has {counted(len(run.seqs), 'record')}, and {number(sum(run.counts.values()))} by their "
                "outcomes"
            )
        if any(block.records != run.seqs.count_in(n) for n, block in run.blocks.items()) or sum(
            block.records for block in run.blocks.values()
        ) != len(run.seqs):
            yield f"the blocks of {here} don't hold its {counted(len(run.seqs), 'record')}"
        if sum(block.trades for block in run.blocks.values()) != run.counts.get("trade", 0):
            yield f"the blocks of {here} don't hold its {counted(run.counts.get('trade', 0), 'trade')}"
        if sum(run.reasons.values()) != run.counts.get("quarantined", 0):
            yield f"the reasons of {here} aren't the sum of its quarantine"
    valid = sum(each.valid for each in tally.series.values())
    if valid != tally.count("trade"):
        yield f"its series hold {counted(valid, 'trade')}, its runs {number(tally.count('trade'))}"
    if any(len(each.ids) > each.valid for each in tally.series.values()):
        yield "a series has more ids than records"
