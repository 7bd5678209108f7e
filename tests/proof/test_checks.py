"""What verify finds, check by check: what is reported, where, and what to run."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_trade
from tradecap.digits import number
from tradecap.market.records import Event, Reading, Rejected, RunWriter, frame, read_envelope, series_head
from tradecap.proof import checks
from tradecap.proof.checks import (
    AGAIN,
    LOAD,
    NEXT_TO_IT,
    ONE_IS_WRONG,
    RESTORE,
    Accounts,
    Differences,
    Fixes,
    IdCoverage,
)
from tradecap.proof.tally import Tally

A, B = "01930000-0000-7000-8000-00000000000a", "01930000-0000-7000-8000-00000000000b"
ORPHANS = "01930000-0000-8000-8000-000000000000"
SERIES = ("binance", "BTCUSDT", "trade")


def add(tally: Tally, run: str, seq: int, reading: Reading, via: str = "ws", **detail: Any) -> None:
    """One more record of the log."""
    writer = RunWriter(run, seq)
    framed = frame(repr(reading).encode())
    line = (
        writer.event(1, reading.name, detail)
        if isinstance(reading, Event)
        else writer.record(None, series_head(*SERIES, via), framed)
    )
    envelope = read_envelope(line[:-1])
    assert envelope
    tally.add(envelope, reading, line[:-1])


def a_tally(ids: list[int], *, run: str = A, is_ended: bool = True) -> Tally:
    """A log of one run: started, trades with these ids, ended."""
    tally = Tally()
    a_run(tally, run, ids, is_ended=is_ended)
    return tally


def a_run(tally: Tally, run: str, ids: list[int], *, is_ended: bool = True, via: str = "ws", **ended: Any) -> None:
    add(tally, run, 0, Event("started"))
    for seq, trade_id in enumerate(ids, 1):
        add(tally, run, seq, a_trade(id=trade_id), via)
    if is_ended:
        add(tally, run, len(ids) + 1, Event("ended"), **ended)


def test_events_alone_are_nothing_to_verify() -> None:
    """A run that began and ended without a record proves nothing."""
    assert not checks.log_present(a_tally([])).ok
    assert not checks.log_present(Tally()).ok
    assert checks.log_present(a_tally([1])).ok


@pytest.mark.parametrize(
    ("is_ended", "open_runs", "recovered", "state"),
    [
        (True, [], None, "ended"),
        (True, [A], None, "ended"),
        (False, [A], None, "open"),
        (False, [B], None, "torn"),
        (False, [], 2, "recovered"),
        (False, [], 1, "torn"),
        (False, [], 9, "torn"),
    ],
)
def test_the_state_of_a_run(is_ended: bool, open_runs: list[str], recovered: int | None, state: str) -> None:
    """Only an end, a living writer or an attest that names the very last record excuses a run from being torn."""
    tally = a_tally([1, 2], is_ended=is_ended)
    if recovered is not None:
        tally.recovered[A] = recovered
    assert checks.run_state(tally, tally.runs[A], open_runs, "torn") == state
    assert checks.run_states(tally, open_runs, "torn")[state] == 1


def test_a_run_that_went_on_after_its_end_has_not_ended() -> None:
    """A forged end in the middle would hide what was cut off behind it."""
    tally = a_tally([1, 2])
    add(tally, A, 4, a_trade(id=3))
    assert checks.run_state(tally, tally.runs[A], [], "torn") == "torn"


@given(st.sets(st.integers(0, 40), min_size=1))
def test_every_missing_seq_is_named(lost: set[int]) -> None:
    """A hole that isn't reported is a record that nobody looks for."""
    tally = Tally()
    for seq in set(range(42)) - lost:
        add(tally, A, seq, Event("ended" if seq == 41 else "connected"))
    named = {seq for first, last in checks.holes(tally)[A] for seq in range(first, last + 1)}
    assert named == lost
    assert not checks.log_complete(tally, [], "torn", [], allow_torn=True).ok


def test_lines_without_an_identity_have_no_holes_and_need_no_end() -> None:
    """They go by their hashes: four milliards of them would be missed."""
    tally = a_tally([1])
    add(tally, ORPHANS, 3_000_000_000, Rejected("malformed_json"))
    assert checks.log_complete(tally, [], "torn", [], allow_torn=False).ok
    assert checks.run_states(tally, [], "torn") == {"ended": 1, "open": 0, "recovered": 0, "torn": 0, "silent": 0}


def test_a_lost_segment_is_incompleteness_even_if_no_number_is_missing() -> None:
    """A whole run leaves no hole in the others."""
    found = checks.log_complete(a_tally([1]), [], "torn", ["000007.ndjson.zst"], allow_torn=True)
    assert not found.ok
    assert "000007.ndjson.zst" in found.detail
    assert found.fix


@pytest.mark.parametrize(
    ("differences", "report", "fix"),
    [
        (Differences(missing={A: [(3, 9), (12, 12)]}), f"lost: run {A} seq 3-9, 12", AGAIN),
        (Differences(pending={A: [(3, 9)]}), f"not loaded yet: run {A} seq 3-9", LOAD),
        (
            Differences(pending={A: [(3, 9)]}, changed={A: [(1, 1)]}),
            f"not loaded yet: run {A} seq 3-9; changed: run {A} seq 1; {ONE_IS_WRONG}",
            NEXT_TO_IT,
        ),
        (Differences(extra={B: [(0, 0)]}), f"made by no record: run {B} seq 0; {ONE_IS_WRONG}", NEXT_TO_IT),
    ],
)
def test_the_ledger_says_what_differs_and_what_repairs_it(differences: Differences, report: str, fix: str) -> None:
    """A user who rebuilds everything where a load would do loses an hour; the other way round he loses his records."""
    found = checks.ledger_complete(a_tally([1]), differences, is_fed=True, fixes=Fixes(), others=0)
    assert (found.ok, found.detail, found.fix) == (False, report, fix)


def test_a_store_is_never_dropped_for_a_log_that_lost_records() -> None:
    """It may hold the only copy."""
    found = checks.ledger_complete(
        a_tally([1]),
        Differences(extra={A: [(9, 9)]}),
        is_fed=True,
        fixes=Fixes(rebuild=RESTORE, keep=RESTORE),
        others=0,
    )
    assert found.fix == RESTORE
    assert "--drop" not in found.fix


def test_a_store_with_nothing_of_the_log_fails_though_nothing_differs() -> None:
    """Nothing proven is vacuous."""
    assert not checks.ledger_complete(a_tally([1]), Differences(), is_fed=False, fixes=Fixes(), others=3).ok
    assert checks.ledger_complete(a_tally([1]), Differences(), is_fed=True, fixes=Fixes(), others=3).ok


@given(st.lists(st.integers(0, 5), min_size=6, max_size=6), st.integers(0, 30))
def test_the_equation_holds_or_fails(parts: list[int], records: int) -> None:
    """records = trades + duplicates + conflicts + quarantined + ignored + events."""
    trades, duplicates, conflicts, quarantined, ignored, events = parts
    accounts = Accounts(
        records=records,
        trades=trades,
        duplicates=duplicates,
        conflicts=conflicts,
        quarantined=quarantined,
        ignored=ignored,
        events=events,
        redelivered=7,
        candles=9,
    )
    assert checks.accounting(accounts).ok == (records == sum(parts))


def test_a_table_fails_by_its_rows_and_by_their_number() -> None:
    """Differences are listed up to a limit: a number that doesn't agree must fail even without one."""
    assert checks.rows_accounted("trades.accounted", 5, 5, [], AGAIN).ok
    assert not checks.rows_accounted("trades.accounted", 5, 4, [], AGAIN).ok
    assert not checks.rows_accounted("trades.accounted", 5, 5, ["id 1: changed"], AGAIN).ok
    many = checks.rows_accounted("trades.accounted", 5, 5, [f"id {n}: changed" for n in range(9)], LOAD)
    assert many.detail.endswith("id 4: changed; and 4 more")
    assert many.fix == LOAD


# ---- ids -------------------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), min_size=1, max_size=4))
def test_coverage_gaps_and_uncovered_ids_are_what_the_words_say(runs: list[list[int]]) -> None:
    """A gap is an id that a run went over and no record holds; uncovered is one between two coverages."""
    tally = Tally()
    for n, ids in enumerate(runs):
        a_run(tally, A[:-1] + f"{n:x}", ids)
    found = checks.coverage(tally, SERIES)
    held = {trade_id for ids in runs for trade_id in ids}
    covered = {trade_id for ids in runs for trade_id in range(min(ids), max(ids) + 1)}
    between = set(range(min(held), max(held) + 1)) - covered
    assert [_numbers(found.coverage), _numbers(found.gaps), _numbers(found.uncovered)] == [
        covered,
        covered - held,
        between,
    ]


def _numbers(ranges: list[checks.Range]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def test_the_coverage_of_one_run_is_its_own() -> None:
    """What another run went over isn't a gap of this one; what another run holds isn't one either."""
    tally = a_tally([1, 2, 9])
    a_run(tally, B, [3, 5])
    assert checks.coverage(tally, SERIES, A) == IdCoverage([(1, 9)], [(4, 4), (6, 8)], [])
    assert checks.coverage(tally, SERIES, B) == IdCoverage([(3, 5)], [(4, 4)], [])


def test_a_coverage_is_cut_to_a_range() -> None:
    """A gap outside the range asked for must not fail it, half a gap inside must."""
    whole = IdCoverage([(1, 9), (20, 30)], [(3, 5)], [(10, 19)])
    assert checks.narrowed(whole, 4, 12) == IdCoverage([(4, 9)], [(4, 5)], [(10, 12)])
    assert checks.narrowed(whole, 21, 22) == IdCoverage([(21, 22)], [], [])


@pytest.mark.parametrize(
    ("allow_gaps", "strict", "gaps", "uncovered", "ok"),
    [
        (False, False, [], [], True),
        (False, False, [(3, 5)], [], False),
        (True, False, [(3, 5)], [], True),
        (False, False, [], [(10, 19)], True),
        (False, True, [], [(10, 19)], False),
        (True, True, [(3, 5)], [(10, 19)], False),
    ],
)
def test_gaps_fail_unless_allowed_and_uncovered_ids_where_strict(
    allow_gaps: bool, strict: bool, gaps: Any, uncovered: Any, ok: bool
) -> None:
    """The two options are independent: allowing one must not allow the other."""
    found = checks.ids_contiguous(
        {SERIES: IdCoverage([(1, 30)], gaps, uncovered)}, allow_gaps=allow_gaps, strict=strict
    )
    assert found.ok is ok
    assert bool(found.fix) is not ok


def test_ranges_are_shortened() -> None:
    """A thousand ranges on one line are read by nobody."""
    assert checks.ranges_text([(7, 7), (9, 12)]) == "7, 9-12"
    assert checks.ranges_text([(n, n) for n in range(0, 16, 2)]) == "0, 2, 4, 6, 8 and 3 more ranges"
    assert number(1234567) == "1\u202f234\u202f567"


# ---- faults and expectations -----------------------------------------------------------------------------------------


def injected(answer: dict[str, int] | None, faults: list[tuple[str, Reading]]) -> Tally:
    """A run of inject-bad that says this and wrote that."""
    tally = Tally()
    add(tally, A, 0, Event("started"))
    for seq, (fault, reading) in enumerate(faults, 1):
        add(tally, A, seq, reading, f"inject:{fault}")
    detail: dict[str, Any] = {} if answer is None else {"injected": answer}
    add(tally, A, len(faults) + 1, Event("ended"), **detail)
    return tally


DUPE, CONFLICT, NULL = a_trade(), a_trade(price=1), Rejected("null_field", "p")


@pytest.mark.parametrize(
    ("answer", "faults", "losers", "problem"),
    [
        ({"dupes": 1, "nulls": 1}, [("dupes", DUPE), ("nulls", NULL)], {(A, "dupes"): (1, 0)}, ""),
        ({"conflicts": 1}, [("conflicts", CONFLICT)], {(A, "conflicts"): (0, 1)}, ""),
        ({"file": 1}, [("file", DUPE)], {}, ""),
        (None, [("nulls", NULL)], {}, ""),
        ({"nulls": 2}, [("nulls", NULL)], {}, f"run {A}: 2 nulls written, 1 found"),
        ({"nulls": 1, "dupes": 3}, [("nulls", NULL)], {}, f"run {A}: 3 dupes written, 0 found"),
        ({}, [("nulls", NULL)], {}, f"run {A}: 0 nulls written, 1 found"),
        ({"nulls": 1}, [("nulls", Rejected("bad_time", "T"))], {}, f"run {A}: 1 nulls came out as something else"),
        ({"nulls": 1}, [("nulls", DUPE)], {}, f"run {A}: 1 nulls came out as something else"),
        ({"dupes": 1}, [("dupes", DUPE)], {(A, "dupes"): (0, 1)}, f"run {A}: 1 dupes came out as something else"),
        ({"dupes": 1}, [("dupes", DUPE)], {(B, "dupes"): (1, 0)}, f"run {A}: 1 dupes came out as something else"),
        ({"dupes": 1}, [("dupes", NULL)], {}, f"run {A}: 1 dupes came out as something else"),
        ({"truncated": 1}, [("truncated", Rejected("malformed_json"))], {}, ""),
    ],
)
def test_each_fault_has_to_be_found_as_what_it_is(
    answer: dict[str, int] | None,
    faults: list[tuple[str, Reading]],
    losers: dict[tuple[str, str], tuple[int, int]],
    problem: str,
) -> None:
    """A fault that comes out as another one, or not at all, means that a check doesn't work."""
    found = checks.injected_found(injected(answer, faults), losers, AGAIN)
    assert (found.ok, found.detail) == (not problem, problem)
    assert found.fix == (AGAIN if problem else "")


def test_natural_conflicts_fail_and_injected_ones_do_not() -> None:
    """What was put in on purpose isn't a finding."""
    assert checks.conflicts_none(0, 5, []).ok
    found = checks.conflicts_none(2, 5, ["id 1", "id 2"])
    assert (found.ok, found.actual, found.detail.startswith("id 1; id 2; ")) == (False, 2, True)


def test_an_expectation_is_met_to_the_last_record() -> None:
    """Ninety-nine duplicates found of a hundred expected is one lost."""
    found = list(
        checks.expectations(
            {"duplicates": 100, "trades": 5, "quarantined.bad_time": 0}, {"duplicates": 99, "trades": 5}
        )
    )
    assert [check.name for check in found] == ["expect.duplicates", "expect.trades", "expect.quarantined.bad_time"]
    assert [check.ok for check in found] == [False, True, True]
    assert "tradecap query duplicates" in found[0].fix
    assert [check.fix for check in found[1:]] == ["", ""]
