"""Certificates: what is written is read again, and what they say is held against a log."""

import json
from typing import Any

import msgspec
import pytest

from tradecap.proof.certificate import VERSION, Certificate, Place, RunRow, SegmentRow, SeriesRow, read, sentence, unchanged, written
from tradecap.proof.checks import Accounts, Check

RUN = "01930000-0000-7000-8000-000000000001"


def a_run(n: int = 1, **overrides: Any) -> RunRow:
    """A run of ten trades between its start and its end."""
    fields: dict[str, Any] = {
        "run": f"{RUN[:-1]}{n}",
        "state": "ended",
        "records": 12,
        "last_seq": 11,
        "valid": 10,
        "quarantined": 0,
        "ignored": 0,
        "events": 2,
    }
    return RunRow(**fields | overrides)


def a_segment(n: int = 1, **overrides: Any) -> SegmentRow:
    """A closed segment."""
    fields: dict[str, Any] = {"segment": f"{n:06d}", "records": 12, "bytes": 900, "sha256": f"{n:064d}"}
    return SegmentRow(**fields | overrides)


def a_series(**overrides: Any) -> SeriesRow:
    """Ten trades without a gap."""
    fields: dict[str, Any] = {"venue": "binance", "symbol": "BTCUSDT", "channel": "trade", "trades": 10, "first_id": 1, "last_id": 10}
    return SeriesRow(**fields | {"duplicates": 0, "conflicts": 0, "coverage": [(1, 10)], "gaps": [], "uncovered": []} | overrides)


def a_certificate(**overrides: Any) -> Certificate:
    """Of one run in one segment."""
    fields: dict[str, Any] = {
        "sentence": "PROVEN: everything.",
        "ok": True,
        "made_at": "2026-11-21T08:00:00Z",
        "tradecap": "0.1.0",
        "log": Place("log-1", "file:log"),
        "store": Place("store-1", "chdb:db"),
        "asked": {},
        "counts": {"records": 12, "trades": 10},
        "quarantined": {},
        "checks": [],
        "runs": [a_run()],
        "series": [a_series()],
        "segments": [a_segment()],
    }
    return Certificate(**fields | overrides)


def test_a_certificate_is_read_as_it_was_written() -> None:
    """Tomorrow's check would be against something else than today's finding."""
    certificate = a_certificate(segments=[a_segment(), a_segment(2, closed=False, problem="it is missing")])
    assert read(written(certificate)) == certificate


def test_a_certificate_has_a_line_for_each_fact() -> None:
    """Nobody could read it at a glance, or compare two with a diff."""
    text = written(a_certificate(runs=[a_run(1), a_run(2)])).decode()
    assert json.loads(text)["certificate"] == VERSION
    assert len([line for line in text.splitlines() if '"run": ' in line]) == 2
    assert text.splitlines()[2].startswith('  "sentence": "PROVEN')


def test_a_certificate_of_a_newer_form_is_told_from_a_damaged_one() -> None:
    """A person would look for damage where an upgrade is needed."""
    newer = written(a_certificate()).replace(b'"certificate": 1', b'"certificate": 2')
    assert read(newer) == "is of version 2, this tradecap knows version 1"
    for text in (b"", b"[]", b"{}", b"\xff", written(a_certificate())[:-20], b"[" * 100_000):
        assert "is no certificate" in str(read(text))


def test_keys_that_a_later_tradecap_adds_are_no_damage() -> None:
    """Every new fact would make old programs useless."""
    assert read(written(a_certificate()).replace(b'"ok": true', b'"ok": true, "weather": "fine"')) == a_certificate()


def test_the_sentence_says_what_was_proven_or_how_much_failed() -> None:
    """The first line of a certificate could claim what its checks deny."""
    counts = Accounts(records=3, trades=1, events=2)
    assert sentence(counts, [Check("a", True, "", "")])[0] == "PROVEN"
    head, rest = sentence(counts, [Check("a", True, "", ""), Check("b", False, "", "")])
    assert (head, rest[:24]) == ("NOT PROVEN", "1 of 2 checks failed: 3 ")


# ---- against a log -----------------------------------------------------------------------------------------------------------------------


def test_the_same_log_is_unchanged() -> None:
    """A whole log would look tampered with."""
    check = unchanged(a_certificate(), a_certificate(made_at="later"), {})
    assert (check.name, check.ok, check.actual) == ("certificate.unchanged", True, "the same")


def test_what_came_later_is_named_and_fine() -> None:
    """A log that is still written to could never be held against a certificate."""
    now = a_certificate(
        segments=[a_segment(n) for n in (1, 2, 3)], runs=[a_run(1), a_run(2)], series=[a_series(trades=20, last_id=20, coverage=[(1, 20)])]
    )
    check = unchanged(a_certificate(), now, {})
    assert (check.ok, check.actual, check.detail) == (True, "the same and more", "since then: 2 segments 000002 to 000003 added, 1 run added")


def test_a_segment_that_was_open_may_be_written_on_but_not_changed() -> None:
    """A certificate made during a capture would be worthless, or would hide a change."""
    then = a_certificate(segments=[a_segment(sha256="aa", closed=False)], runs=[a_run(state="open", records=5, valid=4, events=1)])
    now = a_certificate(segments=[a_segment(bytes=2000)])
    assert unchanged(then, now, {"000001": "aa"}).ok
    assert "written on" in unchanged(then, now, {"000001": "aa"}).detail
    assert "segment 000001 changed" in unchanged(then, now, {"000001": "bb"}).detail


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"log": Place("log-2", "file:log")}, "the certificate is of log log-1, this is log log-2"),
        ({"segments": []}, "segment 000001 is missing (12 records)"),
        ({"segments": [a_segment(sha256="", problem="it is missing", lost=True)]}, "segment 000001 is missing (12 records)"),
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
    ],
)
def test_every_change_is_named(now: dict[str, Any], told: str) -> None:
    """Somebody would know that a log was changed, and not where."""
    check = unchanged(a_certificate(), a_certificate(**now), {})
    assert (check.ok, told in check.detail) == (False, True), check.detail
    assert check.fix


def test_a_torn_run_that_was_recovered_since_is_no_change() -> None:
    """Putting a crash right would break every certificate made before."""
    assert unchanged(a_certificate(runs=[a_run(state="torn")]), a_certificate(runs=[a_run(state="recovered")]), {}).ok


def test_a_narrowed_proof_says_nothing_of_the_other_series() -> None:
    """verify --symbol would find all other series missing."""
    narrowed = a_certificate(asked={"symbol": "ETHUSDT"}, series=[])
    assert unchanged(a_certificate(), narrowed, {}).ok
    assert unchanged(narrowed, a_certificate(), {}).ok


def test_a_certificate_of_a_failure_says_so_again() -> None:
    """'The same' as something broken would sound like a proof."""
    assert "NOT PROVEN" in unchanged(a_certificate(ok=False), a_certificate(), {}).detail


def test_a_long_list_of_changes_is_cut_and_counted() -> None:
    """A million lost segments would fill the screen."""
    many = a_certificate(segments=[a_segment(n) for n in range(1, 101)])
    check = unchanged(many, a_certificate(segments=[]), {})
    assert (check.actual, check.detail.endswith("and 80 more")) == ("100 changed", True)


def test_numbers_in_it_are_numbers() -> None:
    """A script would have to take texts apart."""
    assert msgspec.json.decode(written(a_certificate()))["counts"] == {"records": 12, "trades": 10}
