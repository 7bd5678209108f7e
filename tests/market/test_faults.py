"""Every fault is what it claims, judged by a second reading of what a valid trade is (`complaints`, from Python's own
json and Decimal)."""

import json
import re
import zlib
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tradecap.market.faults import FAULTS
from tradecap.market.faults import spoil as spoil_with
from tradecap.market.records import MAX_LINE, MAX_PAYLOAD, REASONS
from tradecap.venues.binance.strict import REQUIRED

TYPES: dict[str, type] = {"s": str, "p": str, "q": str, "m": bool}
SPOT = b'{"e":"trade","E":1723204860001,"s":"PEPEUSDT","t":187905002,"p":"0.00000741","q":"210000000.00000000","T":1723204859999,"m":true,"M":true}'
AGG = b'{"e":"aggTrade","E":1723204860001,"s":"ETHUSDT","a":9,"p":"2680.01000000","q":"0.5","f":11,"l":13,"T":1723204860000,"m":false,"M":true}'
USDM = b'{"e":"trade","E":1723204860001,"T":1723204860000,"s":"BTCUSDT","t":5266584315,"p":"60998.50","q":"0.010","X":"MARKET","m":true}'
NA = (
    b'{"e":"trade","E":1723204860001,"T":1723204860000,"s":"BTCUSDT","t":5266584315,"p":"0","q":"0","X":"NA","m":false}'
)
SEEDS = range(400)
QUARANTINED = [name for name, fault in FAULTS.items() if fault.outcome in REASONS]


# ---- the second reading ----


def spoil(fault: str, payload: bytes, channel: str, rng: Random) -> bytes:
    """One fault in a message of Binance."""
    return spoil_with(fault, payload, channel, REQUIRED[channel], rng)


def pairs(payload: bytes) -> list[tuple[str, Any]]:
    """The members of a message in their order, as RFC 8259 has it: NaN and Infinity aren't JSON."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    top = json.loads(payload, object_pairs_hook=list, parse_constant=refuse, parse_float=Decimal)
    return dict(top).get("data", top)  # type: ignore[no-any-return]  # json has no types


def fields(payload: bytes) -> dict[str, Any]:
    return dict(pairs(payload))


def complaints(payload: bytes, channel: str) -> set[str]:
    """The reasons for which a message isn't a valid trade; none for one that is."""
    found = {"oversize"} if len(payload) > 256 * 1024 else set()
    try:
        read = fields(payload)
    except ValueError:
        return found | {"malformed_json"}
    for name in REQUIRED[channel]:
        if name not in read:
            found.add("missing_field")
        elif read[name] is None:
            found.add("null_field")
        elif type(read[name]) is not TYPES.get(name, int):
            found.add("wrong_type")
    return found or (out_of_range(read, channel) | bad_time(read["T"]))


def out_of_range(read: dict[str, Any], channel: str) -> set[str]:
    price, qty = Decimal(read["p"]), Decimal(read["q"])
    least = Decimal(0) if read.get("X", "MARKET") != "MARKET" else Decimal("0.00000001")
    ids = [read[name] for name in (("t",) if channel == "trade" else ("a", "f", "l"))]
    is_valid = (
        least <= price < 10**10
        and least <= qty < 10**15
        and price * qty < 10**17
        and all(0 <= each < 2**63 for each in ids)
        and (channel == "trade" or read["f"] <= read["l"])
    )
    return set() if is_valid else {"out_of_range"}


def bad_time(time: int) -> set[str]:
    milliseconds = time // 1000 if time >= 10**14 else time
    return set() if 1_262_304_000_000 <= milliseconds < 4_133_980_800_000 else {"bad_time"}


def content(read: dict[str, Any]) -> tuple[object, ...]:
    milliseconds = read["T"] // 1000 if read["T"] >= 10**14 else read["T"]
    return Decimal(read["p"]), Decimal(read["q"]), milliseconds, read["m"], read.get("f"), read.get("l")


def spoilt(fault: str, payload: bytes, channel: str = "trade") -> list[bytes]:
    """The fault, drawn with many seeds."""
    return [spoil(fault, payload, channel, Random(seed)) for seed in SEEDS]


# ---- messages of any layout ----


@st.composite
def a_message(draw: st.DrawFn) -> tuple[bytes, str]:
    """A valid message: spot or USD-M, bare or combined, compact or spaced, ms or µs, at the edges of what is valid."""
    channel = draw(st.sampled_from(["trade", "aggTrade"]))
    usdm, digits = draw(st.booleans()), draw(st.integers(0, 8))
    price = (
        draw(st.sampled_from([1, 2, 100, 741, 6_100_000_000_000, 10**18 - 1]) | st.integers(1, 10**18 - 1))
        // 10 ** (8 - digits)
        or 1
    )
    most = min(10 ** (15 + digits), -(-(10 ** (17 + 2 * digits)) // price)) - 1
    qty = draw(st.sampled_from([1, most]) | st.integers(1, most))
    unit = draw(st.sampled_from([1, 1000]))
    time = (
        draw(
            st.sampled_from([1_262_304_000_000, 4_133_980_799_999]) | st.integers(1_262_304_000_000, 4_133_980_799_999)
        )
        * unit
    )
    number = draw(st.sampled_from([0, 2**63 - 1]) | st.integers(0, 2**63 - 1))
    ids: dict[str, Any] = {"t": number} if channel == "trade" else {"a": number, "f": number // 2, "l": number}
    values: dict[str, Any] = {
        "e": channel,
        "E": time + unit,
        "s": draw(st.sampled_from(["BTCUSDT", "PEPEUSDT", "币安人生USDT"])),
        **ids,
        "p": as_text(price, digits),
        "q": as_text(qty, digits),
        "T": time,
        "m": draw(st.booleans()),
    }
    if usdm and channel == "trade":
        kind = draw(st.sampled_from(["MARKET", "NA"]))
        values |= {"X": kind} | ({"p": "0", "q": "0"} if kind == "NA" else {})
    elif not usdm:
        values |= {"M": True, "b": 5, "x": {"T": [1, {"p": ","}], "s": '}"'}}
    order = draw(st.permutations(list(values)))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps({name: values[name] for name in order}, separators=separators, ensure_ascii=draw(st.booleans()))
    return draw(st.sampled_from(["%s", '{"stream":"x@y","data":%s}', '{"data": %s, "stream": "a,b:c"} '])).replace(
        "%s", text
    ).encode(), channel


def as_text(units: int, digits: int) -> str:
    return f"{units // 10**digits}.{units % 10**digits:0{digits}d}" if digits else str(units)


a_seed = st.integers(0, 2**64)


# ---- tests ----


def test_the_table_names_the_faults_of_the_command_line_in_its_order() -> None:
    """An option without a fault, or an outcome that isn't a reason, would break inject-bad and injected.found."""
    assert list(FAULTS) == [
        *("dupes", "conflicts", "nulls", "missing", "malformed", "truncated"),
        *("wrong_type", "out_of_range", "bad_time", "oversize"),
    ]
    assert {fault.outcome for fault in FAULTS.values()} <= {"duplicate", "conflict", *REASONS}
    assert all(fault.help.endswith(".") and fault.help.count(". ") == 0 for fault in FAULTS.values())


@pytest.mark.parametrize("fault", QUARANTINED)
@settings(max_examples=60, deadline=None)
@given(message=a_message(), seed=a_seed)
def test_a_spoilt_trade_has_its_one_fault_and_no_other(fault: str, message: tuple[bytes, str], seed: int) -> None:
    """A fault that is sometimes valid, or wrong in two ways, would end with another reason than injected.found
    expects."""
    payload, channel = message
    assert complaints(payload, channel) == set()
    assert complaints(spoil(fault, payload, channel, Random(seed)), channel) == {FAULTS[fault].outcome}


@settings(deadline=None)
@given(message=a_message(), seed=a_seed)
def test_a_dupe_is_the_same_bytes(message: tuple[bytes, str], seed: int) -> None:
    """A duplicate that was written again wouldn't be what a venue delivers twice."""
    assert spoil("dupes", *message, Random(seed)) == message[0]


@settings(max_examples=200, deadline=None)
@given(message=a_message(), seed=a_seed)
@example(message=(NA, "trade"), seed=0)
def test_a_conflict_is_a_valid_trade_of_the_same_id_and_other_content(message: tuple[bytes, str], seed: int) -> None:
    """A conflict that is invalid ends in quarantine, one with equal content counts as a duplicate."""
    payload, channel = message
    before, after = fields(payload), fields(conflict := spoil("conflicts", payload, channel, Random(seed)))
    assert complaints(conflict, channel) == set()
    assert content(after) != content(before)
    assert [name for name in before if before[name] != after[name]] in (["p"], ["q"], ["T"], ["m"])
    assert list(after) == list(before)


def test_a_conflict_at_the_limits_stays_below_them() -> None:
    """A price one percent higher can carry price × quantity over its limit: out_of_range instead of a conflict."""
    largest = SPOT.replace(b"0.00000741", b"9999999999.99999999").replace(b"210000000.00000000", b"10000000.00000000")
    assert [complaints(each, "trade") for each in spoilt("conflicts", largest)] == [set()] * len(SEEDS)


def test_conflicts_change_each_part_of_the_content() -> None:
    """A part no conflict ever touches is a part whose comparison nobody tests; T must leave its minute, or candles
    wouldn't notice."""
    before = fields(SPOT)
    changed = {
        name: {fields(each)[name] for each in spoilt("conflicts", SPOT)} - {before[name]}
        for name in ("p", "q", "T", "m")
    }
    assert all(changed.values())
    assert before["T"] // 60_000 not in {time // 60_000 for time in changed["T"]}
    assert {time > before["T"] for time in changed["T"]} == {True, False}


@pytest.mark.parametrize(("payload", "channel"), [(SPOT, "trade"), (USDM, "trade"), (AGG, "aggTrade")])
def test_nulls_and_missing_reach_every_required_field(payload: bytes, channel: str) -> None:
    """A field that is never spoilt could be dropped from the checks without anybody noticing."""
    nulled = [[name for name, value in pairs(each) if value is None] for each in spoilt("nulls", payload, channel)]
    missing = [
        [name for name in fields(payload) if name not in fields(each)] for each in spoilt("missing", payload, channel)
    ]
    wanted = [[name] for name in sorted(REQUIRED[channel])]
    assert sorted(map(list, set(map(tuple, nulled)))) == wanted
    assert sorted(map(list, set(map(tuple, missing)))) == wanted


@pytest.mark.parametrize("fault", ["nulls", "wrong_type", "bad_time"])
@settings(max_examples=60, deadline=None)
@given(message=a_message(), seed=a_seed)
def test_all_but_one_value_stays_verbatim(fault: str, message: tuple[bytes, str], seed: int) -> None:
    """A message rendered again would hide that quarantine keeps what came, byte for byte."""
    payload, channel = message
    written = spoil(fault, payload, channel, Random(seed))
    (name,) = (name for name, value in pairs(payload) if repr(fields(written)[name]) != repr(value))
    head = next(at for at in range(len(payload)) if payload[at] != written[at])
    tail = next(
        n
        for n in range(min(len(payload), len(written)) - head, -1, -1)
        if written.endswith(payload[len(payload) - n :])
    )
    assert re.fullmatch(rb"[^,:{}]*", payload[head : len(payload) - tail])
    assert re.search(rb'"%b": ?[^,:{}]*$' % name.encode(), payload[:head])


def test_malformed_breaks_json_in_every_way_it_promises() -> None:
    """Parsers differ in what they forgive (NaN, a last comma, bare words), so each of these must come."""
    broken = spoilt("malformed", SPOT)
    ways: dict[str, Callable[[bytes], bool]] = {
        "single quotes": lambda b: b == SPOT.replace(b'"', b"'"),
        "NaN": lambda b: b":NaN" in b,
        "a bare word": lambda b: b":abc" in b or b":None" in b,
        "a last comma": lambda b: b.endswith(b",}"),
        "a lost comma": lambda b: b.count(b",") == SPOT.count(b",") - 1,
        "a lost colon": lambda b: b.count(b":") == SPOT.count(b":") - 1,
        "a stray byte": lambda b: b"@" in b or b"\x00" in b,
    }
    assert [way for way, was in ways.items() if not any(map(was, broken))] == []


@settings(max_examples=200, deadline=None)
@given(message=a_message(), seed=a_seed)
def test_malformed_and_truncated_stay_utf8(message: tuple[bytes, str], seed: int) -> None:
    """Half a character would end as not_utf8 instead of malformed_json."""
    assert spoil("malformed", *message, Random(seed)).decode()
    assert spoil("truncated", *message, Random(seed)).decode()


def test_truncated_cuts_anywhere_and_leaves_something() -> None:
    """An empty message is a blank line, not a record; cuts at one place only would miss the parsers' corners."""
    cut = spoilt("truncated", SPOT)
    assert all(0 < len(each) < len(SPOT) and SPOT.startswith(each) for each in cut)
    assert len(set(cut)) > len(SPOT) // 2


def test_wrong_types_are_those_a_lenient_reader_would_accept() -> None:
    """These are the values JSON functions convert in silence: `"p":1.5`, `"s":["A"]`, `"t":"12"`, `"t":1.0`,
    `"m":1`."""
    written = b"\n".join(spoilt("wrong_type", SPOT))
    for value in (
        b'"p":0.00000741',
        b'"s":["PEPEUSDT"]',
        b'"t":"187905002"',
        b'"t":187905002.0',
        b'"m":1',
        b'"m":"true"',
        b'"q":["2',
        b'"T":true',
    ):
        assert value in written


def test_a_number_out_of_a_string_is_valid_json() -> None:
    """Leading zeros are allowed in a price's text and not in a number: `007.5` would be malformed instead of a wrong
    type."""
    padded = SPOT.replace(b"0.00000741", b"007.5").replace(b"210000000.00000000", b"000")
    assert {tuple(sorted(complaints(each, "trade"))) for each in spoilt("wrong_type", padded)} == {("wrong_type",)}


def test_out_of_range_reaches_every_limit() -> None:
    """A limit that is never passed is a check nobody tests."""
    values = [fields(each) for each in spoilt("out_of_range", AGG, "aggTrade")]
    prices, quantities = ([Decimal(each[name]) for each in values] for name in "pq")
    assert 0 in prices
    assert 0 in quantities
    assert 10**10 in prices
    assert max(prices) > 2**64
    assert 10**15 in quantities
    assert any(p * q == 10**17 and p < 10**10 and q < 10**15 for p, q in zip(prices, quantities, strict=True))
    for name in ("a", "f", "l"):
        assert min(each[name] for each in values) < 0
        assert 2**63 in {each[name] for each in values}
        assert max(each[name] for each in values) < 2**64
    assert any(0 <= each["l"] < each["f"] < 2**63 for each in values)


def test_zero_is_no_fault_outside_the_order_book() -> None:
    """USD-M trades with X = NA come with price and quantity 0: writing 0 there spoils nothing."""
    assert {tuple(complaints(each, "trade")) for each in spoilt("out_of_range", NA)} == {("out_of_range",)}


def test_bad_times_lie_on_both_sides_in_both_units() -> None:
    """A missing case would leave a unit or an edge of the time check untested."""
    times = {fields(each)["T"] for each in spoilt("bad_time", SPOT)}
    assert {0, 1_262_303_999_999, 4_133_980_800_000, 1_262_303_999_999_999, 4_133_980_800_000_000} <= times
    assert min(times) < -1000
    assert any(10**14 < time < 1_262_303_999_999_999 for time in times)
    assert any(4_133_980_800_000 < time < 10**14 for time in times)


def test_an_oversize_message_is_valid_but_for_its_length_and_kept_whole() -> None:
    """Above MAX_LINE the record would hold only its head; below the limit it would be a duplicate."""
    large = spoilt("oversize", SPOT)[:50]
    assert all(MAX_PAYLOAD + 1024 <= len(each) <= 300 * 1024 < MAX_LINE for each in large)
    assert {re.sub(rb',"padding":"x*"', b"", each) for each in large} == {SPOT}


def test_the_same_seed_spoils_the_same_way_on_every_python() -> None:
    """`inject-bad --seed` promises the same payloads again; the number is from Python 3.11.7 and holds for all."""
    rng = Random(3)
    messages = [(SPOT, "trade"), (AGG, "aggTrade"), (USDM, "trade"), (NA, "trade")]
    written = [
        spoil(fault, payload, channel, rng) for fault in FAULTS for payload, channel in messages for _ in range(5)
    ]
    assert zlib.crc32(b"\n".join(written)) == 2643653093
