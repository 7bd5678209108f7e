"""Reconcile log and store, record by record.

The log's side is counted by Python from the log alone, the store's side by SQL from its tables alone; fingerprints find
where they differ and only there it looks record by record. Both are cut when it begins (cut.py), so that others may
write and load meanwhile. A store that nobody else can change may be asked while the log is counted (ahead.py).
Duplicates and conflicts are split by the ledger, which is proven by then. Memory grows with runs, series and holes, not
with records.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.verify.ahead import Ahead, Question
from tradecap.flows.verify.cut import Cut, LookingAgain
from tradecap.flows.verify.ledger import LedgerSide, fixes_for, ledger_complete, settled_ledger
from tradecap.flows.verify.tables import (
    ID_BLOCKS,
    MINUTE_US,
    Settling,
    all_candles,
    all_trades,
    candles_exact,
    portions,
    quarantine_accounted,
    trades_accounted,
)
from tradecap.flows.verify.tallying import Hire, nobody, tally_log
from tradecap.log.api import Damage, DamageKind, Log, Part
from tradecap.proof import checks
from tradecap.proof.certificate import RunRow
from tradecap.proof.checks import Accounts, Check, IdCoverage, Range
from tradecap.proof.counted import Counted, kept, tally_of
from tradecap.proof.since import FRESH
from tradecap.proof.tally import RunTally, Series, Tally
from tradecap.store.api import CandleSpan, Repeats, Store

FOREVER_US: Final = 2**62


@dataclass(kw_only=True, frozen=True)
class Wanted:
    """What the caller asks for besides the fixed checks. from_us and to_us (exclusive) narrow ids and candles by trade
    time.

    has_certificate: the log is held against one as well.
    """

    expect: Mapping[str, int] = field(default_factory=dict)
    run: str = ""
    symbol: str = ""
    from_us: int | None = None
    to_us: int | None = None
    strict: bool = False
    allow_gaps: bool = False
    allow_torn: bool = False
    has_certificate: bool = False


@dataclass(kw_only=True, frozen=True)
class Verdict:
    """The proof, or what contradicts it. each_run: its state and counts; damage: the parts of the log that aren't as
    its writer left them; evidence: the parts of the log as they were read; counted: from where another proof may
    continue."""

    checks: list[Check]
    counts: Accounts
    quarantined: dict[str, int]
    runs: dict[str, int]
    series: list[dict[str, object]]
    each_run: list[RunRow] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    evidence: list[Part] | None = None
    counted: Counted | None = None

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    @property
    def only_pending(self) -> bool:
        """Whether a load is all that is missing."""
        return any(check.name == "ledger.complete" and check.fix.startswith(checks.LOAD) for check in self.checks)


@dataclass
class _Losers:
    """Records that lost against the first of their id: by (run, fault) and by series [duplicates, conflicts], and where
    conflicts are."""

    by_fault: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    by_series: dict[Series, tuple[int, int]] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)

    def total(self, run: str = "") -> tuple[int, int]:
        """(duplicates, conflicts) of all runs, or of one."""
        chosen = [n for (of, _), n in self.by_fault.items() if not run or of == run]
        return sum(d for d, _ in chosen), sum(c for _, c in chosen)


def verify(
    log: Log,
    store: Store,
    wanted: Wanted,
    *,
    progress: Callable[[int], None],
    hire: Hire = nobody,
    wait_s: float = 0.0,
    base: Counted | None = None,
    overlapped: bool = False,
) -> Verdict:
    """Every check, in the order in which one leans on another. Raises TradecapError where the run that is asked for
    isn't in the log.

    wait_s: how long to look again at what a feed may not have brought yet. base: what isn't counted again. overlapped:
    ask the store while the log is counted, unless it is shared.
    """
    damage: list[Damage] = []
    before = log.open_runs()
    snapshot = log.snapshot()
    ask = Ahead()
    with ask.asking(_without_the_log(store, _minutes(wanted)) if overlapped and not store.is_shared else ()):
        if base is None:
            tally = tally_log(snapshot, damage.append, progress, hire=hire)
        else:
            tally = tally_log(snapshot, _unproven(damage), progress, hire=hire, base=tally_of(base))
    newest_run = snapshot.newest_run or (base.newest_run if base else "")
    state = kept(tally, newest_run)
    cut = Cut(log, snapshot, tally, before | log.open_runs(), damage)  # one may have begun or ended meanwhile
    run = _chosen_run(tally, log, wanted.run, newest_run)
    patience = LookingAgain(wait_s)
    cut.complete(patience)
    altered = ask(store.schema_differences)
    try:
        of_store, accounts, series = _against_store(cut, store, ask, wanted, run, patience)
    except TradecapError:
        if not altered:
            raise
        # what can't be asked of such a store isn't proven, and needn't be
        of_store, accounts, series = [], Accounts(records=tally.records), []
    of_log = [
        checks.log_present(tally),
        checks.log_complete(
            tally,
            cut.open_runs,
            cut.unended,
            _lost_segments(damage),
            allow_torn=wanted.allow_torn,
            allow_gaps=wanted.allow_gaps,
            missing=cut.holes(),
            losses=list(cut.losses.values()),
        ),
        checks.log_identity(tally),
        checks.log_intact([each.detail for each in damage]),
        checks.schema_unchanged([(each.text, each.fix) for each in altered]),
    ]
    return Verdict(
        checks=of_log + of_store,
        counts=accounts,
        quarantined=_reasons(tally.runs.values()),
        runs=checks.run_states(tally, cut.open_runs, cut.unended),
        series=series,
        each_run=[
            _run_row(run, checks.run_state(tally, run, cut.open_runs, cut.unended))
            for _, run in sorted(tally.runs.items())
        ],
        damage=damage,
        evidence=snapshot.evidence(damage),
        counted=state,
    )


def _unproven(damage: list[Damage]) -> Callable[[Damage], None]:
    """Note damage. Raises TradecapError for records that retention removed before anybody counted them."""

    def note(each: Damage) -> None:
        if each.kind is DamageKind.EXPIRED:
            raise TradecapError(
                f"The certificate can't be continued: {each.detail[0].lower()}{each.detail[1:]}.", f"{FRESH}."
            )
        damage.append(each)

    return note


def _without_the_log(store: Store, span: CandleSpan) -> list[Question]:
    """The expensive questions that need nothing of the log, in the order in which they are needed."""
    return [
        (store.schema_differences,),
        (store.redelivered,),
        (all_trades, store),
        (store.quarantine_differences,),
        (store.quarantine_counts,),
        (all_candles, store, span),
    ]


def _against_store(
    cut: Cut, store: Store, ask: Ahead, wanted: Wanted, run: str, patience: LookingAgain
) -> tuple[list[Check], Accounts, list[dict[str, object]]]:
    """The checks that ask the store, the account, and the series."""
    tally = cut.tally
    side = settled_ledger(cut, store, patience)
    losers = _losers(cut, store, side)
    accounts = _accounts(cut, store, ask, side, losers, wanted)
    coverages = _coverages(tally, store, wanted)
    fixes = fixes_for(cut, store, side, has_certificate=wanted.has_certificate)
    ledger = ledger_complete(cut, store, side, fixes)
    # everything about a record depends on its ledger row first
    fixes = replace(fixes, rebuild=ledger.fix or fixes.rebuild)
    settling = Settling(cut, store, patience)
    trades = trades_accounted(cut, store, ask, settling, fixes.rebuild)
    found = [
        ledger,
        checks.accounting(accounts),
        trades,
        quarantine_accounted(store, ask, settling, fixes.rebuild),
        checks.ids_contiguous(coverages, allow_gaps=wanted.allow_gaps, strict=wanted.strict),
        _conflicts_none(side.fed | tally.runs.keys(), store, losers),
        checks.injected_found(tally, losers.by_fault, fixes.rebuild, is_shortened=bool(cut.snapshot.shortened)),
        candles_exact(
            store,
            ask,
            settling,
            accounts.candles,
            _minutes(wanted),
            fixes if trades.ok else replace(fixes, load=fixes.rebuild),
        ),
    ]
    of_run = _coverages(tally, store, wanted, run) if run else coverages
    found += checks.expectations(wanted.expect, _expectable(tally, losers, accounts, of_run, run))
    return found, accounts, [_series_row(tally, key, coverage, losers) for key, coverage in sorted(coverages.items())]


def _chosen_run(tally: Tally, log: Log, wanted: str, newest: str) -> str:
    """The run that expectations are of, '' for all. One that isn't there would meet any expectation of nothing."""
    if wanted == "last":
        return newest or max(
            (run for run, each in tally.runs.items() if each.started is not None), default=max(tally.runs, default="")
        )
    if wanted and wanted not in tally.runs:
        raise TradecapError(
            f"Run {wanted} isn't in {log.url}.",
            "'tradecap query runs' lists the runs; --run last is the newest of the log.",
        )
    return wanted


def _lost_segments(damage: Collection[Damage]) -> list[str]:
    return [each.place for each in damage if each.kind is DamageKind.LOST_PART]


# ---- log against store -----------------------------------------------------------------------------------------------


def _losers(cut: Cut, store: Store, side: LedgerSide) -> _Losers:
    """Only ids that the log holds more than once are looked at, some blocks of ids at a time."""
    losers = _Losers()
    runs = sorted(cut.tally.runs)
    for key, series in cut.tally.series.items():
        for blocks in portions(sorted(series.repeated_blocks), ID_BLOCKS):
            for repeats in store.repeats(runs, key, blocks, side.ranges):
                _note_losers(losers, key, repeats)
    return losers


def _note_losers(losers: _Losers, key: Series, repeats: Repeats) -> None:
    of_fault = losers.by_fault.get((repeats.run, repeats.fault), (0, 0))
    losers.by_fault[(repeats.run, repeats.fault)] = (of_fault[0] + repeats.duplicates, of_fault[1] + repeats.conflicts)
    of_series = losers.by_series.get(key, (0, 0))
    losers.by_series[key] = (of_series[0] + repeats.duplicates, of_series[1] + repeats.conflicts)
    if not repeats.fault and len(losers.places) <= checks.SHOWN:
        losers.places += [
            f"{' '.join(key)} id {trade_id}: run {repeats.run} seq {seq}" for trade_id, seq in repeats.places
        ]


def _conflicts_none(runs: Collection[str], store: Store, losers: _Losers) -> Check:
    """runs: those of this log."""
    injected = sum(conflicts for (_, fault), (_, conflicts) in losers.by_fault.items() if fault)
    with_others = list(_conflicts_with_others(store, sorted(runs)))
    return checks.conflicts_none(losers.total()[1] - injected + len(with_others), injected, losers.places + with_others)


def _conflicts_with_others(store: Store, runs: list[str]) -> Iterator[str]:
    """Ids on which this log and another one differ: looked for where both have ids."""
    for key, blocks in store.shared_blocks(runs).items():
        for portion in portions(blocks, ID_BLOCKS):
            for trade_id in store.foreign_conflicts(runs, key, portion):
                yield f"{' '.join(key)} id {trade_id}: against another log"


def _minutes(wanted: Wanted) -> CandleSpan:
    """The candles that begin in the range asked for."""
    since, until = wanted.from_us or 0, FOREVER_US if wanted.to_us is None else wanted.to_us
    return CandleSpan(wanted.symbol, -(-since // MINUTE_US) * MINUTE_US, -(-until // MINUTE_US) * MINUTE_US)


# ---- what is shown ---------------------------------------------------------------------------------------------------


def _accounts(cut: Cut, store: Store, ask: Ahead, side: LedgerSide, losers: _Losers, wanted: Wanted) -> Accounts:
    duplicates, conflicts = losers.total()
    tally = cut.tally
    return Accounts(
        records=tally.records,
        trades=sum(len(series.ids) for series in tally.series.values()),
        duplicates=duplicates,
        conflicts=conflicts,
        quarantined=tally.count("quarantined"),
        ignored=tally.count("ignored"),
        events=tally.count("event"),
        redelivered=tally.repeats + ask(store.redelivered),
        candles=store.candle_count(_minutes(wanted)),
        expired=sum(side.expired.values()) + side.wholly_expired,
        empty=tally.empty,
    )


def _coverages(tally: Tally, store: Store, wanted: Wanted, run: str = "") -> dict[Series, IdCoverage]:
    """The coverage of each series that is asked for: by all runs, or by one."""
    keys = [key for key in tally.series if wanted.symbol in ("", key[1])]
    return {
        key: coverage for key in keys if (coverage := _narrowed(checks.coverage(tally, key, run), key, store, wanted))
    }


def _narrowed(whole: IdCoverage, key: Series, store: Store, wanted: Wanted) -> IdCoverage | None:
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


def _expectable(
    tally: Tally, losers: _Losers, accounts: Accounts, coverages: Mapping[Series, IdCoverage], run: str
) -> dict[str, int]:
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


def _series_row(tally: Tally, key: Series, coverage: IdCoverage, losers: _Losers) -> dict[str, object]:
    ids = tally.series[key].ids
    duplicates, conflicts = losers.by_series.get(key, (0, 0))
    ends: dict[str, object] = {
        "trades": len(ids),
        "first_id": ids.first,
        "last_id": ids.last,
        "duplicates": duplicates,
        "conflicts": conflicts,
    }
    names = {"venue": key[0], "symbol": key[1], "channel": key[2]}
    return {
        **names,
        **ends,
        "coverage": _pairs(coverage.coverage),
        "gaps": _pairs(coverage.gaps),
        "uncovered": _pairs(coverage.uncovered),
    }


def _pairs(ranges: Iterable[Range]) -> list[list[int]]:
    return [[first, last] for first, last in ranges]
