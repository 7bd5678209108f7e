"""The log's side of the account: counts over distinct records, whatever the order, the repeats and the pieces they come
in."""

import pickle
import random
import zlib

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_trade
from tradecap.market.records import (
    Envelope,
    Event,
    Ignored,
    Reading,
    Rejected,
    RunWriter,
    Trade,
    content_hash,
    frame,
    line_hash,
    read_envelope,
    series_head,
)
from tradecap.market.trade_ids import TradeIds
from tradecap.proof.tally import BLOCK_BITS, ID_BLOCK_BITS, Tally, fingerprint, ledger_row

RUNS = ("01930000-0000-7000-8000-000000000001", "01930000-0000-7000-8000-000000000002")
Record = tuple[Envelope, Reading, bytes]


def a_record(seq: int, reading: Reading, run: str = RUNS[0], via: str = "ws") -> Record:
    """A record and what it holds."""
    writer = RunWriter(run, seq)
    if isinstance(reading, Event):
        line = writer.event(1, reading.name, {})
    else:
        symbol = reading.symbol if isinstance(reading, Trade) else "BTCUSDT"
        line = writer.record(None, series_head("binance", symbol, "trade", via), frame(repr(reading).encode()))
    envelope = read_envelope(line[:-1])
    assert envelope
    return envelope, reading, line[:-1]


OTHERS: list[Reading] = [Event("connected"), Ignored("kline"), Rejected("null_field", "p"), Rejected("malformed_json")]
TRADES = st.builds(
    lambda n, symbol: a_trade(id=n, symbol=symbol),
    st.integers(0, 30) | st.just(2**40),
    st.sampled_from(["BTCUSDT", "ETHUSDT"]),
)
READINGS: st.SearchStrategy[Reading] = TRADES | st.sampled_from(OTHERS)


@st.composite
def _records(draw: st.DrawFn) -> list[Record]:
    """Records of two runs, each with an identity of its own; some far from the others."""
    records = []
    for run in RUNS:
        for n, (reading, via) in enumerate(
            draw(st.lists(st.tuples(READINGS, st.sampled_from(["ws", "inject:dupes"])), max_size=25))
        ):
            records.append(a_record(n if n % 5 else n << BLOCK_BITS, reading, run, via))
    return records


RECORDS = _records()


def tallied(records: list[Record]) -> Tally:
    tally = Tally()
    for record in records:
        tally.add(*record)
    return tally


def answer(tally: Tally) -> dict[str, object]:
    """All that a tally says of distinct records, but which of them came first."""
    blocks = {
        (run.run, n): (b.records, b.fingerprint, b.trades, b.rest)
        for run in tally.runs.values()
        for n, b in run.blocks.items()
    }
    return {
        "blocks": blocks,
        "records": tally.records,
        "runs": {
            run: (each.seqs, each.counts, each.reasons, each.faults, each.spans) for run, each in tally.runs.items()
        },
        "series": {key: (each.ids, each.valid, each.repeated_blocks) for key, each in tally.series.items()},
    }


@given(RECORDS, st.randoms(use_true_random=False))
def test_no_repeat_and_no_order_changes_what_is_counted(records: list[Record], rng: random.Random) -> None:
    """A redelivered record that counted twice, or late, would make a sound log look wrong."""
    again = records + rng.choices(records, k=len(records)) if records else []
    rng.shuffle(again)
    assert answer(tallied(again)) == answer(tallied(records))
    assert tallied(again).repeats == len(again) - len(records)


@given(RECORDS)
def test_the_sums_agree(records: list[Record]) -> None:
    """records = trades + quarantined + ignored + events: what is in none of them is unexplained."""
    tally = tallied(records)
    outcomes = {outcome: tally.count(outcome) for outcome in ("trade", "quarantined", "ignored", "event")}
    assert tally.records == len(records) == sum(outcomes.values())
    assert sum(series.valid for series in tally.series.values()) == outcomes["trade"]
    assert sum(n for run in tally.runs.values() for n in run.reasons.values()) == outcomes["quarantined"]
    assert sum(block.records for run in tally.runs.values() for block in run.blocks.values()) == tally.records
    assert sum(n for run in tally.runs.values() for n in run.faults.values()) == sum(
        bool(envelope.fault) for envelope, _, _ in records
    )


@given(RECORDS)
def test_fingerprints_are_those_of_the_ledger_rows(records: list[Record]) -> None:
    """The quick way through a valid trade must give what its row gives, or every block would be looked into."""
    expected: dict[tuple[str, int], int] = {}
    for envelope, reading, line in records:
        row = ledger_row(envelope, reading, line)
        block = (envelope.run, envelope.seq >> BLOCK_BITS)
        expected[block] = expected.get(block, 0) + fingerprint(
            row.tag(), envelope.seq, row.trade_id, row.content, row.at
        )
    tally = tallied(records)
    assert {
        (run.run, number): block.fingerprint for run in tally.runs.values() for number, block in run.blocks.items()
    } == expected


@given(RECORDS)
def test_only_blocks_with_a_repeated_id_are_marked(records: list[Record]) -> None:
    """A block that isn't marked is never looked at for duplicates: one that is missed hides them all."""
    seen: dict[tuple[str, int], int] = {}
    for _, reading, _ in records:
        if isinstance(reading, Trade):
            seen[(reading.symbol, reading.id)] = seen.get((reading.symbol, reading.id), 0) + 1
    expected = {(symbol, trade_id >> ID_BLOCK_BITS) for (symbol, trade_id), n in seen.items() if n > 1}
    assert {
        (key[1], block) for key, each in tallied(records).series.items() for block in each.repeated_blocks
    } == expected


@given(RECORDS, st.lists(st.integers(0, 50), max_size=4))
def test_what_several_counted_adds_up_to_what_one_counts(records: list[Record], cuts: list[int]) -> None:
    """A log that is counted on two cores would be proven, or not, by chance."""
    whole = Tally()
    ends = sorted(cut for cut in cuts if cut < len(records))
    for first, last in zip([0, *ends], [*ends, len(records)], strict=True):
        part = tallied(records[first:last])
        assert whole.merge(pickle.loads(pickle.dumps(part)))
    assert (answer(whole), whole.recovered, whole.repeated) == (answer(tallied(records)), {}, {})
    for record in records:  # and it can be gone on with
        whole.add(*record)
    assert whole.repeats == len(records)


@given(RECORDS.filter(bool))
def test_records_that_are_known_are_not_taken_in_twice(records: list[Record]) -> None:
    """What was counted of them can't be taken back: they have to be counted one by one."""
    whole = tallied(records)
    assert not whole.merge(tallied(records[-1:]))
    assert (answer(whole), whole.repeats) == (answer(tallied(records)), 0)


def test_a_row_that_changes_places_changes_the_fingerprint() -> None:
    """Two rows whose contents were exchanged would add up to the same."""
    rows = [ledger_row(*a_record(seq, a_trade(id=seq))) for seq in (4, 5)]
    right = sum(
        fingerprint(row.tag(), seq, row.trade_id, row.content, row.at) for seq, row in zip((4, 5), rows, strict=True)
    )
    swapped = sum(
        fingerprint(row.tag(), seq, row.trade_id, row.content, row.at) for seq, row in zip((5, 4), rows, strict=True)
    )
    assert right != swapped


def test_the_row_of_a_record_says_what_became_of_it() -> None:
    """The SQL makes the same rows: this is what both sides are held to."""
    trade = ledger_row(*a_record(0, a_trade(), via="inject:dupes"))
    assert (trade.outcome, trade.fault, trade.trade_id, trade.content) == ("trade", "dupes", 7, content_hash(a_trade()))
    envelope, reading, line = a_record(1, Rejected("null_field", "p"))
    row = ledger_row(envelope, reading, line)
    assert (row.outcome, row.reason, row.field, row.trade_id, row.content) == (
        "quarantined",
        "null_field",
        "p",
        0,
        line_hash(line),
    )
    assert ledger_row(*a_record(2, Ignored("kline"))).kind == "kline"
    assert ledger_row(*a_record(3, Event("started"))).kind == "started"
    assert row.tag() == zlib.crc32(b"quarantined|null_field|p|||binance|trade|BTCUSDT")
    tag = row.tag()
    assert (
        fingerprint(tag, 65_537, 7, 5, 9)
        == (tag * 11400714819323198485 + 7 * 7640891576956012809 + 5 * 13503953896175478587 + 9 * 4354685564936845355)
        * 3
        % 2**64
    )


def test_injected_trades_widen_no_span_of_a_run() -> None:
    """A made-up id far away would make everything between look like a gap."""
    made_up = a_record(2, a_trade(id=900), via="inject:file")
    tally = tallied([a_record(0, a_trade(id=5)), a_record(1, a_trade(id=3)), made_up, a_record(3, a_trade(id=9))])
    assert tally.runs[RUNS[0]].spans == {("binance", "BTCUSDT", "trade"): [3, 9]}
    assert tally.series[("binance", "BTCUSDT", "trade")].ids == TradeIds([(3, 3), (5, 5), (9, 9), (900, 900)])


def test_contents_tell_a_redelivery_from_a_false_identity() -> None:
    """The same line twice is nobody's fault; another line under the same number is."""
    first, other = a_record(0, a_trade(id=1)), a_record(0, a_trade(id=2))
    tally = tallied([first, other, a_record(1, a_trade(id=3)), a_record(1, a_trade(id=3))])
    for envelope, _, line in [first, other, a_record(1, a_trade(id=3)), a_record(1, a_trade(id=3))]:
        tally.note_repeat(envelope, line)
    assert {seq: len(hashes) for (_, seq), hashes in tally.repeated.items()} == {0: 2, 1: 1}
    assert tally.series[("binance", "BTCUSDT", "trade")].ids == TradeIds([(1, 1), (3, 3)])


def test_what_runs_say_of_themselves_is_kept() -> None:
    """Whether a run ended, and which torn ones it attests, is in its events alone; events of any shape must be
    survived."""
    tally = Tally()
    writer = RunWriter(RUNS[1])
    odd: list[object] = [
        {"run": 5, "last_seq": 1},
        {"run": RUNS[0], "last_seq": "x"},
        {"run": [1]},
        {"last_seq": 3},
        {},
    ]
    lines = [
        writer.event(1, "started", {"command": "replay"}),
        writer.event(1, "recovered", {"run": RUNS[0], "last_seq": 8}),
    ]
    lines += [writer.event(1, "recovered", detail) for detail in odd] + [writer.event(1, "ended", {"records": 7})]
    for line in lines:
        envelope = read_envelope(line[:-1])
        assert envelope
        tally.add(envelope, Event(envelope.event), line[:-1])
    run = tally.runs[RUNS[1]]
    assert (run.started, run.ended, run.ended_seq, run.last_seq) == ({"command": "replay"}, {"records": 7}, 7, 7)
    assert tally.recovered == {RUNS[0]: 8}
