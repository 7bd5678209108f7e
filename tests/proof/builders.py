"""A small certificate, and its parts."""

from typing import Any

from tradecap.proof.certificate import Certificate, CertifiedSeries, Place, RunRow, SegmentRow, sentence_of

COUNTS = {"records": 12, "trades": 10, "duplicates": 0, "conflicts": 0, "quarantined": 0, "ignored": 0, "events": 2}
SENTENCE = ": ".join(sentence_of(COUNTS, []))
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


def a_series(**overrides: Any) -> CertifiedSeries:
    """Ten trades without a gap."""
    fields: dict[str, Any] = {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "trade",
        "trades": 10,
        "first_id": 1,
        "last_id": 10,
    }
    return CertifiedSeries(
        **fields | {"duplicates": 0, "conflicts": 0, "coverage": [(1, 10)], "gaps": [], "uncovered": []} | overrides
    )


def a_certificate(**overrides: Any) -> Certificate:
    """A certificate of one run in one segment."""
    fields: dict[str, Any] = {
        "sentence": SENTENCE,
        "ok": True,
        "made_at": "2026-11-21T08:00:00Z",
        "tradecap": "0.1.0",
        "log": Place("log-1", "file:log"),
        "store": Place("store-1", "chdb:db"),
        "asked": {},
        "counts": COUNTS,
        "quarantined": {},
        "checks": [],
        "runs": [a_run()],
        "series": [a_series()],
        "segments": [a_segment()],
    }
    return Certificate(**fields | overrides)
