"""A client's requests on a WebSocket and their answers: subscriptions, properties, errors.

Rules (docs/binance.md §2 and §3): a request is one JSON text. The answer repeats its id as it was written and is never
wrapped. Subscribing twice is subscribing once. Names are case sensitive, with the symbol in lowercase: a well-formed
name in capitals, or with an unknown symbol, is acknowledged and stays silent. Error texts are those of the venue, which
uses Rust's serde: `line L column C` is where reading stopped. Pure.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

import msgspec

MAX_STREAMS: Final = 1024
MAX_ID_TEXT: Final = 36
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

_STREAM: Final = re.compile(r"[^\s@/?&#!]+@[A-Za-z0-9_]+(?:@[+-]?[0-9:]+(?:ms)?)?|![A-Za-z0-9_]+(?:@[A-Za-z0-9_]+)*")
_ID_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{0,36}", re.ASCII)
_ORIGIN: Final = re.compile(r"^[A-Za-z]+://[^/?]*")
"""A proxy may put this in front of a path."""
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\.", re.DOTALL)
_UNITS: Final = {"MICROSECOND": True, "microsecond": True, "MILLISECOND": False, "millisecond": False}


@dataclass
class Session:
    """What a connection has subscribed to. streams: the names, in the order of subscribing."""

    is_combined: bool = False
    is_micro: bool = False
    streams: dict[str, None] = field(default_factory=dict)


class SubscriptionRefusal(Exception):  # noqa: N818 -- an answer, not an error of ours
    """The request is answered with this error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def session_at(target: str) -> Session | None:
    """The session of a connection to this path and query. None: there is no such path.

    Raises SubscriptionRefusal for an unknown unit of time. A name in the path that isn't a stream's is ignored: ccxt
    connects to /ws/0, /ws/1 ... and subscribes afterwards.
    """
    path, _, query_text = _ORIGIN.sub("", target).partition("?")
    path = unquote(path).rstrip("/")
    # not parse_qsl: the + of @kline_1d@+08:00 is a plus sign, not a blank
    query = {
        unquote(name): unquote(value) for name, _, value in (pair.partition("=") for pair in query_text.split("&"))
    }
    if path == "/stream":
        names = query.get("streams", "")
    elif path == "/ws" or path.startswith("/ws/"):
        names = path[4:]
    else:
        return None
    micro = _UNITS.get(query.get("timeUnit", "MILLISECOND"))
    if micro is None:
        raise SubscriptionRefusal(2, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    session = Session(is_combined=path == "/stream", is_micro=micro)
    _subscribe(session, [name for name in names.split("/") if _STREAM.fullmatch(name)])
    return session


def reply(session: Session, text: str) -> bytes:
    """The answer to a request, which has been carried out on the session."""
    request_id: object = None
    try:
        members = _members(text)
        request_id = _request_id(members)
        result = _carried_out(session, members)
    except SubscriptionRefusal as error:
        return msgspec.json.encode({"error": {"code": error.code, "msg": error.message}, "id": request_id})
    return msgspec.json.encode({"result": result, "id": request_id})


def _members(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise SubscriptionRefusal(3, "Invalid JSON: recursion limit exceeded at line 1 column 128") from None
    except ValueError as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        raise SubscriptionRefusal(3, f"Invalid JSON: expected value at line {line} column {column}") from None
    if (column := _lone_surrogate(text)) is not None:
        raise SubscriptionRefusal(3, f"Invalid JSON: lone leading surrogate in hex escape at line 1 column {column}")
    if not isinstance(value, dict):
        raise SubscriptionRefusal(
            2, f"Invalid request: invalid type, expected struct Request at line 1 column {len(text)}"
        )
    if "method" not in value:
        raise SubscriptionRefusal(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    return value


def _no_constant(name: str) -> object:
    """Refuse NaN and Infinity, which Python's json accepts and JSON doesn't have."""
    raise ValueError(name)


def _lone_surrogate(text: str) -> int | None:
    """The column after an escape of half a character (`\\ud800`), which UTF-8 can't hold. None: no such escape."""
    high_until = -1
    for escape in _ESCAPE.finditer(text):
        code = int(escape[1], 16) if escape[1] else 0
        is_second_half = 0xDC00 <= code < 0xE000
        if (high_until >= 0 and not (is_second_half and escape.start() == high_until)) or (
            is_second_half and high_until < 0
        ):
            return high_until if high_until >= 0 else escape.end()
        high_until = escape.end() if 0xD800 <= code < 0xDC00 else -1
    return high_until if high_until >= 0 else None


def _request_id(members: dict[str, object]) -> object:
    """A 64-bit integer, a text of up to 36 letters and digits, or null."""
    value = members.get("id", False)
    is_integer = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    is_text = isinstance(value, str) and _ID_TEXT.fullmatch(value) is not None
    if not (is_integer or is_text or value is None):
        raise SubscriptionRefusal(2, "Invalid request: request ID must be an unsigned integer")
    return value


def _carried_out(session: Session, members: dict[str, object]) -> object:
    method, params = members["method"], members.get("params")
    if method not in METHODS:
        expected = ", ".join(f"`{name}`" for name in METHODS)
        written = method if isinstance(method, str) else json.dumps(method)
        column = len('{"method":') + len(json.dumps(method))
        raise SubscriptionRefusal(
            2, f"Invalid request: unknown variant `{written}`, expected one of {expected} at line 1 column {column}"
        )
    if method == "LIST_SUBSCRIPTIONS":
        if params:
            raise SubscriptionRefusal(2, "Invalid request: too many parameters")
        return list(session.streams)
    if not isinstance(params, list):
        raise SubscriptionRefusal(2, "Invalid request: params must be an array")
    if method == "SET_PROPERTY":
        _set_property(session, params)
        return None
    if method == "GET_PROPERTY":
        _property(params, 1)
        return session.is_combined
    change = _subscribe if method == "SUBSCRIBE" else _unsubscribe
    change(session, _names(params))
    return None


def _property(params: list[object], count: int) -> None:
    if not params or not isinstance(params[0], str):
        raise SubscriptionRefusal(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise SubscriptionRefusal(0, "Unknown property")
    if len(params) > count:
        raise SubscriptionRefusal(2, "Invalid request: too many parameters")


def _set_property(session: Session, params: list[object]) -> None:
    _property(params, 2)
    value = params[1] if len(params) > 1 else None
    if not isinstance(value, bool):
        raise SubscriptionRefusal(1, "Invalid value type: expected Boolean")
    session.is_combined = value


def _names(params: list[object]) -> list[str]:
    names = [name for name in params if isinstance(name, str) and _STREAM.fullmatch(name)]
    if len(names) < len(params) or not names:
        raise SubscriptionRefusal(2, "Invalid request: invalid stream")
    return names


def _subscribe(session: Session, names: Iterable[str]) -> None:
    new = dict.fromkeys(name for name in names if name not in session.streams)
    if len(session.streams) + len(new) > MAX_STREAMS:
        raise SubscriptionRefusal(4, "Too many subscriptions")
    session.streams |= new


def _unsubscribe(session: Session, names: Iterable[str]) -> None:
    for name in names:
        session.streams.pop(name, None)
