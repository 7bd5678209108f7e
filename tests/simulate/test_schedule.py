"""When faults are due."""

from tradecap.simulate.faults import Fault
from tradecap.simulate.schedule import Schedule


def test_due_by_time_and_by_trade() -> None:
    """A test that counts on a fault at a trade would wait for it."""
    schedule = Schedule(
        [
            Fault("drop", at_s=1),
            Fault("close", every_s=2),
            Fault("null", trades=3),
            Fault("abort", every_trades=2, times=2),
        ]
    )
    assert [fault.kind for fault in schedule.at_time(0.9)] == []
    assert [fault.kind for fault in schedule.at_time(2.0)] == ["drop", "close"]
    assert [fault.kind for fault in schedule.at_time(6.5)] == ["close", "close"]
    assert [[fault.kind for fault in schedule.at_trade(n)] for n in range(1, 7)] == [
        [],
        ["abort"],
        ["null"],
        ["abort"],
        [],
        [],
    ]


def test_chance_is_drawn_from_the_seed() -> None:
    """A failure found at random couldn't be made again."""

    def fired(seed: int) -> list[int]:
        schedule = Schedule([Fault("drop", chance=0.05)], seed)
        return [n for n in range(1, 2_000) for _ in schedule.at_trade(n)]

    assert fired(1) == fired(1) != fired(2)
    assert 60 < len(fired(1)) < 140
