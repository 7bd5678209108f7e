"""What a manifest says of a segment's records."""

from pathlib import Path

from tradecap.log.folder.facts import MAX_INTERVALS, SegmentFacts, series_note
from tradecap.log.folder.segment import RecordId, Segment
from tradecap.market.records import Envelope, RunWriter, read_envelope
from tradecap.market.trade_ids import TradeIds

LOG = "01930000-0000-7abc-9def-000000000001"
RUN = "01930000-0000-7000-8000-000000000002"
KEY = ("binance", "BTCUSDT", "trade")


def an_event(seq: int, name: str, detail: object) -> Envelope:
    """A record of the run, taken apart."""
    envelope = read_envelope(RunWriter(RUN, seq).event(1, name, detail)[:-1])
    assert envelope is not None
    return envelope


def test_a_manifest_names_the_ends_and_the_attested_runs() -> None:
    """The next writer would take a run for torn that was attested, or ended."""
    facts = SegmentFacts(records=3, size=300)
    for envelope in (an_event(0, "started", {}), an_event(1, "recovered", {"run": "its"}), an_event(2, "ended", {})):
        facts.note(envelope)
    made = facts.manifest(LOG, Segment(Path("log"), 7), "before", [])
    assert (made.segment, made.records, made.size, made.previous) == (7, 3, 300, "before")
    assert (made.first, made.last, made.ended, made.recovered) == (RecordId(RUN, 0), RecordId(RUN, 2), True, ["its"])


def test_a_segment_without_a_readable_record_names_none() -> None:
    """A run whose records nobody can read would count as ended."""
    made = SegmentFacts(records=1, size=9).manifest(LOG, Segment(Path("log"), 1), "", [])
    assert (made.first, made.last, made.ended) == (None, None, False)


def test_a_manifest_lists_ids_up_to_a_limit() -> None:
    """A feed with every second id missing would make a manifest as large as its segment."""
    ids = TradeIds()
    for number in range(MAX_INTERVALS):
        ids.add(2 * number)
    listed = series_note(KEY, MAX_INTERVALS, ids)
    assert (listed.first_id, listed.last_id, len(listed.ids or [])) == (0, 2 * MAX_INTERVALS - 2, MAX_INTERVALS)
    ids.add(10 * MAX_INTERVALS)
    assert series_note(KEY, MAX_INTERVALS + 1, ids).ids is None
