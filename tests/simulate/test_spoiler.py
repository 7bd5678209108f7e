"""What streams send while faults are at work on messages."""

import pytest

from tests.simulate.builders import some_entries
from tradecap.market.records import Rejected
from tradecap.simulate.faults import PAYLOAD_FAULTS, Fault
from tradecap.simulate.spoiler import Outgoing, Spoiler, Spoiling
from tradecap.simulate.tape import Entry
from tradecap.venues.binance import decode


def spoil_all(fault: Fault, entries: list[Entry]) -> tuple[list[bytes], Spoiling, list[Outgoing]]:
    """What is sent for the entries, the account of the fault, and what is sent later."""
    late: list[Outgoing] = []
    spoiler = Spoiler(1, lambda _, answer: late.extend(answer))
    spoiling = spoiler.add(fault, lambda _: None)
    answer = [payload for entry in entries for _, payload, _ in spoiler.messages(entry)]
    return answer + [payload for _, payload, _ in spoiler.finish()], spoiling, late


def test_dropping_duplicating_reordering_delaying() -> None:
    """The account would not be what a client saw."""
    entries = some_entries(5)
    plain = [entry.payload for entry in entries]
    assert spoil_all(Fault("drop", count=2), entries)[0] == plain[2:]
    assert spoil_all(Fault("duplicate"), entries)[0] == [plain[0], *plain]
    assert spoil_all(Fault("reorder", count=3), entries)[0] == [plain[2], plain[1], plain[0], *plain[3:]]
    answer, spoiling, late = spoil_all(Fault("delay", count=2), entries)
    assert (answer, [payload for _, payload, _ in late]) == (plain[2:], plain[:2])
    assert spoiling.touched == {"btcusdt@trade": [1, 2]}


def test_what_is_held_for_turning_around_is_never_lost() -> None:
    """A reordering at the end of the tape would be a loss."""
    entries = some_entries(2)
    assert sorted(spoil_all(Fault("reorder", count=5), entries)[0]) == sorted(entry.payload for entry in entries)


@pytest.mark.parametrize("kind", sorted(PAYLOAD_FAULTS))
def test_each_way_of_spoiling_is_found_by_the_decoder(kind: str) -> None:
    """A fault would leave a valid trade behind, and a test would prove nothing."""
    entries = some_entries(1)
    (payload,), spoiling, _ = spoil_all(Fault(kind), entries)
    assert isinstance(decode(payload), Rejected)
    assert spoiling.touched == {"btcusdt@trade": [1]}


def test_only_what_was_asked_for_is_touched() -> None:
    """A fault for one symbol would spoil another's stream."""
    entries = [*some_entries(2), *some_entries(2, symbol="ETHUSDT")]
    answer, spoiling, _ = spoil_all(Fault("drop", count=9, symbol="ETHUSDT"), entries)
    assert answer == [entry.payload for entry in entries[:2]]
    assert list(spoiling.touched) == ["ethusdt@trade"]
