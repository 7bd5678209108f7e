"""What `verify` finds: each check says what was expected, what is there, what differs and what to run.

Rules: pure; a check that has nothing to look at does not pass. `log_side` is a Tally of the log alone; what the store says comes as plain numbers
and ranges. What feeds each check: docs/data-quality.md.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tradecap.market.faults import FAULTS
from tradecap.market.trade_ids import TradeIds
from tradecap.proof.tally import RunTally, Series, Tally

Range = tuple[int, int]
SHOWN: Final = 5
"""How many places a detail names; the rest is counted."""
LOAD: Final = "tradecap load"
ANEW: Final = "the log is whole: tradecap init-db --drop --yes, then tradecap load"
RESTORE: Final = "mend the log first (its own checks say where) and keep this store: it may hold what the log has lost"
KEEP_LONGER: Final = "keep records longer (retention.ms of the topic), or load more often; --allow-gaps accepts what is gone"
LEDGER_FIRST: Final = "look at ledger.complete first"
SHOWN_BY: Final = {"duplicates": "duplicates", "conflicts": "conflicts", "quarantined": "quarantine", "gaps": "gaps", "trades": "symbols"}
"""What `tradecap query` is asked to see what an expectation counts; the rest is in `runs`."""


@dataclass(frozen=True)
class Check:
    """One finding. detail names what differs; fix says what to run, '' where nothing is to be done."""

    name: str
    ok: bool
    expected: str
    actual: str
    detail: str = ""
    fix: str = ""


PENDING: Final = "not loaded yet"


@dataclass(frozen=True)
class Differences:
    """Records by which the ledger differs from the log: per run ranges of seq. pending: not yet loaded."""

    missing: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    pending: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    extra: Mapping[str, Sequence[Range]] = field(default_factory=dict)
    changed: Mapping[str, Sequence[Range]] = field(default_factory=dict)

    def named(self) -> list[tuple[str, Mapping[str, Sequence[Range]]]]:
        """Each kind as it is told to a person."""
        return [("lost", self.missing), (PENDING, self.pending), ("changed", self.changed), ("made by no record", self.extra)]


@dataclass(frozen=True)
class Coverage:
    """Ids of one series: ranges that runs covered, ids missing inside them, and ids between two coverages."""

    coverage: list[Range]
    gaps: list[Range]
    uncovered: list[Range]


@dataclass(frozen=True)
class Accounts:
    """Distinct records of the log, split; duplicates and conflicts as the ledger splits what the log holds twice.

    expired: records of the ledger that retention has removed from the log. empty: values without content, which are no records.
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


def number(value: int) -> str:
    """Digits in groups of three."""
    return f"{value:,}".replace(",", " ")


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 run, 2 runs."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {plural or noun + 's'}"


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


# ---- the store's definitions -------------------------------------------------------------------------------------------------------------


def schema_unchanged(differences: Sequence[tuple[str, str]]) -> Check:
    """Every table and view of the store is the package's. differences: (what differs, what to run)."""
    detail = "; ".join(text for text, _ in differences[:SHOWN]) + (f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else "")
    return Check(
        "schema.unchanged", not differences, number(0), number(len(differences)), detail, "; ".join(dict.fromkeys(fix for _, fix in differences))
    )


# ---- the log's own checks ----------------------------------------------------------------------------------------------------------------


def log_present(tally: Tally) -> Check:
    """There is something to verify: nothing proven is vacuous."""
    data = tally.records - tally.count("event")
    return Check("log.present", data > 0, "at least one record of a venue", counted(data, "record"), fix="" if data else "tradecap replay sample:")


def run_state(tally: Tally, run: RunTally, open_runs: Collection[str], unended: str) -> str:
    """'ended', 'open', 'recovered', or unended: 'torn' in a log with one writer, 'silent' in one whose writers nobody can know."""
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
    """Per run the ranges of seq that are missing, up to its last record or the one that was attested when it was recovered."""
    missing = {
        run.run: run.seqs.gaps_within(0, max(run.last_seq, tally.recovered.get(run.run, -1))) for run in tally.runs.values() if is_numbered(run.run)
    }
    return {run: ranges for run, ranges in missing.items() if ranges}


def is_numbered(run: str) -> bool:
    """Whether a run numbers its records. The one that stands for lines without an envelope (UUIDv8) goes by their hashes or offsets."""
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
    """Every run holds seq 0..n without a hole, its end is known (or may be torn), and no segment is gone: it may have held whole runs.

    A run that was attested holds no record above the attested one: its writer would have been alive after all. missing: the
    holes that nothing explains, where retention explains some.
    """
    missing = holes(tally) if missing is None else missing
    torn = [run for run in tally.runs.values() if is_numbered(run.run) and run_state(tally, run, open_runs, unended) == unended]
    beyond = [run for run in tally.runs.values() if run.last_seq > tally.recovered.get(run.run, run.last_seq)]
    details = [f"missing: {_by_run(missing)}"] if missing else []
    details += losses[:SHOWN]
    details += [f"whatever was in {segment} is missing" for segment in lost_segments[:SHOWN]]
    details += [f"run {run.run} has no end: its last record is seq {run.last_seq}" for run in torn[:SHOWN]]
    details += [f"run {run.run} was attested up to seq {tally.recovered[run.run]}, and goes on to {run.last_seq}" for run in beyond[:SHOWN]]
    ok = not missing and not lost_segments and not beyond and (allow_torn or not torn) and (allow_gaps or not losses)
    attest = f"tradecap attest {torn[0].run}" if torn else ""
    fix = "" if ok else "look at log.intact: a segment was lost or changed" if missing or lost_segments else attest or KEEP_LONGER
    found = [
        f"{counted(_size(missing), 'record')} missing",
        *([f"{counted(len(lost_segments), 'segment')} missing"] if lost_segments else []),
        f"{counted(len(torn), 'run')} {unended}",
        *([f"{counted(len(losses), 'stretch', 'stretches')} never loaded"] if losses else []),
        *([f"{counted(len(beyond), 'run')} beyond the attested end"] if beyond else []),
    ]
    return Check("log.complete", ok, f"{counted(len(tally.runs), 'run')}, each 0..n and ended", ", ".join(found), "; ".join(details), fix)


def log_identity(tally: Tally) -> Check:
    """No (run, seq) stands with two contents."""
    two = {key: hashes for key, hashes in tally.repeated.items() if len(hashes) > 1}
    shown = ", ".join(f"{run} seq {seq}" for run, seq in sorted(two)[:SHOWN])
    return Check(
        "log.identity",
        not two,
        "one content for each (run, seq)",
        f"{len(two)} with more",
        shown,
        "two logs were mixed or a segment was edited" if two else "",
    )


def log_intact(damage: Sequence[str]) -> Check:
    """Manifests and checksums agree with the segments. damage: a sentence for each place, without its stop."""
    shown = "; ".join(damage[:SHOWN])
    fix = "bring the segment back from a copy (a manifest: tradecap verify --rebuild-manifests); everything else stays readable" if damage else ""
    return Check("log.intact", not damage, "no damage", counted(len(damage), "damaged place"), shown, fix)


# ---- log against store -------------------------------------------------------------------------------------------------------------------


def ledger_complete(tally: Tally, differences: Differences, *, is_fed: bool, is_whole: bool, others: int) -> Check:
    """Each record of the log has its ledger row, none more. is_whole: the log is what its writers left; only then may the store be dropped."""
    found = [(name, records) for name, records in differences.named() if records]
    details = [f"{name}: {_by_run(records)}" for name, records in found]
    if not is_fed:
        details.insert(0, "this store has nothing of this log")
    if others:
        details.append(
            f"{counted(others, 'run')} of other logs {'is' if others == 1 else 'are'} in this store{' too' if is_fed else ': is it the right one?'}"
        )
    ok = not found and is_fed
    is_only_pending = all(name == PENDING for name, _ in found)
    actual = "the same" if ok else ", ".join(f"{number(_size(records))} {name}" for name, records in found) or "nothing of this log"
    fix = "" if ok else LOAD if is_only_pending else ANEW if is_whole else RESTORE
    return Check("ledger.complete", ok, f"{number(tally.records)} records", actual, "; ".join(details), fix)


def accounting(accounts: Accounts) -> Check:
    """records = trades + duplicates + conflicts + quarantined + ignored + events."""
    parts = (accounts.trades, accounts.duplicates, accounts.conflicts, accounts.quarantined, accounts.ignored, accounts.events)
    ok = sum(parts) == accounts.records
    names = ("trades", "duplicates", "conflicts", "quarantined", "ignored", "events")
    detail = " + ".join(f"{number(n)} {name}" for n, name in zip(parts, names, strict=True))
    return Check("accounting", ok, f"{number(accounts.records)} records", number(sum(parts)), detail, "" if ok else LEDGER_FIRST)


def rows_accounted(name: str, of_ledger: int, of_table: int, differences: Sequence[str], mend: str) -> Check:
    """A table holds just what the ledger says: trades.accounted, quarantine.accounted. mend: what to run where it doesn't."""
    shown = "; ".join(differences[:SHOWN]) + (f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else "")
    ok = not differences and of_ledger == of_table
    return Check(name, ok, f"{number(of_ledger)} rows", f"{number(of_table)} rows", shown, "" if ok else mend)


def candles_exact(candles: int, differences: Sequence[str], mend: str) -> Check:
    """Stored minutes equal a fresh computation from the trades. mend: what to run where a value was changed by hand."""
    shown = "; ".join(differences[:SHOWN]) + (f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else "")
    fix = "" if not differences else f"{LOAD} makes stale and missing minutes anew; what stays different was changed by hand: {mend}"
    return Check("candles.exact", not differences, counted(candles, "minute"), f"{len(differences)} differ", shown, fix)


# ---- ids, conflicts, faults --------------------------------------------------------------------------------------------------------------


def coverage(tally: Tally, series: Series, run_id: str = "") -> Coverage:
    """What the runs (or the one named) covered of a series, and what no valid record holds in it and between."""
    covered = TradeIds()
    for run in tally.runs.values():
        if series in run.spans and run_id in ("", run.run):
            covered.add_range(*run.spans[series])
    ids = tally.series[series].ids
    gaps = [gap for first, last in covered.intervals() for gap in ids.gaps_within(first, last)]
    return Coverage(covered.intervals(), gaps, covered.gaps())


def narrowed(whole: Coverage, first: int, last: int) -> Coverage:
    """The part of a coverage between two ids."""

    def cut(ranges: list[Range]) -> list[Range]:
        return TradeIds(ranges).within(first, last)

    return Coverage(cut(whole.coverage), cut(whole.gaps), cut(whole.uncovered))


def ids_contiguous(coverages: Mapping[Series, Coverage], *, allow_gaps: bool, strict: bool) -> Check:
    """No id is missing inside what a run covered; with strict, none between either."""
    gaps = {key: c.gaps for key, c in coverages.items() if c.gaps}
    uncovered = {key: c.uncovered for key, c in coverages.items() if c.uncovered}
    count, between = sum(map(len, gaps.values())), sum(map(len, uncovered.values()))
    details = [f"{' '.join(key)}: ids {ranges_text(ranges)} missing" for key, ranges in list(gaps.items())[:SHOWN]]
    details += [f"{' '.join(key)}: ids {ranges_text(ranges)} were not covered" for key, ranges in list(uncovered.items())[:SHOWN]]
    ok = (allow_gaps or not gaps) and (not strict or not uncovered)
    fix = "" if ok else "replay a recording that holds them, or accept them with --allow-gaps"
    return Check("ids.contiguous", ok, "no gaps", f"{counted(count, 'gap')}, {counted(between, 'uncovered range')}", "; ".join(details), fix)


def conflicts_none(natural: int, injected: int, places: Sequence[str]) -> Check:
    """No id stands with two contents, but for those that inject-bad made."""
    shown = "; ".join(places[:SHOWN])
    fix = "'tradecap query conflicts' shows both sides; the first by (run, seq) is the trade" if natural else ""
    return Check("conflicts.none", not natural, "no conflicts", f"{natural} ({injected} more injected)", shown, fix)


def injected_found(tally: Tally, losers: Mapping[tuple[str, str], tuple[int, int]], mend: str, *, is_shortened: bool = False) -> Check:
    """What inject-bad says it wrote is what was found, fault by fault. losers: (run, fault) -> (duplicates, conflicts) as the ledger splits them.

    is_shortened: retention has removed records. What a duplicate repeats may be gone, and so may some of the faults.
    """
    problems: list[str] = []
    total = 0
    for run in tally.runs.values():
        found = _found_faults(run, losers, is_shortened=is_shortened)
        said = _said_faults(run)
        total += sum(n for (_, ok), n in found.items() if ok)
        problems += [f"run {run.run}: {n} {fault} came out as something else" for (fault, ok), n in found.items() if not ok]
        if said is not None:
            actual = {fault: sum(n for (name, _), n in found.items() if name == fault) for fault in {*said, *(name for name, _ in found)}}
            may_lack = is_shortened and len(run.seqs) <= run.last_seq
            problems += [
                f"run {run.run}: {said.get(fault, 0)} {fault} written, {n} found"
                for fault, n in sorted(actual.items())
                if n > said.get(fault, 0) or (n < said.get(fault, 0) and not may_lack)
            ]
    return Check(
        "injected.found", not problems, "every fault by its check", f"{number(total)} found", "; ".join(problems[:SHOWN]), mend if problems else ""
    )


def _found_faults(run: RunTally, losers: Mapping[tuple[str, str], tuple[int, int]], *, is_shortened: bool) -> dict[tuple[str, bool], int]:
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


def _said_faults(run: RunTally) -> dict[str, int] | None:
    """What the run's end record says was injected; None for a run that says nothing."""
    injected = (run.ended or {}).get("injected")
    if not isinstance(injected, dict):
        return None
    return {str(fault): n for fault, n in injected.items() if isinstance(n, int)}


def expectations(expected: Mapping[str, int], actual: Mapping[str, int]) -> Iterable[Check]:
    """One check for each --expect NAME=N."""
    for name, wanted in expected.items():
        there = actual.get(name, 0)
        question = SHOWN_BY.get(name.partition(".")[0], "runs")
        fix = "" if there == wanted else f"'tradecap query {question}' shows what is there; if that is right, expect {name}={there}"
        yield Check(f"expect.{name}", there == wanted, number(wanted), number(there), fix=fix)
