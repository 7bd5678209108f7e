"""What goes wrong on purpose: as it is written, and when it is due."""

import pytest

from tests.simulate.builders import some_entries
from tradecap.errors import TradecapError
from tradecap.market.records import Rejected
from tradecap.simulate.faults import KINDS, SPOILT_AS, Fault, Schedule, read_faults, short_fault
from tradecap.simulate.spoiler import Said, Spoiler, Spoiling
from tradecap.simulate.tape import Entry
from tradecap.venues.binance import decode

FILE = """
seed = 7
[[fault]]
kind = "close"
at = "10s"
code = 1012
[[fault]]
kind = "drop"
every_trades = 1000
count = 5
symbol = "btcusdt"
"""


def test_a_file_and_its_short_forms_say_the_same() -> None:
    """A fault tried on the command line would be another one in the file."""
    faults, seed = read_faults(FILE, "faults.toml")
    assert seed == 7
    assert faults == [short_fault("close at=10s code=1012"), short_fault("drop every_trades=1000 count=5 symbol=btcusdt")]
    assert faults[0].at_s == 10.0
    assert faults[1].symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("boom", "'boom' is unknown; there are drop,"),
        ("close at=10s trades=5", "more than one trigger: at, trades"),
        ("close at=soon", "'soon' is no duration"),
        ("close code=99", "codes of RFC"),
        ("close code=1006", "codes of RFC"),
        ("drop count=x", "wrong type"),
        ("drop count=0", "must touch 1"),
        ("drop colour=red", "'colour', which no fault has"),
        ("drop at", "isn't NAME=VALUE"),
        ("reorder count=1", "count of 2 or more"),
        ("http status=200", "knows status"),
        ("refuse at=1s", "needs `for`"),
        ("drop chance=2", "above 0, at most 1"),
        ("", "has no kind"),
    ],
)
def test_what_cant_be_understood_is_refused_in_a_sentence(text: str, told: str) -> None:
    """A typing error would be a fault that never fires."""
    with pytest.raises(TradecapError, match=told.replace("(", r"\(")):
        short_fault(text)


@pytest.mark.parametrize("text", ["kind = ", "[[fault]]\nat = 1", "faults = 3", "fault = 3", "seed = 'x'"])
def test_a_broken_file_is_refused(text: str) -> None:
    """A file without effect would look like a client without faults."""
    with pytest.raises(TradecapError):
        read_faults(text, "faults.toml")


def test_due_by_time_and_by_trade() -> None:
    """A test that counts on a fault at a trade would wait for it."""
    schedule = Schedule([Fault("drop", at_s=1), Fault("close", every_s=2), Fault("null", trades=3), Fault("abort", every_trades=2, times=2)])
    assert [fault.kind for fault in schedule.at_time(0.9)] == []
    assert [fault.kind for fault in schedule.at_time(2.0)] == ["drop", "close"]
    assert [fault.kind for fault in schedule.at_time(6.5)] == ["close", "close"]
    assert [[fault.kind for fault in schedule.at_trade(n)] for n in range(1, 7)] == [[], ["abort"], ["null"], ["abort"], [], []]


def test_chance_is_drawn_from_the_seed() -> None:
    """A failure found at random couldn't be made again."""

    def fired(seed: int) -> list[int]:
        schedule = Schedule([Fault("drop", chance=0.05)], seed)
        return [n for n in range(1, 2_000) for _ in schedule.at_trade(n)]

    assert fired(1) == fired(1) != fired(2)
    assert 60 < len(fired(1)) < 140


# ---- messages ----


def spoil_all(fault: Fault, entries: list[Entry]) -> tuple[list[bytes], Spoiling, list[Said]]:
    """What is said of the entries, the account of the fault, and what is said later."""
    late: list[Said] = []
    spoiler = Spoiler(1, lambda _, said: late.extend(said))
    spoiling = spoiler.add(fault, lambda _: None)
    said = [payload for entry in entries for _, payload, _ in spoiler.spoilt(entry)]
    return said + [payload for _, payload, _ in spoiler.finish()], spoiling, late


def test_dropping_duplicating_reordering_delaying() -> None:
    """The account would not be what a client saw."""
    entries = some_entries(5)
    plain = [entry.payload for entry in entries]
    assert spoil_all(Fault("drop", count=2), entries)[0] == plain[2:]
    assert spoil_all(Fault("duplicate"), entries)[0] == [plain[0], *plain]
    assert spoil_all(Fault("reorder", count=3), entries)[0] == [plain[2], plain[1], plain[0], *plain[3:]]
    said, spoiling, late = spoil_all(Fault("delay", count=2), entries)
    assert (said, [payload for _, payload, _ in late]) == (plain[2:], plain[:2])
    assert spoiling.touched == {"btcusdt@trade": [1, 2]}


def test_what_is_held_for_turning_around_is_never_lost() -> None:
    """A reordering at the end of the tape would be a loss."""
    entries = some_entries(2)
    assert sorted(spoil_all(Fault("reorder", count=5), entries)[0]) == sorted(entry.payload for entry in entries)


@pytest.mark.parametrize("kind", sorted(SPOILT_AS))
def test_each_way_of_spoiling_is_found_by_the_decoder(kind: str) -> None:
    """A fault would leave a valid trade behind, and a test would prove nothing."""
    entries = some_entries(1)
    (payload,), spoiling, _ = spoil_all(Fault(kind), entries)
    assert isinstance(decode(payload), Rejected)
    assert spoiling.touched == {"btcusdt@trade": [1]}


def test_only_what_was_asked_for_is_touched() -> None:
    """A fault for one symbol would spoil another's stream."""
    entries = [*some_entries(2), *some_entries(2, symbol="ETHUSDT")]
    said, spoiling, _ = spoil_all(Fault("drop", count=9, symbol="ETHUSDT"), entries)
    assert said == [entry.payload for entry in entries[:2]]
    assert list(spoiling.touched) == ["ethusdt@trade"]


def test_every_kind_is_explained() -> None:
    """The documentation would lack a fault."""
    assert all(KINDS.values())
