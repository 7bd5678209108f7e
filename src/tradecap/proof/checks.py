"""What `verify` finds: each check says what was expected, what is there, what differs and what to run.

Rules: pure; a check that has nothing to look at does not pass. `log_side` is a Tally of the log alone; what the store
says comes as plain numbers and ranges. What feeds each check: docs/data-quality.md.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from tradecap.digits import counted, number
from tradecap.market.faults import FAULTS
from tradecap.market.trade_ids import TradeIds
from tradecap.proof.tally import RunTally, Series, Tally

Range = tuple[int, int]
SHOWN: Final = 5
"""How many places a detail names; the rest is counted."""
LOAD: Final = "tradecap load"
DROP: Final = "tradecap init-db --drop"
AGAIN: Final = f"{DROP} && {LOAD}"
"""Where the log is whole and holds everything that the store does."""
NEXT_TO_IT: Final = "tradecap init-db --store NEW && tradecap load --store NEW && tradecap verify --store NEW"
"""Where the store may hold what the log doesn't: another store is made from the log, and this one stays. NEW: its URL,
which the command puts in."""
RESTORE: Final = (
    "# repair the log first (its own checks name the places) and keep this store: it may hold what the log has lost"
)
FROM_A_COPY: Final = (
    "# bring the segment back from a copy; verify --rebuild-manifests makes a manifest again; "
    "everything else stays readable"
)
KEEP_LONGER: Final = (
    "# keep records longer (retention.ms of the topic), or load more often; --allow-gaps accepts what is gone"
)
LEDGER_FIRST: Final = "# see what ledger.complete says first"
ONE_IS_WRONG: Final = (
    "log and store disagree, so one of the two is wrong: verify --against a certificate that was kept elsewhere "
    "says whether it is the log, "
    "and so does a copy of the log"
)
SEE_CERTIFICATE: Final = (
    "log and store disagree, so one of the two is wrong: certificate.unchanged says whether it is the log"
)
NOTHING: Final = "the log holds no record of a venue"
SHOWN_BY: Final = {
    "duplicates": "duplicates",
    "conflicts": "conflicts",
    "quarantined": "quarantine",
    "gaps": "gaps",
    "trades": "symbols",
}
"""What `tradecap query` is asked to see what an expectation counts; the rest is in `runs`."""


@dataclass(kw_only=True, frozen=True)
class Check:
    """One finding. detail names what differs, for people.

    expected and actual are numbers wherever they count; unit says of what. Where an option forgives, ok is true and
    actual still counts. fix: a line for a shell that never harms, or advice behind `# ` where no command helps; ''
    where nothing is to be done.
    """

    name: str
    ok: bool
    expected: int | str
    actual: int | str
    detail: str = ""
    fix: str = ""
    unit: str = ""

    def row(self) -> dict[str, object]:
        """As JSON holds it."""
        return {name: value for name, value in asdict(self).items() if name != "unit"}

    @property
    def texts(self) -> tuple[str, str]:
        """(expected, found) for people."""
        at_least = " or more" if self.name == "log.present" else ""
        return _text(self.expected, self.unit, at_least), _text(self.actual, self.unit)


def _text(value: int | str, unit: str, more: str = "") -> str:
    if isinstance(value, str):
        return value
    noun = unit.removesuffix("s") if value == 1 and not more else unit  # none of the units ends in s otherwise
    return f"{number(value)}{more} {noun}".rstrip()


PENDING: Final = "not loaded yet"


@dataclass(frozen=True)
class Fixes:
    """What to run, as this log and this store allow it.

    load: brings what isn't loaded yet. rebuild: makes the store from the log again, which is right. keep: the same
    where the store may be right. dispute: how to tell which of the two is.
    """

    load: str = LOAD
    rebuild: str = AGAIN
    keep: str = NEXT_TO_IT
    dispute: str = ONE_IS_WRONG


@dataclass(frozen=True)
class Differences:
    """Records by which the ledger differs from the log: per run ranges of seq. pending: not yet loaded."""

    missing: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    pending: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    extra: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    changed: Mapping[str, Sequence[Range]] = field(default_factory=dict)

    def named(self) -> list[tuple[str, Mapping[str, Sequence[Range]]]]:
        """Each kind under the name that a person reads."""
        return [
            ("lost", self.missing),
            (PENDING, self.pending),
            ("changed", self.changed),
            ("made by no record", self.extra),
        ]


@dataclass(frozen=True)
class IdCoverage:
    """Ids of one series: ranges that runs covered, ids missing inside them, and ids between two coverages."""

    coverage: list[Range]
    gaps: list[Range]
    uncovered: list[Range]


@dataclass(kw_only=True, frozen=True)
class Accounts:
    """Distinct records of the log, split; duplicates and conflicts as the ledger splits what the log holds twice.

    expired: records of the ledger that retention has removed from the log. empty: values without content, which aren't
    records.
    """

    records: int = 0
    trades: int = 0
    duplicates: int = 0
    conflicts: int = 0
    quarantined: int = 0
    ignored: int = 0
    events: int = 0
    redelivered: int = 0
    candles: int = 0
    expired: int = 0
    empty: int = 0


def ranges_text(ranges: Sequence[Range]) -> str:
    """'7, 9-12 and 3 more ranges'."""
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges[:SHOWN])
    more = len(ranges) - SHOWN
    return f"{shown} and {more} more ranges" if more > 0 else shown


def _by_run(records: Mapping[str, Sequence[Range]]) -> str:
    runs = [f"run {run} seq {ranges_text(ranges)}" for run, ranges in list(records.items())[:SHOWN]]
    more = len(records) - SHOWN
    return "; ".join(runs) + (f"; and {more} more runs" if more > 0 else "")


def _size(records: Mapping[str, Sequence[Range]]) -> int:
    return sum(b - a + 1 for ranges in records.values() for a, b in ranges)


# ---- the store's definitions -----------------------------------------------------------------------------------------


def schema_unchanged(differences: Sequence[tuple[str, str]]) -> Check:
    """Every table and view of the store is the package's. differences: (what differs, what to run)."""
    detail = "; ".join(text for text, _ in differences[:SHOWN]) + (
        f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    )
    return Check(
        name="schema.unchanged",
        ok=not differences,
        expected=0,
        actual=len(differences),
        detail=detail,
        fix=joined_fixes([fix for _, fix in differences]),
        unit="differences",
    )


def joined_fixes(fixes: Iterable[str]) -> str:
    """Fixes as one line: commands one after the other; advice only where there is no command, as it would comment out
    what follows."""
    every = list(dict.fromkeys(fixes))
    commands = [fix for fix in every if not fix.startswith("#")]
    return " && ".join(commands) or "; ".join(every)


# ---- the log's own checks --------------------------------------------------------------------------------------------


def log_present(tally: Tally) -> Check:
    """There is something to verify: nothing proven is vacuous."""
    data = tally.records - tally.count("event")
    return Check(
        name="log.present",
        ok=data > 0,
        expected=1,
        actual=data,
        detail="" if data else NOTHING,
        fix="" if data else "tradecap replay sample:",
        unit="records",
    )


def run_state(tally: Tally, run: RunTally, open_runs: Collection[str], unended: str) -> str:
    """'ended', 'open', 'recovered', or unended: 'torn' in a log with one writer, 'silent' in one whose writers nobody
    can know."""
    if run.ended is not None and run.ended_seq == run.last_seq:
        return "ended"
    if run.run in tally.recovered and tally.recovered[run.run] == run.last_seq:
        return "recovered"
    if run.run in open_runs:
        return "open"
    return unended


def run_states(tally: Tally, open_runs: Collection[str], unended: str) -> dict[str, int]:
    """How many runs are in each state."""
    states = [run_state(tally, run, open_runs, unended) for run in tally.runs.values() if is_numbered(run.run)]
    return {state: states.count(state) for state in ("ended", "open", "recovered", "torn", "silent")}


def holes(tally: Tally) -> dict[str, list[Range]]:
    """Per run the ranges of seq that are missing, up to its last record or the one that was attested when it was
    recovered."""
    missing = {
        run.run: run.seqs.gaps_within(0, max(run.last_seq, tally.recovered.get(run.run, -1)))
        for run in tally.runs.values()
        if is_numbered(run.run)
    }
    return {run: ranges for run, ranges in missing.items() if ranges}


def is_numbered(run: str) -> bool:
    """Whether a run numbers its records. The one that stands for lines without an envelope (UUIDv8) goes by their
    hashes or offsets."""
    return run[14] != "8"


def log_complete(
    tally: Tally,
    open_runs: Collection[str],
    unended: str,
    lost_segments: Sequence[str],
    *,
    allow_torn: bool,
    allow_gaps: bool = False,
    missing: Mapping[str, list[Range]] | None = None,
    losses: Sequence[str] = (),
) -> Check:
    """Every run holds seq 0..n without a hole, its end is known (or may be torn), and no segment is gone: it may have
    held whole runs.

    A run that was attested holds no record above the attested one: its writer would have been alive after all. missing:
    the holes that nothing explains, where retention explains some.
    """
    missing = holes(tally) if missing is None else missing
    torn = [
        run
        for run in tally.runs.values()
        if is_numbered(run.run) and run_state(tally, run, open_runs, unended) == unended
    ]
    beyond = [run for run in tally.runs.values() if run.last_seq > tally.recovered.get(run.run, run.last_seq)]
    details = [f"missing: {_by_run(missing)}"] if missing else []
    details += losses[:SHOWN]
    details += [f"whatever was in {segment} is missing" for segment in lost_segments[:SHOWN]]
    details += [f"run {run.run} has no end: its last record is seq {run.last_seq}" for run in torn[:SHOWN]]
    details += [
        f"run {run.run} was attested up to seq {tally.recovered[run.run]}, and goes on to {run.last_seq}"
        for run in beyond[:SHOWN]
    ]
    ok = not missing and not lost_segments and not beyond and (allow_torn or not torn) and (allow_gaps or not losses)
    attest = f"tradecap attest {torn[0].run}" if torn and not allow_torn else ""
    fix = (
        ""
        if ok
        else ("# see log.intact: a segment was lost or changed")
        if missing or lost_segments
        else attest or KEEP_LONGER
    )
    found = [
        f"{counted(_size(missing), 'record')} missing",
        *([f"{counted(len(lost_segments), 'segment')} missing"] if lost_segments else []),
        f"{counted(len(torn), 'run')} {unended}",
        *([f"{counted(len(losses), 'stretch', 'stretches')} never loaded"] if losses else []),
        *([f"{counted(len(beyond), 'run')} beyond the attested end"] if beyond else []),
    ]
    actual = _size(missing) + len(lost_segments) + len(torn) + len(losses) + len(beyond)
    return Check(
        name="log.complete",
        ok=ok,
        expected=0,
        actual=actual,
        detail="; ".join([*details, ", ".join(found)] if actual else []),
        fix=fix,
        unit="missing",
    )


def log_identity(tally: Tally) -> Check:
    """No (run, seq) has two contents."""
    two = {key: hashes for key, hashes in tally.repeated.items() if len(hashes) > 1}
    shown = ", ".join(f"{run} seq {seq}" for run, seq in sorted(two)[:SHOWN])
    return Check(
        name="log.identity",
        ok=not two,
        expected=0,
        actual=len(two),
        detail=shown,
        fix="# two logs were mixed or a segment was edited: bring the log back from a copy" if two else "",
        unit="with two contents",
    )


def log_intact(damage: Sequence[str]) -> Check:
    """Manifests and checksums agree with the segments. damage: a sentence for each place, without its stop."""
    shown = "; ".join(damage[:SHOWN])
    return Check(
        name="log.intact",
        ok=not damage,
        expected=0,
        actual=len(damage),
        detail=shown,
        fix=FROM_A_COPY if damage else "",
        unit="damaged places",
    )


# ---- log against store -----------------------------------------------------------------------------------------------


def ledger_complete(tally: Tally, differences: Differences, *, is_fed: bool, fixes: Fixes, others: int) -> Check:
    """Each record of the log has its ledger row, none more."""
    found = [(name, records) for name, records in differences.named() if records]
    details = [f"{name}: {_by_run(records)}" for name, records in found]
    if not is_fed:
        details.insert(0, "this store has nothing of this log")
    if others:
        details.append(
            f"{counted(others, 'run')} of other logs {'is' if others == 1 else 'are'} in this "
            f"store{' too' if is_fed else ': is it the right one?'}"
        )
    is_disputed = bool(differences.extra or differences.changed)
    if is_disputed and fixes.dispute:
        details.append(fixes.dispute)
    ok = not found and is_fed
    is_only_pending = all(name == PENDING for name, _ in found)
    lacking = _size(differences.missing) + _size(differences.pending) + _size(differences.changed)
    actual = _agreeing(tally.records, lacking, _size(differences.extra)) if is_fed else 0
    fix = "" if ok else fixes.load if is_only_pending else fixes.keep if is_disputed else fixes.rebuild
    return Check(
        name="ledger.complete",
        ok=ok,
        expected=tally.records,
        actual=actual,
        detail="; ".join(details),
        fix=fix,
        unit="records",
    )


def _agreeing(expected: int, lacking: int, extra: int) -> int:
    """How many are as expected; more where nothing is lacking and some are made up. Never the expected number where
    anything differs."""
    return max(expected - lacking, 0) if lacking else expected + extra


def accounting(accounts: Accounts) -> Check:
    """records = trades + duplicates + conflicts + quarantined + ignored + events."""
    parts = (
        accounts.trades,
        accounts.duplicates,
        accounts.conflicts,
        accounts.quarantined,
        accounts.ignored,
        accounts.events,
    )
    ok = sum(parts) == accounts.records
    names = ("trades", "duplicates", "conflicts", "quarantined", "ignored", "events")
    detail = " + ".join(f"{number(n)} {name}" for n, name in zip(parts, names, strict=True))
    return Check(
        name="accounting",
        ok=ok,
        expected=accounts.records,
        actual=sum(parts),
        detail=detail,
        fix="" if ok else LEDGER_FIRST,
        unit="records",
    )


def rows_accounted(name: str, of_ledger: int, of_table: int, differences: Sequence[str], fix: str) -> Check:
    """A table holds just what the ledger says: trades.accounted, quarantine.accounted. Rows that differ don't count as
    found."""
    shown = "; ".join(differences[:SHOWN]) + (
        f"; and {number(len(differences) - SHOWN)} more" if len(differences) > SHOWN else ""
    )
    ok = not differences and of_ledger == of_table
    actual = of_table if of_table != of_ledger else max(of_ledger - len(differences), 0)
    return Check(name=name, ok=ok, expected=of_ledger, actual=actual, detail=shown, fix="" if ok else fix, unit="rows")


def candles_exact(candles: int, differences: Sequence[str], fixes: Fixes, *, is_stale: bool) -> Check:
    """Stored minutes equal a fresh computation from the trades. is_stale: whether a load makes all of them again."""
    shown = "; ".join(differences[:SHOWN]) + (
        f"; and {number(len(differences) - SHOWN)} more" if len(differences) > SHOWN else ""
    )
    shown += (
        ("; what stays different after that was changed by hand: make the store again")
        if differences and is_stale
        else ""
    )
    fix = "" if not differences else fixes.load if is_stale else fixes.rebuild
    return Check(
        name="candles.exact",
        ok=not differences,
        expected=0,
        actual=len(differences),
        detail=shown,
        fix=fix,
        unit=f"of {counted(candles, 'minute')} differ",
    )


# ---- ids, conflicts, faults ------------------------------------------------------------------------------------------


def coverage(tally: Tally, series: Series, run_id: str = "") -> IdCoverage:
    """What the runs (or the one named) covered of a series, and what no valid record holds in it and between."""
    covered = TradeIds()
    for run in tally.runs.values():
        if series in run.spans and run_id in ("", run.run):
            covered.add_range(*run.spans[series])
    ids = tally.series[series].ids
    gaps = [gap for first, last in covered.intervals() for gap in ids.gaps_within(first, last)]
    return IdCoverage(covered.intervals(), gaps, covered.gaps())


def narrowed(whole: IdCoverage, first: int, last: int) -> IdCoverage:
    """The part of a coverage between two ids."""

    def cut(ranges: list[Range]) -> list[Range]:
        return TradeIds(ranges).within(first, last)

    return IdCoverage(cut(whole.coverage), cut(whole.gaps), cut(whole.uncovered))


def ids_contiguous(coverages: Mapping[Series, IdCoverage], *, allow_gaps: bool, strict: bool) -> Check:
    """No id is missing inside what a run covered; with strict, none between either."""
    gaps = {key: c.gaps for key, c in coverages.items() if c.gaps}
    uncovered = {key: c.uncovered for key, c in coverages.items() if c.uncovered}
    count, between = sum(map(len, gaps.values())), sum(map(len, uncovered.values()))
    details = [f"{' '.join(key)}: ids {ranges_text(ranges)} missing" for key, ranges in list(gaps.items())[:SHOWN]]
    details += [
        f"{' '.join(key)}: ids {ranges_text(ranges)} were not covered"
        for key, ranges in list(uncovered.items())[:SHOWN]
    ]
    ok = (allow_gaps or not gaps) and (not strict or not uncovered)
    fix = "" if ok else "# replay a recording that holds them, or accept them with --allow-gaps"
    return Check(
        name="ids.contiguous",
        ok=ok,
        expected=0,
        actual=count + (between if strict else 0),
        detail="; ".join(details),
        fix=fix,
        unit="gaps",
    )


def conflicts_none(natural: int, injected: int, places: Sequence[str]) -> Check:
    """No id has two contents, except those that inject-bad made."""
    details = [*places[:SHOWN], *(["the first by (run, seq) is the trade"] if natural else [])]
    details += (
        [f"{counted(injected, 'conflict')} that inject-bad made" + (" more" if natural else "")] if injected else []
    )
    return Check(
        name="conflicts.none",
        ok=not natural,
        expected=0,
        actual=natural,
        detail="; ".join(details),
        fix="tradecap query conflicts" if natural else "",
        unit="conflicts",
    )


def injected_found(
    tally: Tally, losers: Mapping[tuple[str, str], tuple[int, int]], fix: str, *, is_shortened: bool = False
) -> Check:
    """What inject-bad says it wrote is what was found, fault by fault. losers: (run, fault) -> (duplicates, conflicts)
    as the ledger splits them.

    is_shortened: retention has removed records. What a duplicate repeats may be gone, and so may some of the faults.
    """
    problems: list[str] = []
    total = written = 0
    for run in tally.runs.values():
        found = _found_faults(run, losers, is_shortened=is_shortened)
        declared = _declared_faults(run)
        right = sum(n for (_, ok), n in found.items() if ok)
        total += right
        written += sum(found.values()) if declared is None else sum(declared.values())
        problems += [
            f"run {run.run}: {n} {fault} came out as something else" for (fault, ok), n in found.items() if not ok
        ]
        if declared is not None:
            actual = {
                fault: sum(n for (name, _), n in found.items() if name == fault)
                for fault in {*declared, *(name for name, _ in found)}
            }
            may_lack = is_shortened and len(run.seqs) <= run.last_seq
            problems += [
                f"run {run.run}: {declared.get(fault, 0)} {fault} written, {n} found"
                for fault, n in sorted(actual.items())
                if n > declared.get(fault, 0) or (n < declared.get(fault, 0) and not may_lack)
            ]
    return Check(
        name="injected.found",
        ok=not problems,
        expected=written,
        actual=total,
        detail="; ".join(problems[:SHOWN]),
        fix=fix if problems else "",
        unit="faults",
    )


def _found_faults(
    run: RunTally, losers: Mapping[tuple[str, str], tuple[int, int]], *, is_shortened: bool
) -> dict[tuple[str, bool], int]:
    """(fault, whether it came out as the table of faults says) -> records."""
    found: dict[tuple[str, bool], int] = {}
    for (fault, outcome, reason), n in run.faults.items():
        due = FAULTS[fault].outcome if fault in FAULTS else ""
        if outcome == "trade" and due in ("duplicate", "conflict"):
            duplicates, conflicts = losers.get((run.run, fault), (0, 0))
            wrong = conflicts if due == "duplicate" else duplicates
            right = n - wrong if is_shortened else duplicates if due == "duplicate" else conflicts
            _add(found, (fault, True), right)
            _add(found, (fault, False), n - right)
        else:
            _add(found, (fault, fault not in FAULTS or due == reason), n)
    return found


def _add(counts: dict[tuple[str, bool], int], key: tuple[str, bool], n: int) -> None:
    if n:
        counts[key] = counts.get(key, 0) + n


def _declared_faults(run: RunTally) -> dict[str, int] | None:
    """The injected faults by the run's end record; None for a run that reports none."""
    injected = (run.ended or {}).get("injected")
    if not isinstance(injected, dict):
        return None
    return {str(fault): n for fault, n in injected.items() if isinstance(n, int)}


def expectations(expected: Mapping[str, int], actual: Mapping[str, int]) -> Iterable[Check]:
    """One check for each --expect NAME=N."""
    for name, wanted in expected.items():
        there = actual.get(name, 0)
        question = SHOWN_BY.get(name.partition(".")[0], "runs")
        ok = there == wanted
        yield Check(
            name=f"expect.{name}", ok=ok, expected=wanted, actual=there, fix="" if ok else f"tradecap query {question}"
        )
