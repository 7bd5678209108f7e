"""Records read by their likeness to others: the same as by a full reading, or left to it."""

import pytest

from tradecap.market.records import RunWriter, frame, read_envelope, series_head, source_head
from tradecap.market.similar_records import like_others, remember

RUN = "01930000-0000-7000-8000-00000000a11c"


def a_line(seq: int, *, source: bytes = b"", payload: bytes = b'{"e":"trade"}') -> bytes:
    """A record without its newline."""
    head = series_head("binance", "BTCUSDT", "trade", "ws") + (source_head(source, seq) if source else b"")
    return RunWriter(RUN, seq).record(1723161300123456789 + seq, head, frame(payload))[:-1]


@pytest.fixture(autouse=True)
def known() -> None:
    """A record of the run and series was read whole, and one with a source."""
    for line in (a_line(0), a_line(0, source=b"other.csv")):
        envelope = read_envelope(line)
        assert envelope is not None
        remember(line, envelope)


@pytest.mark.parametrize("line", [a_line(1), a_line(2, payload=b'{"p":"1"}'), a_line(3, source=b"day.csv")])
def test_a_similar_record_is_what_a_full_reading_gives(line: bytes) -> None:
    """The fast way would read another record than the plain one."""
    assert like_others(line) == read_envelope(line) is not None


@pytest.mark.parametrize(
    "line",
    [
        a_line(4).replace(b'"BTCUSDT"', b'"ETHUSDT"'),
        a_line(5, source=b"a\\u0022b"),
        a_line(6)[:-2],
        a_line(7).replace(b'"seq":7', b'"seq":07'),
        a_line(8).replace(b'"data":', b'"src":","data":'),
    ],
)
def test_what_differs_in_more_is_left_to_a_full_reading(line: bytes) -> None:
    """A record of another series would be given this one's name."""
    assert like_others(line) is None
