"""What a certificate keeps of what was counted: restored, and given the rest, it is the tally of all."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proof.test_tally import RECORDS, RUNS, Record, a_record, answer
from tradecap.market.batch import Position
from tradecap.market.records import Event
from tradecap.proof.counted import Counted, contradictions, kept, tally_of
from tradecap.proof.tally import Tally


def written(tally: Tally) -> Counted:
    """What is kept of a tally, as it comes back from a file."""
    return msgspec.json.decode(msgspec.json.encode(kept(tally, "")), type=Counted)


@given(RECORDS, st.lists(st.integers(0, 50), max_size=3))
def test_a_tally_that_was_kept_in_between_is_the_tally_of_all(records: list[Record], cuts: list[int]) -> None:
    """Each proof that continues from another would be a little more wrong."""
    whole = Tally()
    for record in records:
        whole.add(*record)
    tally = Tally()
    bounds = sorted({0, *(min(cut, len(records)) for cut in cuts), len(records)})
    for first, last in pairwise([*bounds, len(records)]):
        tally = tally_of(written(tally))
        tally.begin(0, Position(0, str(first), first))
        for record in records[first:last]:
            tally.add(*record)
    assert {**answer(tally), "blocks": sums(tally)} == {**answer(whole), "blocks": sums(whole)}
    assert list(contradictions(tally)) == []


def sums(tally: Tally) -> dict[tuple[str, int], tuple[int, ...]]:
    """The sums of each block, as they are compared."""
    return {
        (run.run, n): (
            b.records,
            b.trades,
            b.repeats,
            *(each % 2**64 for each in (b.fingerprint, b.rest, b.rest_of_repeats)),
        )
        for run in tally.runs.values()
        for n, b in run.blocks.items()
    }


def test_a_run_full_of_holes_is_kept_in_little_room() -> None:
    """Retention leaves every other record of a topic with two partitions: a certificate would hold each of them."""
    tally = Tally()
    for seq in (*range(0, 4000, 2), *range(4000, 4100), 70_000, 200_001, 200_003):
        tally.add(*a_record(seq, Event("alive")))
    state = written(tally)
    assert (len(state.runs[0].seqs), list(state.runs[0].bitmaps)) == (3, ["0"])
    assert tally_of(state).runs[RUNS[0]].seqs == tally.runs[RUNS[0]].seqs


@pytest.mark.parametrize("bitmap", ["", "AAAA", "?", "eJwDAAAAAAE="])
def test_a_damaged_bitmap_is_a_reason_and_no_crash(bitmap: str) -> None:
    """A certificate that somebody edited would end in a traceback."""
    tally = Tally()
    tally.add(*a_record(0, Event("alive")))
    state = written(tally)
    forged = msgspec.structs.replace(
        state, runs=[msgspec.structs.replace(state.runs[0], seqs=[], bitmaps={"0": bitmap})]
    )
    try:
        found = list(contradictions(tally_of(forged)))
    except ValueError as error:
        found = [str(error)]
    assert found
