"""Faults as they are written, in a file and on the command line."""

import pytest

from tradecap.errors import TradecapError
from tradecap.simulate.faults import KINDS, read_faults, short_fault

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
    assert faults == [
        short_fault("close at=10s code=1012"),
        short_fault("drop every_trades=1000 count=5 symbol=btcusdt"),
    ]
    assert faults[0].at_s == 10.0
    assert faults[1].symbol == "BTCUSDT"


@pytest.mark.parametrize(
    ("text", "report"),
    [
        ("boom", "'boom' is unknown; the kinds are drop,"),
        ("close at=10s trades=5", "more than one trigger: at, trades"),
        ("close at=soon", "'soon' is not a duration"),
        ("close code=99", "codes of RFC"),
        ("close code=1006", "codes of RFC"),
        ("drop count=x", "wrong type"),
        ("drop count=0", "must touch 1"),
        ("drop colour=red", "'colour', which no fault has"),
        ("drop at", "isn't NAME=VALUE"),
        ("reorder count=1", "count of 2 or more"),
        ("http status=200", "accepts status"),
        ("refuse at=1s", "needs `for`"),
        ("drop chance=2", "above 0, at most 1"),
        ("", "has no kind"),
    ],
)
def test_what_cant_be_understood_is_refused_in_a_sentence(text: str, report: str) -> None:
    """A typing error would be a fault that never fires."""
    with pytest.raises(TradecapError, match=report.replace("(", r"\(")):
        short_fault(text)


@pytest.mark.parametrize("text", ["kind = ", "[[fault]]\nat = 1", "faults = 3", "fault = 3", "seed = 'x'"])
def test_a_broken_file_is_refused(text: str) -> None:
    """A file without effect would look like a client without faults."""
    with pytest.raises(TradecapError):
        read_faults(text, "faults.toml")


def test_every_kind_is_explained() -> None:
    """The documentation would lack a fault."""
    assert all(KINDS.values())
