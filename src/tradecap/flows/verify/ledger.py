"""The ledger against the cut of the log, block by block, and, where blocks differ, record by record.

Rules: a difference counts once the feed has passed the cut: rows arrive before the position that covers them. Until
then the blocks that differed are looked at again, for as long as the caller has patience; what is still behind the
position then is pending, not lost. Rows above the cut have to be records that came later, rows below it records that
retention has removed; all others were made by no record.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from tradecap.flows.verify.cut import LOOKED_INTO, Cut, LookingAgain
from tradecap.market.trade_ids import TradeIds
from tradecap.proof import checks
from tradecap.proof.checks import Check, Differences, Fixes
from tradecap.proof.tally import BLOCK_BITS, RunTally, SeqBlock, fingerprint, ledger_row
from tradecap.store.api import BlockKey, BlockSum, CutBlock, CutRange, RunPart, Store


@dataclass(kw_only=True)
class LedgerSide:
    """What the ledger holds of a log, at one look. ranges: of the runs of which it may hold more than the cut.

    expired: by (run, block), rows below the cut. differing: blocks whose sums aren't the log's. others: rows that
    belong to no block of the log and aren't above or below it either. is_pending: whether the feed hadn't passed the
    cut.
    """

    fed: frozenset[str]
    is_pending: bool
    ranges: list[CutRange]
    differing: list[BlockKey] = field(default_factory=list)
    held: set[BlockKey] = field(default_factory=set)
    expired: dict[BlockKey, int] = field(default_factory=dict)
    wholly_expired: int = 0
    others: list[RunPart] = field(default_factory=list)


def settled_ledger(cut: Cut, store: Store, patience: LookingAgain) -> LedgerSide:
    """The ledger once the feed has passed the cut, or once the time is over."""
    side = _look(cut, store)
    while (
        side.is_pending and (side.differing or side.others or not side.fed & cut.tally.runs.keys()) and patience.again()
    ):
        side = _look(cut, store)
    return side


def _look(cut: Cut, store: Store) -> LedgerSide:
    """The position comes first: the rows before it are there from then on."""
    is_pending = cut.mark_pending(store)
    side = LedgerSide(fed=store.fed_runs(cut.log.id), is_pending=is_pending, ranges=cut.ranges())
    cut_runs = {each.run for each in side.ranges}
    within = store.ledger_cut(side.ranges)
    sums = store.ledger_blocks(sorted(cut.tally.runs.keys() - cut_runs)) | {
        key: BlockSum(block.records, block.fingerprint) for key, block in within.items() if block.records
    }
    ours = {
        BlockKey(run.run, block): counted for run in cut.tally.runs.values() for block, counted in run.blocks.items()
    }
    side.differing = [key for key in sorted(ours.keys() | sums.keys()) if not _agree(ours.get(key), sums.get(key))]
    side.held = set(sums)
    side.expired = {key: block.below for key, block in within.items() if block.below}
    _place_others(cut, store, side, within)
    return side


def _agree(ours: SeqBlock | None, theirs: BlockSum | None) -> bool:
    return bool(ours and theirs and ours.records == theirs.records and ours.fingerprint % 2**64 == theirs.fingerprint)


def _place_others(cut: Cut, store: Store, side: LedgerSide, within: dict[BlockKey, CutBlock]) -> None:
    """Rows of runs that the cut doesn't know, and rows above it: what is behind the cut tells which of them are
    records."""
    above = {key.run for key, block in within.items() if block.above}
    strangers = side.fed - cut.tally.runs.keys()
    if not above and not strangers:
        return
    parts = store.ledger_parts(sorted(above | strangers))
    cut.look_behind()
    for each in parts:
        known = cut.tally.runs.get(each.run)
        later = cut.later.get((each.run, each.part))
        if known and each.part in known.parts:
            side.others += _outside(each._replace(first_seq=known.parts[each.part][1] + 1), later)
        elif each.part not in cut.snapshot.shortened:
            side.others += _outside(each, later)
        elif not known and not later:
            side.wholly_expired += each.records


def _outside(rows: RunPart, later: list[int] | None) -> list[RunPart]:
    """The rows that aren't in the cut, and aren't records after the cut either."""
    if rows.first_seq > rows.last_seq:
        return []
    if later is None:
        return [rows]
    return [rows._replace(first_seq=max(rows.first_seq, later[1] + 1))] if rows.last_seq > later[1] else []


# ---- record by record ------------------------------------------------------------------------------------------------

Found = dict[str, dict[str, TradeIds]]
"""By kind of difference and run, the records."""


def fixes_for(cut: Cut, store: Store, side: LedgerSide, *, has_certificate: bool) -> Fixes:
    """What may be run to put the store right. It is dropped only where the log is whole and no record is in the store
    alone."""
    by_engine = " --feed kafka" if store.topics and store.topics.feed(cut.log.id) else ""
    load = checks.LOAD + by_engine
    dispute = checks.SEE_CERTIFICATE if has_certificate else checks.ONE_IS_WRONG
    if not checks.log_identity(cut.tally).ok or cut.damage or cut.holes():
        return Fixes(load, checks.RESTORE, checks.RESTORE, "")  # the log's own checks say that it is the log
    holds_more = (
        store.other_runs(cut.log.id) or side.expired or side.wholly_expired or cut.snapshot.shortened or cut.losses
    )
    again = checks.NEXT_TO_IT if holds_more else f"{checks.DROP}{by_engine} && {load}"
    return Fixes(load, again, checks.NEXT_TO_IT, dispute)


def ledger_complete(cut: Cut, store: Store, side: LedgerSide, fixes: Fixes) -> Check:
    """Each record of the cut has its ledger row, none more."""
    tally = cut.tally
    differences = _differences(cut, store, side)
    is_fed = bool(side.fed & tally.runs.keys()) or not tally.runs
    return checks.ledger_complete(
        tally, differences, is_fed=is_fed, fixes=fixes, others=len(store.other_runs(cut.log.id))
    )


def _differences(cut: Cut, store: Store, side: LedgerSide) -> Differences:
    """What differs, by seq: whole blocks by their intervals, blocks that both sides hold record by record."""
    kinds: Found = {"missing": {}, "pending": {}, "extra": {}, "changed": {}}
    both = []
    for key in side.differing:
        run = cut.tally.runs.get(key.run)
        if run is None or key.block not in run.blocks:
            _note_extra(cut, store, kinds, key)
        elif key in side.held:
            both.append(key)
        else:
            for a, b in run.seqs.within(key.block << BLOCK_BITS, (key.block + 1 << BLOCK_BITS) - 1):
                _note_missing(kinds, run, a, b)
    for at in range(0, len(both), LOOKED_INTO):
        _look_into(cut, store, both[at : at + LOOKED_INTO], kinds)
    for rows in side.others:
        for block in range(rows.first_seq >> BLOCK_BITS, (rows.last_seq >> BLOCK_BITS) + 1):
            for seq, row in store.ledger_rows(BlockKey(rows.run, block)).items():
                if row.part == rows.part and rows.first_seq <= seq <= rows.last_seq:
                    _note(kinds, "extra", rows.run, seq, seq)
    for run_id, first, last in store.unknown_records(sorted(cut.tally.runs)):
        if not any(run == run_id for run, _ in cut.later):
            _note(kinds, "extra", run_id, first, last)
    return Differences(
        **{kind: {run: ids.intervals() for run, ids in sorted(runs.items())} for kind, runs in kinds.items()}
    )


def _note(kinds: Found, kind: str, run: str, first: int, last: int) -> None:
    kinds[kind].setdefault(run, TradeIds()).add_range(first, last)


def _note_missing(kinds: Found, run: RunTally, first: int, last: int) -> None:
    """Records after the position of the feed aren't lost: they were never loaded."""
    for a, b in run.pending.within(first, last):
        _note(kinds, "pending", run.run, a, b)
    for a, b in run.pending.gaps_within(first, last):
        _note(kinds, "missing", run.run, a, b)


def _note_extra(cut: Cut, store: Store, kinds: Found, key: BlockKey) -> None:
    for seq, row in store.ledger_rows(key).items():
        if cut.is_within(key.run, row.part, seq):
            _note(kinds, "extra", key.run, seq, seq)


def _look_into(cut: Cut, store: Store, keys: list[BlockKey], kinds: Found) -> None:
    """Compare some blocks record by record: a second look at the log for these only."""
    ours: dict[tuple[str, int], dict[int, int]] = {key: {} for key in keys}
    for envelope, reading, line in cut.lines_of(keys):
        of_block = ours[envelope.run, envelope.seq >> BLOCK_BITS]
        if envelope.seq not in of_block:
            row = ledger_row(envelope, reading, line)
            of_block[envelope.seq] = fingerprint(row.tag(), envelope.seq, row.trade_id, row.content, row.at)
    for key in keys:
        run, recorded, stored = key.run, ours[key], store.ledger_rows(key)
        gone = _gone(cut, key, recorded)
        for seq in sorted((recorded.keys() | gone) - stored.keys()):
            _note_missing(kinds, cut.tally.runs[run], seq, seq)
        for seq in sorted(
            seq for seq in stored.keys() - recorded.keys() - gone if cut.is_within(run, stored[seq].part, seq)
        ):
            _note(kinds, "extra", run, seq, seq)
        if gone and gone <= stored.keys():
            left = (
                cut.tally.runs[run].blocks[key.block].fingerprint
                - sum(recorded.values())
                - sum(stored[seq].fingerprint for seq in gone)
            )
            for first, last in TradeIds((seq, seq) for seq in gone) if left % 2**64 else ():
                _note(kinds, "changed", run, first, last)  # one of them or more: what they say can't be read any more
        for seq in sorted(seq for seq in recorded.keys() & stored.keys() if recorded[seq] != stored[seq].fingerprint):
            _note(kinds, "changed", run, seq, seq)


def _gone(cut: Cut, key: BlockKey, recorded: Collection[int]) -> set[int]:
    """The records of a block that a certificate vouches for and retention has removed since."""
    of_block = cut.tally.runs[key.run].seqs.within(key.block << BLOCK_BITS, (key.block + 1 << BLOCK_BITS) - 1)
    if len(recorded) == sum(last - first + 1 for first, last in of_block):
        return set()
    return {seq for first, last in of_block for seq in range(first, last + 1)} - set(recorded)
