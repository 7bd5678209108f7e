"""What is sent on a connection, word by word as the venue documents it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradecap.simulate.subscriptions import Session, SubscriptionRefusal, reply, session_at


def printed(request: object, session: Session | None = None) -> Any:
    text = request if isinstance(request, str) else json.dumps(request)
    return json.loads(reply(session or Session(), text))


def an_error(code: int, message: str, request_id: object = None) -> dict[str, object]:
    return {"error": {"code": code, "msg": message}, "id": request_id}


def at(target: str) -> Session:
    session = session_at(target)
    assert session is not None
    return session


@pytest.mark.parametrize("request_id", [0, 1, -5, 2**63 - 1, "abc", "9f1c2d3e-aaaa-bbbb-cccc-1234567890ab", "", None])
def test_an_id_comes_back_as_it_was(request_id: object) -> None:
    """A client couldn't tell which of its requests was answered."""
    answer = printed({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": request_id})
    assert answer == {"result": None, "id": request_id}
    assert type(answer["id"]) is type(request_id)


@pytest.mark.parametrize("request_id", [1.5, 2**63, True, [], {}, "x" * 37, "no spaces"])
def test_an_id_of_another_kind_is_refused(request_id: object) -> None:
    """A client with such ids would work here and fail at the venue."""
    answer = printed({"method": "LIST_SUBSCRIPTIONS", "id": request_id})
    assert answer == an_error(2, "Invalid request: request ID must be an unsigned integer")


def test_subscribing_twice_is_subscribing_once() -> None:
    """Every message would come twice."""
    session = at("/ws/btcusdt@trade")
    printed(
        {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "ethusdt@aggTrade", "ethusdt@aggTrade"], "id": 1}, session
    )
    assert printed({"method": "LIST_SUBSCRIPTIONS", "id": 2}, session) == {
        "result": ["btcusdt@trade", "ethusdt@aggTrade"],
        "id": 2,
    }
    printed({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade", "never@trade"], "id": 3}, session)
    assert printed({"method": "LIST_SUBSCRIPTIONS", "id": 4}, session)["result"] == ["ethusdt@aggTrade"]


def test_names_are_case_sensitive() -> None:
    """kline_1M (a month) would be taken for kline_1m (a minute), and a symbol in capitals would work here only."""
    session = at("/ws")
    names = ["btcusdt@kline_1M", "btcusdt@kline_1m", "BTCUSDT@kline_1m"]
    assert printed({"method": "SUBSCRIBE", "params": names, "id": 1}, session)["result"] is None
    assert list(session.streams) == names


@pytest.mark.parametrize(
    ("escaped", "column"),
    [(r"\ud800", 17), (r"\udc00", 17), (r"\ud83d x", 17), (r"\\\ud800", 19), (r"\ud83d\ud83d\ude00", 17)],
)
def test_half_a_character_is_an_error(escaped: str, column: int) -> None:
    """The answer could not be written as UTF-8, and the connection would die of it."""
    message = f"Invalid JSON: lone leading surrogate in hex escape at line 1 column {column}"
    assert printed(f'{{"method":"{escaped}","id":1}}') == an_error(3, message)


@pytest.mark.parametrize("escaped", [r"\ud83d\ude00", r"\\ud800", r"\u0041"])
def test_a_whole_character_is_no_error(escaped: str) -> None:
    """A client that escapes everything beyond ASCII would be refused."""
    assert printed(f'{{"method":"{escaped}","id":1}}')["error"]["code"] == 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_an_error(number: str) -> None:
    """The venue refuses them; Python's own json reads them."""
    assert printed(f'{{"method":"LIST_SUBSCRIPTIONS","params":[{number}],"id":1}}')["error"]["code"] == 3


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ({"method": "SET_PROPERTY", "params": ["nope", True], "id": 1}, an_error(0, "Unknown property", 1)),
        ({"method": "GET_PROPERTY", "params": ["nope"], "id": 1}, an_error(0, "Unknown property", 1)),
        (
            {"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1},
            an_error(1, "Invalid value type: expected Boolean", 1),
        ),
        (
            {"method": "SET_PROPERTY", "params": ["combined"], "id": 1},
            an_error(1, "Invalid value type: expected Boolean", 1),
        ),
        (
            {"method": "SET_PROPERTY", "params": [3, True], "id": 1},
            an_error(2, "Invalid request: property name must be a string", 1),
        ),
        (
            {"method": "GET_PROPERTY", "params": [], "id": 1},
            an_error(2, "Invalid request: property name must be a string", 1),
        ),
        (
            {"method": "GET_PROPERTY", "params": ["combined", 1], "id": 1},
            an_error(2, "Invalid request: too many parameters", 1),
        ),
        (
            {"method": "LIST_SUBSCRIPTIONS", "params": ["a@trade"], "id": 1},
            an_error(2, "Invalid request: too many parameters", 1),
        ),
        ({"method": "LIST_SUBSCRIPTIONS"}, an_error(2, "Invalid request: request ID must be an unsigned integer")),
        ({"method": "SUBSCRIBE", "params": ["btcusdt"], "id": 1}, an_error(2, "Invalid request: invalid stream", 1)),
        ({"method": "SUBSCRIBE", "params": [7], "id": 1}, an_error(2, "Invalid request: invalid stream", 1)),
        (
            '{"params":["btcusdt@trade"],"id":1}',
            an_error(2, "Invalid request: missing field `method` at line 1 column 35"),
        ),
        ("nonsense", an_error(3, "Invalid JSON: expected value at line 1 column 1")),
    ],
)
def test_errors_are_the_venues(request_text: object, expected: dict[str, object]) -> None:
    """A client that reads the venue's errors would meet others here."""
    assert printed(request_text) == expected


def test_an_unknown_method_is_named() -> None:
    """The venue tells what it expected; a client may show it."""
    expected = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
    answer = printed('{"method":"SUBSCRIBER","params":[],"id":5}')
    assert answer == an_error(
        2, f"Invalid request: unknown variant `SUBSCRIBER`, expected one of {expected} at line 1 column 22", 5
    )


def test_the_1025th_stream_is_refused() -> None:
    """A client would learn the limit only at the venue."""
    session = at("/ws")
    assert (
        printed({"method": "SUBSCRIBE", "params": [f"s{n}@trade" for n in range(1024)], "id": 1}, session)["result"]
        is None
    )
    assert printed({"method": "SUBSCRIBE", "params": ["one@trade"], "id": 2}, session) == an_error(
        4, "Too many subscriptions", 2
    )
    assert printed({"method": "SUBSCRIBE", "params": ["s5@trade"], "id": 3}, session)["result"] is None


def test_combined_is_a_property() -> None:
    """A client that switches the wrapper on would get bare messages."""
    session = at("/ws")
    assert printed({"method": "GET_PROPERTY", "params": ["combined"], "id": 1}, session)["result"] is False
    printed({"method": "SET_PROPERTY", "params": ["combined", True], "id": 2}, session)
    assert printed({"method": "GET_PROPERTY", "params": ["combined"], "id": 3}, session)["result"] is True
    assert at("/stream").is_combined


@pytest.mark.parametrize(
    ("target", "streams", "is_combined", "is_micro"),
    [
        ("/ws/btcusdt@trade", ["btcusdt@trade"], False, False),
        ("/ws/BTCUSDT@aggTrade/ethusdt@kline_1m", ["BTCUSDT@aggTrade", "ethusdt@kline_1m"], False, False),
        ("/ws", [], False, False),
        ("/ws/0", [], False, False),
        ("/stream?streams=a@trade/b@trade&timeUnit=MICROSECOND", ["a@trade", "b@trade"], True, True),
        ("/stream?timeUnit=microsecond", [], True, True),
        ("/stream?streams=btcusdt%40trade", ["btcusdt@trade"], True, False),
        ("/stream?streams=btcusdt@kline_1d@+08:00/a@trade", ["btcusdt@kline_1d@+08:00", "a@trade"], True, False),
        ("http://localhost:9443/ws/btcusdt@trade", ["btcusdt@trade"], False, False),
        ("/ws/btcusdt@kline_1d@+08:00?timeUnit=millisecond", ["btcusdt@kline_1d@+08:00"], False, False),
    ],
)
def test_what_a_path_asks_for(target: str, streams: list[str], is_combined: bool, is_micro: bool) -> None:
    """A client that connects the documented way would hear nothing."""
    session = at(target)
    assert (list(session.streams), session.is_combined, session.is_micro) == (streams, is_combined, is_micro)


def test_other_paths_are_none() -> None:
    """A client of another product would wait forever."""
    assert session_at("/ws-api/v3") is None
    assert session_at("//[/ws") is None
    with pytest.raises(SubscriptionRefusal):
        session_at("/ws/btcusdt@trade?timeUnit=HOUR")


@settings(deadline=None)
@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ).map(json.dumps)
)
def test_any_text_is_answered(text: str) -> None:
    """One odd request would end the connection's task, and the client would hang."""
    answer = printed(text)
    assert set(answer) in ({"result", "id"}, {"error", "id"})


def test_a_bottomless_request_is_answered() -> None:
    """A client could crash the exchange with brackets."""
    assert printed("[" * 60_000)["error"]["code"] == 3
