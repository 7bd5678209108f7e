"""Reconcile log and store, record by record.

The log's side is counted by Python from the log alone, the store's side by SQL from its tables alone; fingerprints find where they differ and only
there it looks record by record. Duplicates and conflicts are split by the ledger, which is proven by then. Memory grows with runs, series and
holes, not with records.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.records import raw_records, read_lines, unwatched
from tradecap.flows.verify.tallying import Hire, nobody, tally_log
from tradecap.log.api import Damage, DamageKind, Log, Part, Snapshot
from tradecap.market.batch import position_text
from tradecap.market.records import orphan_record, read_envelope
from tradecap.market.trade_ids import TradeIds
from tradecap.proof import checks
from tradecap.proof.certificate import RunRow
from tradecap.proof.checks import Accounts, Check, Coverage, Differences, Range
from tradecap.proof.klines import time_text
from tradecap.proof.tally import BLOCK_BITS, RunTally, Series, Tally, fingerprint, ledger_row
from tradecap.store.api import BlockKey, BlockSum, CandleDay, CandleSpan, Difference, Repeats, Store

LOOKED_INTO: Final = 16
"""Blocks (of 65 536 records) that are looked into record by record at a time."""
ID_BLOCKS: Final = 4
"""Blocks (of 1 048 576 ids) that one query groups by id."""
TRADES_A_PORTION: Final = 4_000_000
"""Candles are computed afresh for about so many trades at a time."""
MINUTE_US: Final = 60_000_000
FOREVER_US: Final = 2**62


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for beside the standing checks. from_us and to_us (exclusive) narrow ids and candles by trade time."""

    expect: Mapping[str, int] = field(default_factory=dict)
    run: str = ""
    symbol: str = ""
    from_us: int | None = None
    to_us: int | None = None
    strict: bool = False
    allow_gaps: bool = False
    allow_torn: bool = False


@dataclass(frozen=True)
class Verdict:
    """The proof, or what stands against it. each_run: its state and counts; damage: what of the log isn't as its writer left it;
    evidence: the parts of the log as they were read."""

    checks: list[Check]
    counts: Accounts
    quarantined: dict[str, int]
    runs: dict[str, int]
    series: list[dict[str, object]]
    each_run: list[RunRow] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    evidence: list[Part] | None = None

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    @property
    def only_pending(self) -> bool:
        """Whether a load is all that is missing."""
        return any(check.name == "ledger.complete" and check.fix == checks.LOAD for check in self.checks)


@dataclass
class _Losers:
    """Records that lost against the first of their id: by (run, fault) and by series [duplicates, conflicts], and where conflicts stand."""

    by_fault: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    by_series: dict[Series, tuple[int, int]] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)

    def total(self, run: str = "") -> tuple[int, int]:
        """(duplicates, conflicts) of all runs, or of one."""
        chosen = [n for (of, _), n in self.by_fault.items() if not run or of == run]
        return sum(d for d, _ in chosen), sum(c for _, c in chosen)


def verify(log: Log, store: Store, wanted: Wanted, *, progress: Callable[[int], None], hire: Hire = nobody) -> Verdict:
    """Every check, in the order in which one leans on another. Raises TradecapError where the run that is asked for isn't in the log."""
    damage: list[Damage] = []
    before = log.open_runs()
    snapshot = log.snapshot()
    tally = tally_log(snapshot, damage.append, progress, hire=hire)
    unended = "torn" if log.has_one_writer else "silent"
    open_runs = before | log.open_runs()  # one may have begun or ended meanwhile
    run = _chosen_run(tally, log, wanted.run)
    damage += mark_pending(tally, snapshot, store)
    losers = _losers(tally, store)
    accounts = _accounts(tally, store, losers, wanted)
    coverages = _coverages(tally, store, wanted)
    identity = checks.log_identity(tally)
    ledger = _ledger_complete(snapshot, tally, store, is_whole=identity.ok and not damage and not checks.holes(tally))
    mend = ledger.fix or checks.ANEW
    found = [
        checks.log_present(tally),
        checks.log_complete(tally, open_runs, unended, _lost_segments(damage), allow_torn=wanted.allow_torn),
        identity,
        checks.log_intact([each.detail for each in damage]),
        ledger,
        checks.accounting(accounts),
        _trades_accounted(store, mend),
        _quarantine_accounted(store, mend),
        checks.ids_contiguous(coverages, allow_gaps=wanted.allow_gaps, strict=wanted.strict),
        _conflicts_none(tally, store, losers),
        checks.injected_found(tally, losers.by_fault, mend),
        _candles_exact(store, accounts.candles, wanted, mend),
    ]
    of_run = _coverages(tally, store, wanted, run) if run else coverages
    found += checks.expectations(wanted.expect, _expectable(tally, losers, accounts, of_run, run))
    return Verdict(
        found,
        accounts,
        _reasons(tally.runs.values()),
        checks.run_states(tally, open_runs, unended),
        [_series_row(tally, key, coverage, losers) for key, coverage in sorted(coverages.items())],
        [_run_row(run, checks.run_state(tally, run, open_runs, unended)) for _, run in sorted(tally.runs.items())],
        damage,
        snapshot.evidence(damage),
    )


def _chosen_run(tally: Tally, log: Log, wanted: str) -> str:
    """The run that expectations are of, '' for all. One that isn't there would meet any expectation of nothing."""
    if wanted == "last":
        return max((run for run, each in tally.runs.items() if each.started is not None), default=max(tally.runs, default=""))
    if wanted and wanted not in tally.runs:
        raise TradecapError(f"Run {wanted} isn't in {log.url}.", "'tradecap query runs' lists the runs; --run last is the newest of the log.")
    return wanted


def _lost_segments(damage: Collection[Damage]) -> list[str]:
    return [each.place for each in damage if each.kind is DamageKind.LOST_PART]


# ---- the log's side ----------------------------------------------------------------------------------------------------------------------


def mark_pending(tally: Tally, log: Snapshot, store: Store) -> list[Damage]:
    """Note which records stand behind the position of the feed. A position that the log no longer has is damage of the log."""
    positions = store.positions(log.id)
    try:
        for batch in log.read(positions, on_damage=unwatched):
            for raw, offset in raw_records(batch, log.id):
                envelope = read_envelope(raw) or orphan_record(raw, log.id, batch.end.partition, offset)
                if envelope.run in tally.runs:
                    tally.runs[envelope.run].pending.add(envelope.seq)
    except TradecapError as error:
        return [Damage(DamageKind.LOST_POSITION, position_text(positions), error.message.removesuffix("."))]
    return []


# ---- log against store -------------------------------------------------------------------------------------------------------------------


def _ledger_complete(log: Snapshot, tally: Tally, store: Store, *, is_whole: bool) -> Check:
    fed = store.fed_runs(log.id)
    runs = sorted(fed | set(tally.runs))
    blocks = store.ledger_blocks(runs)
    ours = {BlockKey(run.run, block): sums for run in tally.runs.values() for block, sums in run.blocks.items()}
    differing = [key for key in sorted(ours.keys() | blocks.keys()) if not _agree(ours.get(key), blocks.get(key))]
    differences = _differences(log, tally, store, differing, ours.keys(), blocks.keys())
    is_fed = bool(fed & set(tally.runs)) or not tally.runs
    others = len(store.other_runs(log.id))
    return checks.ledger_complete(tally, differences, is_fed=is_fed, is_whole=is_whole, others=others)


def _agree(ours: list[int] | None, theirs: BlockSum | None) -> bool:
    return bool(ours and theirs and ours[0] == theirs.records and ours[1] % 2**64 == theirs.fingerprint)


def _differences(
    log: Snapshot, tally: Tally, store: Store, differing: list[BlockKey], ours: Iterable[BlockKey], theirs: Iterable[BlockKey]
) -> Differences:
    """What differs, by seq: whole blocks by their intervals, blocks that both sides hold record by record."""
    kinds: dict[str, dict[str, TradeIds]] = {"missing": {}, "pending": {}, "extra": {}, "changed": {}}
    our_keys, their_keys = set(ours), set(theirs)
    both = [key for key in differing if key in our_keys and key in their_keys]
    for key in differing:
        run, block = key
        if key not in their_keys:
            first, last = block << BLOCK_BITS, (block + 1 << BLOCK_BITS) - 1
            for a, b in tally.runs[run].seqs.within(first, last):
                _note_missing(kinds, tally.runs[run], a, b)
        elif key not in our_keys:
            for seq in store.ledger_rows(key):
                kinds["extra"].setdefault(run, TradeIds()).add(seq)
    for at in range(0, len(both), LOOKED_INTO):
        _look_into(log, tally, store, both[at : at + LOOKED_INTO], kinds)
    for run, first, last in store.unknown_records(sorted(tally.runs)):
        kinds["extra"].setdefault(run, TradeIds()).add_range(first, last)
    ranges = {kind: {run: ids.intervals() for run, ids in sorted(runs.items())} for kind, runs in kinds.items()}
    return Differences(**ranges)


def _look_into(log: Snapshot, tally: Tally, store: Store, keys: list[BlockKey], kinds: dict[str, dict[str, TradeIds]]) -> None:
    """Compare some blocks record by record: a further pass over the log for these only."""
    ours: dict[tuple[str, int], dict[int, int]] = {key: {} for key in keys}
    for envelope, reading, line in read_lines(log):
        of_block = ours.get((envelope.run, envelope.seq >> BLOCK_BITS))
        if of_block is not None and envelope.seq not in of_block:
            row = ledger_row(envelope, reading, line)
            of_block[envelope.seq] = fingerprint(row.tag(), envelope.seq, row.trade_id, row.content)
    for key in keys:
        run, recorded, stored = key.run, ours[key], store.ledger_rows(key)
        for seq in sorted(recorded.keys() - stored.keys()):
            _note_missing(kinds, tally.runs[run], seq, seq)
        for seq in sorted(stored.keys() - recorded.keys()):
            kinds["extra"].setdefault(run, TradeIds()).add(seq)
        for seq in sorted(seq for seq in recorded.keys() & stored.keys() if recorded[seq] != stored[seq]):
            kinds["changed"].setdefault(run, TradeIds()).add(seq)


def _note_missing(kinds: dict[str, dict[str, TradeIds]], run: RunTally, first: int, last: int) -> None:
    """What stands behind the position of the feed isn't lost: it was never poured."""
    for a, b in run.pending.within(first, last):
        kinds["pending"].setdefault(run.run, TradeIds()).add_range(a, b)
    for a, b in run.pending.gaps_within(first, last):
        kinds["missing"].setdefault(run.run, TradeIds()).add_range(a, b)


def _losers(tally: Tally, store: Store) -> _Losers:
    """Only ids that the log holds more than once are looked at, some blocks of ids at a time."""
    losers = _Losers()
    runs = sorted(tally.runs)
    for key, series in tally.series.items():
        for blocks in _portions(sorted(series.repeated_blocks), ID_BLOCKS):
            for repeats in store.repeats(runs, key, blocks):
                _note_losers(losers, key, repeats)
    return losers


def _note_losers(losers: _Losers, key: Series, repeats: Repeats) -> None:
    of_fault = losers.by_fault.get((repeats.run, repeats.fault), (0, 0))
    losers.by_fault[(repeats.run, repeats.fault)] = (of_fault[0] + repeats.duplicates, of_fault[1] + repeats.conflicts)
    of_series = losers.by_series.get(key, (0, 0))
    losers.by_series[key] = (of_series[0] + repeats.duplicates, of_series[1] + repeats.conflicts)
    if not repeats.fault and len(losers.places) <= checks.SHOWN:
        losers.places += [f"{' '.join(key)} id {trade_id}: run {repeats.run} seq {seq}" for trade_id, seq in repeats.places]


def _portions(blocks: list[int], size: int) -> Iterator[list[int]]:
    for at in range(0, len(blocks), size):
        yield blocks[at : at + size]


def _trades_accounted(store: Store, mend: str) -> Check:
    """Blocks without a repeated id agree at once; in the others the winners are found among the ledger's rows."""
    held = store.trade_blocks()
    doubtful: dict[Series, list[int]] = {}
    for block in held:
        if not block.is_equal:
            doubtful.setdefault(block.series, []).append(block.block)
    different = [
        (key, each) for key, blocks in doubtful.items() for portion in _portions(blocks, ID_BLOCKS) for each in store.trade_differences(key, portion)
    ]
    trades = sum(block.trades for block in held)
    balance = sum({Difference.MISSING: 1, Difference.EXTRA: -1}.get(each.difference, 0) for _, each in different)
    places = [f"{' '.join(key)} id {each.trade_id}: {each.difference}" for key, each in different]
    return checks.rows_accounted("trades.accounted", trades + balance, trades, places, mend)


def _quarantine_accounted(store: Store, mend: str) -> Check:
    counts = store.quarantine_counts()
    different = [f"run {each.run} seq {each.seq}: {each.difference}" for each in store.quarantine_differences()]
    return checks.rows_accounted("quarantine.accounted", counts.of_ledger, counts.of_table, different, mend)


def _conflicts_none(tally: Tally, store: Store, losers: _Losers) -> Check:
    injected = sum(conflicts for (_, fault), (_, conflicts) in losers.by_fault.items() if fault)
    with_others = list(_conflicts_with_others(store, sorted(tally.runs)))
    return checks.conflicts_none(losers.total()[1] - injected + len(with_others), injected, losers.places + with_others)


def _conflicts_with_others(store: Store, runs: list[str]) -> Iterator[str]:
    """Ids on which this log and another one differ: looked for where both have ids."""
    for key, blocks in store.shared_blocks(runs).items():
        for portion in _portions(blocks, ID_BLOCKS):
            for trade_id in store.foreign_conflicts(runs, key, portion):
                yield f"{' '.join(key)} id {trade_id}: against another log"


def _candles_exact(store: Store, candles: int, wanted: Wanted, mend: str) -> Check:
    span = _minutes(wanted)
    different = [
        f"{' '.join(each.series)} {time_text(each.open_time_s)}: {each.differing}"
        for first, last in _days(store.candle_days(span))
        for each in store.candle_differences(first, last, span)
    ]
    return checks.candles_exact(candles, different, mend)


def _minutes(wanted: Wanted) -> CandleSpan:
    """The candles that begin in the range asked for."""
    since, until = wanted.from_us or 0, FOREVER_US if wanted.to_us is None else wanted.to_us
    return CandleSpan(wanted.symbol, -(-since // MINUTE_US) * MINUTE_US, -(-until // MINUTE_US) * MINUTE_US)


def _days(days: list[CandleDay]) -> Iterator[tuple[date, date]]:
    first: date | None = None
    trades = 0
    for day in days:
        first = first or day.day
        trades += day.trades
        if trades >= TRADES_A_PORTION:
            yield first, day.day
            first, trades = None, 0
    if first is not None:
        yield first, days[-1].day


# ---- what is shown -----------------------------------------------------------------------------------------------------------------------


def _accounts(tally: Tally, store: Store, losers: _Losers, wanted: Wanted) -> Accounts:
    duplicates, conflicts = losers.total()
    return Accounts(
        records=tally.records,
        trades=sum(len(series.ids) for series in tally.series.values()),
        duplicates=duplicates,
        conflicts=conflicts,
        quarantined=tally.count("quarantined"),
        ignored=tally.count("ignored"),
        events=tally.count("event"),
        redelivered=tally.repeats + store.redelivered(),
        candles=store.candle_count(_minutes(wanted)),
    )


def _coverages(tally: Tally, store: Store, wanted: Wanted, run: str = "") -> dict[Series, Coverage]:
    """The coverage of each series that is asked for: by all runs, or by one."""
    keys = [key for key in tally.series if wanted.symbol in ("", key[1])]
    return {key: coverage for key in keys if (coverage := _narrowed(checks.coverage(tally, key, run), key, store, wanted))}


def _narrowed(whole: Coverage, key: Series, store: Store, wanted: Wanted) -> Coverage | None:
    """A coverage within the ids of a range of trade time where one is asked for; None where no trade lies in it."""
    if wanted.from_us is None and wanted.to_us is None:
        return whole
    span = store.id_span(key, wanted.from_us or 0, FOREVER_US if wanted.to_us is None else wanted.to_us)
    return checks.narrowed(whole, span.first_id, span.last_id) if span else None


def _reasons(runs: Iterable[RunTally]) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for run in runs:
        for reason, n in run.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + n
    return dict(sorted(reasons.items()))


def _expectable(tally: Tally, losers: _Losers, accounts: Accounts, coverages: Mapping[Series, Coverage], run: str) -> dict[str, int]:
    """What --expect can name: of everything, or of one run."""
    runs = [each for each in tally.runs.values() if not run or each.run == run]
    duplicates, conflicts = losers.total(run)
    reasons = {f"quarantined.{reason}": n for reason, n in _reasons(runs).items()}
    return {
        "records": sum(len(each.seqs) for each in runs),
        "trades": sum(each.counts.get("trade", 0) for each in runs) - duplicates - conflicts,
        "duplicates": duplicates,
        "conflicts": conflicts,
        "quarantined": sum(each.counts.get("quarantined", 0) for each in runs),
        "ignored": sum(each.counts.get("ignored", 0) for each in runs),
        "events": sum(each.counts.get("event", 0) for each in runs),
        "gaps": sum(len(coverage.gaps) for coverage in coverages.values()),
        "candles": accounts.candles,
        **reasons,
    }


def _run_row(run: RunTally, state: str) -> RunRow:
    """In the certificate. Lines without an envelope (their run is a UUIDv8) have no order, so no end either."""
    kinds = ("trade", "quarantined", "ignored", "event")
    state = "unnumbered" if run.run[14] == "8" else state
    return RunRow(run.run, state, len(run.seqs), run.last_seq, *(run.counts.get(kind, 0) for kind in kinds))


def _series_row(tally: Tally, key: Series, coverage: Coverage, losers: _Losers) -> dict[str, object]:
    ids = tally.series[key].ids
    duplicates, conflicts = losers.by_series.get(key, (0, 0))
    ends: dict[str, object] = {"trades": len(ids), "first_id": ids.first, "last_id": ids.last, "duplicates": duplicates, "conflicts": conflicts}
    names = {"venue": key[0], "symbol": key[1], "channel": key[2]}
    return {**names, **ends, "coverage": _pairs(coverage.coverage), "gaps": _pairs(coverage.gaps), "uncovered": _pairs(coverage.uncovered)}


def _pairs(ranges: Iterable[Range]) -> list[list[int]]:
    return [[first, last] for first, last in ranges]
