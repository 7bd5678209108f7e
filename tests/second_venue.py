"""A venue that only the tests have: one kind of message, a few fields, in Python and in SQL (second_venue.sql).

    {"sym":"AB","no":1,"px":"1.50","sz":"2","ms":1723204800000,"sell":true}

It shows what a further venue takes: a `Venue` of pure functions, a text of SQL, and no line anywhere else.
"""

import re
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tradecap.market.records import MAX_PAYLOAD, Ignored, Reading, Rejected, Trade, parse_object
from tradecap.store.clickhouse.reading import VENUE_TEXTS
from tradecap.venues.api import VENUES
from tradecap.venues.venue import Venue

FIELDS: Final = {"sym": str, "no": int, "px": str, "sz": str, "ms": int, "sell": bool}


def message(number: int, ms: int, **overrides: object) -> bytes:
    """Trade `number` at a time."""
    fields = {"sym": "AB", "no": number, "px": f"{100 + number % 7}.50", "sz": "2", "ms": ms, "sell": number % 2 == 0}
    return msgspec.json.encode(fields | overrides)


def decode(payload: bytes, venue: str, symbol: str, channel: str) -> Reading:  # noqa: ARG001 -- each message names its symbol
    """See `Decode`."""
    if len(payload) > MAX_PAYLOAD or (fields := parse_object(payload)) is None:
        return Rejected(_unreadable(payload))
    if fields.get("type") == "quote":
        return Ignored("quote")
    for name, kind in FIELDS.items():
        if name not in fields:
            return Rejected("missing_field", name)
        if fields[name] is None:
            return Rejected("null_field", name)
        if type(fields[name]) is not kind:
            return Rejected("wrong_type", name)
    return _trade(msgspec.convert(fields, _Fields))


def _unreadable(payload: bytes) -> str:
    if len(payload) > MAX_PAYLOAD:
        return "oversize"
    try:
        return "malformed_json" if isinstance(msgspec.json.decode(payload.decode()), dict) else "not_an_object"
    except UnicodeDecodeError:
        return "not_utf8"
    except (msgspec.MsgspecError, RecursionError):
        return "malformed_json"


class _Fields(msgspec.Struct):
    sym: str
    no: int
    px: str
    sz: str
    ms: int
    sell: bool


def _trade(d: _Fields) -> Trade | Rejected:
    if not re.fullmatch(r"[0-9]{1,7}\.[0-9]{2}", d.px) or float(d.px) == 0:
        return Rejected("bad_number", "px")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", d.sz):
        return Rejected("bad_number", "sz")
    if not 1_262_304_000_000 <= d.ms < 4_133_980_800_000:
        return Rejected("bad_time", "ms")
    if d.no < 0:
        return Rejected("out_of_range", "no")
    price, qty = int(d.px.replace(".", "")) * 10**6, int(d.sz) * 10**8
    return Trade("second", d.sym, "trade", d.no, d.no, d.no, price, qty, d.ms * 1000, 0, d.sell, True)


def moved(payload: bytes, _: str, by_us: int) -> bytes:
    """See `Moved`."""
    return re.sub(rb'(?<="ms":)\d+', lambda ms: b"%d" % (int(ms[0]) + by_us // 1000), payload)


def described(payload: bytes) -> tuple[str, str]:
    """See `Described`."""
    symbol = re.search(rb'"sym":"([A-Z]+)"', payload)
    return (symbol[1].decode(), "trade") if symbol else ("", "")


SECOND: Final = Venue(
    name="second",
    decode=decode,
    described=described,
    moved=moved,
    required={"trade": tuple(FIELDS)},
    hosts=re.compile(r"feed\.second\.test"),
)


@pytest.fixture
def second_venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    """The venue, known to the program and to the stores made from here on."""
    monkeypatch.setitem(VENUES, "second", SECOND)
    monkeypatch.setitem(VENUE_TEXTS, "second", Path(__file__).with_suffix(".sql").read_text())
    return SECOND
