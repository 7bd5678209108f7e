"""Templates: of which lines they are made, and which other lines fit them."""

import numpy as np
import pytest

from tradecap.flows.replay.choice import Choice
from tradecap.flows.replay.items import Item, read_item
from tradecap.flows.replay.templates import RecordTemplate, digits_of, number_in, template_of
from tradecap.recordings.layouts import Frame, Known, framed
from tradecap.recordings.lines import copied

RUN = "01930000-0000-7000-8000-000000000000"
TRADE = b'{"e":"trade","E":1723161600034,"s":"BTCUSDT","t":77,"p":"61000.01","q":"0.002","T":1723161600033,"m":true,"M":true}'
BOOK = b'{"u":77,"s":"BTCUSDT","b":"1.50","B":"2.00","a":"1.60","A":"3.00"}'
OWN = (
    b'{"run":"%b","seq":7,"recv":1723161600034000000,"venue":"binance","symbol":"BTCUSDT","channel":"trade","via":"ws",'
    % RUN.encode()
)
LINES = {
    "bare": TRADE,
    "combined": b'{"stream":"btcusdt@trade","data":' + TRADE + b"}",
    "receive time in front": b"1723161600034000000 " + TRADE,
    "seconds in front": b"1723161600.034: " + TRADE,
    "an envelope": b'{"received":1723161600034,"data":' + TRADE + b"}",
    "quotes": b"1723161600034000000 " + BOOK,
    "a line of another system": TRADE + b"\r",
    "our log": OWN + b'"src":"day.f1:2","data":' + TRADE + b"}",
    "a row in our log": OWN + b'"text":"77,61000.01,0.002,122.00002,1723161600033,True,True"}',
    "a trade of the archive": b"77,61000.01,0.002,122.00002,1723161600033,True,True",
    "an aggregate of the archive": b"77,61000.01,0.002,10,12,1723161600033000,True,True",
    "a trade of REST": b'{"id":77,"price":"61000.01","qty":"0.002","quoteQty":"122.1","time":1723161600033,"isBuyerMaker":true,"isBestMatch":true}',
    "an aggregate of REST": b'{"a":77,"p":"61000.01","q":"0.002","f":10,"l":12,"T":1723161600033,"m":true,"M":true}',
}


def template(line: bytes) -> RecordTemplate | None:
    """The template of a line that comes after another one like it."""
    known = Known("BTCUSDT-trades")
    framed(line.strip(), 1, known)

    def read(tried: bytes) -> tuple[Frame, Item]:
        each = framed(tried.strip(), 2, copied(known))
        return each, read_item(each, b"BTCUSDT-trades", Choice())

    return template_of(line, 2, RUN, read)


def fits(made: RecordTemplate, line: bytes) -> bool:
    return bool(made.fitting(np.frombuffer(line, np.uint8).reshape(1, -1))[0][0])


@pytest.mark.parametrize("name", LINES)
def test_each_layout_makes_templates(name: str) -> None:
    """Recordings of this layout would be replayed at a fifth of the rate, and no other test would notice."""
    line = LINES[name]
    made = template(line)
    assert made is not None
    assert fits(made, line.replace(b"77", b"78"))
    assert not fits(made, line.replace(b"77", b"07"))
    assert not fits(made, line.replace(b"77", b"7x"))


@pytest.mark.parametrize("name", [name for name in LINES if name != "quotes"])
def test_what_a_trade_can_not_be_does_not_fit(name: str) -> None:
    """A price of nothing would be logged as a valid trade, and so would a trade of the year 1970."""
    line = LINES[name]
    made = template(line)
    assert made is not None
    assert fits(made, line.replace(b"61000.01", b"00000.01".replace(b"0", b"1", 1)))
    assert not fits(made, line.replace(b"61000.01", b"00000.00"))
    assert not fits(made, line.replace(b"0.002", b"0.000"))
    assert not fits(made, line.replace(b"1723161600033", b"0023161600033"))


@pytest.mark.parametrize(
    "line", [b'{"e":"sunshine"}', b'{"result":null,"id":1', b"\xff", TRADE.replace(b"61000.01", b"61e3")]
)
def test_what_is_unusual_makes_none(line: bytes) -> None:
    """What isn't understood must be read by itself, each time."""
    assert template(line) is None


def test_numbers_become_digits_and_digits_numbers() -> None:
    """A seq with a wrong digit makes a hole in the run."""
    numbers = np.array([0, 9, 10, 123_456_789_012_345_678], np.int64)
    assert [bytes(row) for row in digits_of(numbers, 18)] == [b"%018d" % number for number in numbers.tolist()]
    digits = digits_of(numbers, 18) - ord("0")
    assert number_in(digits, (0, 18)).tolist() == numbers.tolist()
    assert number_in(digits, (3, 14)).tolist() == [int(str(number).zfill(18)[3:14]) for number in numbers.tolist()]
