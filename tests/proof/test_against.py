"""Certificates held against a log: what they say of it, and whether they may be believed."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.proof.builders import COUNTS, RUN, a_certificate, a_run, a_segment, a_series
from tradecap.proof.against import unchanged
from tradecap.proof.certificate import Certificate, CheckRow, Place, read, sentence_of, written
from tradecap.proof.seal import seal_of


def test_the_same_log_is_unchanged() -> None:
    """A whole log would look tampered with."""
    check = unchanged(a_certificate(), a_certificate(made_at="later"), {})
    assert (check.name, check.ok, check.actual) == ("certificate.unchanged", True, 0)
    assert check.detail == "the same; 1 segment and 1 run as of 2026-11-21T08:00:00Z"


def test_what_came_later_is_named_and_fine() -> None:
    """A log that is still written to could never be held against a certificate."""
    now = a_certificate(
        segments=[a_segment(n) for n in (1, 2, 3)],
        runs=[a_run(1), a_run(2)],
        counts={name: 2 * n for name, n in COUNTS.items()},
        series=[a_series(trades=20, last_id=20, coverage=[(1, 20)])],
    )
    check = unchanged(a_certificate(), now, {})
    assert (check.ok, check.actual) == (True, 0)
    assert check.detail.startswith("the same and more; since then: 2 segments 000002 to 000003 added, 1 run added; ")


def test_a_segment_that_was_open_may_be_written_on_but_not_changed() -> None:
    """A certificate made during a capture would be worthless, or would hide a change."""
    counts = {**COUNTS, "records": 5, "trades": 4, "events": 1}
    then = a_certificate(
        segments=[a_segment(sha256="aa", closed=False, records=5)],
        runs=[a_run(state="open", records=5, last_seq=4, valid=4, events=1)],
        series=[a_series(trades=4, last_id=4, coverage=[(1, 4)])],
        counts=counts,
        sentence=": ".join(sentence_of(counts, [])),
    )
    now = a_certificate(segments=[a_segment(bytes=2000)])
    assert unchanged(then, now, {"000001": "aa"}).ok
    assert "written on" in unchanged(then, now, {"000001": "aa"}).detail
    assert "segment 000001 changed" in unchanged(then, now, {"000001": "bb"}).detail


@pytest.mark.parametrize(
    ("now", "report"),
    [
        ({"log": Place("log-2", "file:log")}, "the certificate is of log log-1, this is log log-2"),
        ({"segments": []}, "segment 000001 is missing (12 records)"),
        (
            {"segments": [a_segment(sha256="", problem="it is missing", lost=True)]},
            "segment 000001 is missing (12 records)",
        ),
        (
            {"segments": [a_segment(sha256="f" * 64, records=11)]},
            "segment 000001 changed: it held 12 records of sha256 000000000000, now 11 of ffffffffffff",
        ),
        ({"segments": [a_segment(sha256="f", problem="zstd checksum")]}, "zstd checksum"),
        ({"runs": []}, f"run {RUN} is missing (12 records)"),
        ({"runs": [a_run(state="torn")]}, f"run {RUN} was ended, is torn"),
        ({"runs": [a_run(records=11)]}, f"run {RUN} had 12 records, has 11"),
        ({"runs": [a_run(quarantined=1)]}, f"run {RUN} had 0 quarantined, has 1"),
        ({"series": []}, "binance BTCUSDT trade is missing (10 trades)"),
        ({"series": [a_series(trades=9)]}, "binance BTCUSDT trade had 10 trades, has 9"),
        ({"series": [a_series(coverage=[(1, 4), (7, 10)])]}, "binance BTCUSDT trade: ids 5 to 6 were covered"),
        ({"series": [a_series(gaps=[(5, 5)])]}, "binance BTCUSDT trade: the certificate says gaps [], it is [(5, 5)]"),
        ({"series": [a_series(first_id=2)]}, "binance BTCUSDT trade: the certificate says first_id 1, it is 2"),
        ({"series": [a_series(), a_series(symbol="X")]}, "binance X trade isn't in the certificate (10 trades)"),
        ({"runs": [a_run(last_seq=10)]}, f"run {RUN} had 11 as its last seq, has 10"),
        (
            {"segments": [a_segment(records=11)]},
            "segment 000001: the certificate says 12 records in 900 bytes, it holds 11 in 900",
        ),
        ({"counts": {**COUNTS, "duplicates": 1}}, "the log had 0 duplicates, has 1"),
        ({"quarantined": {"bad_time": 1}}, "the log had 0 quarantined.bad_time, has 1"),
    ],
)
def test_every_change_is_named(now: dict[str, Any], report: str) -> None:
    """Somebody would know that a log was changed, and not where."""
    check = unchanged(a_certificate(), a_certificate(**now), {})
    assert (check.ok, report in check.detail) == (False, True), check.detail
    assert check.fix


def test_a_torn_run_that_was_recovered_since_is_no_change() -> None:
    """Putting a crash right would break every certificate made before."""
    assert unchanged(a_certificate(runs=[a_run(state="torn")]), a_certificate(runs=[a_run(state="recovered")]), {}).ok


def test_a_narrowed_proof_says_nothing_of_the_other_series() -> None:
    """verify --symbol would find all other series missing."""
    narrowed = a_certificate(asked={"symbol": "ETHUSDT"}, series=[])
    assert unchanged(a_certificate(), narrowed, {}).ok
    assert unchanged(narrowed, a_certificate(), {}).ok


def test_a_certificate_of_a_failure_vouches_for_nothing() -> None:
    """'The same' as something broken would sound like a proof."""
    failed = [CheckRow("ids.contiguous", False, 0, 1)]
    then = a_certificate(ok=False, checks=failed, sentence=": ".join(sentence_of(COUNTS, [False])))
    check = unchanged(then, a_certificate(), {})
    assert (check.ok, check.actual) == (False, 1)
    assert check.detail.startswith("the certificate says NOT PROVEN: it is of a failed proof (ids.contiguous); ")


def test_an_empty_certificate_vouches_for_nothing() -> None:
    """Nothing of a log can differ from it, so every log would be what was certified."""
    nothing = dict.fromkeys(COUNTS, 0)
    check = unchanged(
        a_certificate(segments=[], runs=[], series=[], counts=nothing, sentence=": ".join(sentence_of(nothing, []))),
        a_certificate(),
        {},
    )
    assert (check.ok, "names no segment and no run: it proves nothing" in check.detail) == (False, True)


def resealed(change: Callable[[dict[str, Any]], object], *, is_sealed: bool) -> Certificate:
    """A certificate that was edited and sealed again, or made to look like one of a version without a seal."""
    members = json.loads(written(a_certificate(checks=[CheckRow("log.present", True, 1, 10)])))
    change(members)
    del members["seal"]
    if is_sealed:
        members["seal"] = seal_of(members)
    else:
        members["certificate"] = 1
        members["checks"][0] |= {"expected": "at least one", "actual": "10 records"}
    found = read(json.dumps(members).encode())
    assert isinstance(found, Certificate)
    return found


EDITS: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "the sentence": lambda c: c.update(sentence=c["sentence"].replace("10", "11")),
    "a count": lambda c: c["counts"].update(trades=11),
    "all counts": lambda c: c.update(counts={}),
    "ok": lambda c: c.update(ok=False),
    "a check": lambda c: c["checks"][0].update(ok=False),
    "its runs": lambda c: c.update(runs=[]),
    "a run": lambda c: c["runs"][0].update(records=13, valid=11),
    "its segments": lambda c: c["segments"][0].update(records=13),
    "a sum": lambda c: c["segments"][0].update(sha256="f" * 64),
    "a series": lambda c: c["series"][0].update(trades=9),
    "its log": lambda c: c["log"].update(id="log-2"),
    "its quarantine": lambda c: c.update(quarantined={"bad_time": 1}),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("is_sealed", [True, False])
def test_an_edit_is_found_by_what_contradicts_it_even_under_a_new_seal(name: str, is_sealed: bool) -> None:
    """Whoever can write a certificate can seal it again: what it says of the log must still be what the log says."""
    check = unchanged(resealed(EDITS[name], is_sealed=is_sealed), a_certificate(), {})
    assert not check.ok, check.detail


def test_a_certificate_without_a_seal_is_usable_and_says_so() -> None:
    """Every certificate of an earlier version would be worthless, or would pass for one that was sealed."""
    check = unchanged(resealed(lambda _: None, is_sealed=False), a_certificate(), {})
    assert (check.ok, "the certificate is not sealed" in check.detail) == (True, True)


def test_a_certificate_proven_with_another_store_or_softened_says_so() -> None:
    """A proof that forgave gaps would be taken for a whole one."""
    check = unchanged(a_certificate(asked={"allow_gaps": True}, store=Place("store-2", "chdb:x")), a_certificate(), {})
    assert (
        check.ok,
        "it was asked for with allow_gaps; it was proven against another store (store-2)" in check.detail,
    ) == (True, True)


def test_a_long_list_of_changes_is_cut_and_counted() -> None:
    """A million lost segments would fill the screen."""
    many = a_certificate(segments=[a_segment(n) for n in range(1, 101)])
    check = unchanged(many, a_certificate(segments=[]), {})
    assert (check.actual, "; and 80 more; " in check.detail) == (100, True)
