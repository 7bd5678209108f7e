"""The switch between the fast ways and the plain ones."""

import pytest

from tradecap.fast import SWITCH, is_fast


@pytest.mark.parametrize(("value", "fast"), [(None, True), ("", True), ("1", True), ("0", False)])
def test_only_a_zero_takes_the_plain_ways(value: str | None, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A doubt about the fast ways could not be settled, or every user would be slow without asking for it."""
    if value is None:
        monkeypatch.delenv(SWITCH, raising=False)
    else:
        monkeypatch.setenv(SWITCH, value)
    assert is_fast() is fast
