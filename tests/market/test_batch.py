"""Records on their way from a log to a store."""

import pytest

from tradecap.market.batch import BEGINNING, Positions, position_text


@pytest.mark.parametrize(
    ("positions", "text"),
    [
        (BEGINNING, ""),
        ({0: "000007:123"}, "000007:123"),
        ({1: "5"}, "1:5"),
        ({10: "3", 2: "9", 0: "7"}, "0:7 2:9 10:3"),
    ],
)
def test_positions_are_written_by_partition(positions: Positions, text: str) -> None:
    """An operator who compares the position of two partitions would compare the wrong ones."""
    assert position_text(positions) == text


def test_nobody_can_change_the_beginning() -> None:
    """One reader that moves it would make all others skip the records before."""
    with pytest.raises(TypeError):
        BEGINNING[0] = "1"  # type: ignore[index]  # what the type forbids is what is tried
