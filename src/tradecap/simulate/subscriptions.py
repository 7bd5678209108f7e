"""What a client says on a connection, and what it is answered: subscriptions, properties, errors.

Rules (docs/binance.md §2 and §3): a request is one JSON text; the answer echoes its id as it was written, and is never wrapped. Subscribing
twice is subscribing once. The symbol's part of a name is not case sensitive, the rest is. A well-formed name of an unknown symbol is acknowledged
and stays silent. Error texts are the venue's, which is written in Rust (serde): `line L column C` points behind what was read. Pure.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

MAX_STREAMS: Final = 1024
MAX_ID_TEXT: Final = 36
METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

_STREAM: Final = re.compile(r"[^\s@/?&#!]+@[A-Za-z0-9_]+(?:@[+-]?[0-9:]+(?:ms)?)?|![A-Za-z0-9_]+(?:@[A-Za-z0-9_]+)*")
_ID_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{0,36}", re.ASCII)
_UNITS: Final = {"MICROSECOND": True, "microsecond": True, "MILLISECOND": False, "millisecond": False}


@dataclass
class Session:
    """What a connection has asked for. streams: the venue's name of each, with the name it was asked for by."""

    is_combined: bool = False
    is_micro: bool = False
    streams: dict[str, str] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    """What the last request changed."""


class Refused(Exception):  # noqa: N818 -- an answer, not a mistake of ours
    """The request is answered with this error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def canonical(name: str) -> str:
    """The venue's name of a stream: its symbol in small letters."""
    symbol, at, rest = name.partition("@")
    return f"{symbol.lower()}{at}{rest}"


def session_at(target: str) -> Session | None:
    """The session of a connection to this path and query; None for a path that isn't there. Raises Refused for a unit of time that isn't.

    A name in the path that is no stream's is passed over: ccxt connects to /ws/0, /ws/1 ... and subscribes afterwards.
    """
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = unquote(parts.path).rstrip("/")
    if path == "/stream":
        names = query.get("streams", "")
    elif path == "/ws" or path.startswith("/ws/"):
        names = path[4:]
    else:
        return None
    micro = _UNITS.get(query.get("timeUnit", "MILLISECOND"))
    if micro is None:
        raise Refused(2, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
    session = Session(is_combined=path == "/stream", is_micro=micro)
    _subscribe(session, [name for name in names.split("/") if _STREAM.fullmatch(name)])
    return session


def reply(session: Session, text: str) -> bytes:
    """The answer to a request, which has been carried out on the session."""
    session.added, session.removed = set(), set()
    request_id: object = None
    try:
        members = _members(text)
        request_id = _request_id(members)
        result = _carried_out(session, members)
    except Refused as error:
        return msgspec.json.encode({"error": {"code": error.code, "msg": error.message}, "id": request_id})
    return msgspec.json.encode({"result": result, "id": request_id})


def _members(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except RecursionError:
        raise Refused(3, "Invalid JSON: recursion limit exceeded at line 1 column 128") from None
    except ValueError as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        raise Refused(3, f"Invalid JSON: expected value at line {line} column {column}") from None
    if not isinstance(value, dict):
        raise Refused(2, f"Invalid request: invalid type, expected struct Request at line 1 column {len(text)}")
    if "method" not in value:
        raise Refused(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    return value


def _request_id(members: dict[str, object]) -> object:
    """A 64-bit integer, a text of up to 36 letters and digits, or null."""
    value = members.get("id", False)
    is_integer = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    is_text = isinstance(value, str) and _ID_TEXT.fullmatch(value) is not None
    if not (is_integer or is_text or value is None):
        raise Refused(2, "Invalid request: request ID must be an unsigned integer")
    return value


def _carried_out(session: Session, members: dict[str, object]) -> object:
    method, params = members["method"], members.get("params")
    if method not in METHODS:
        expected = ", ".join(f"`{name}`" for name in METHODS)
        written = method if isinstance(method, str) else json.dumps(method)
        column = len('{"method":') + len(json.dumps(method))
        raise Refused(2, f"Invalid request: unknown variant `{written}`, expected one of {expected} at line 1 column {column}")
    if method == "LIST_SUBSCRIPTIONS":
        if params:
            raise Refused(2, "Invalid request: too many parameters")
        return list(session.streams.values())
    if not isinstance(params, list):
        raise Refused(2, "Invalid request: params must be an array")
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
        raise Refused(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise Refused(0, "Unknown property")
    if len(params) > count:
        raise Refused(2, "Invalid request: too many parameters")


def _set_property(session: Session, params: list[object]) -> None:
    _property(params, 2)
    value = params[1] if len(params) > 1 else None
    if not isinstance(value, bool):
        raise Refused(1, "Invalid value type: expected Boolean")
    session.is_combined = value


def _names(params: list[object]) -> list[str]:
    names = [name for name in params if isinstance(name, str) and _STREAM.fullmatch(name)]
    if len(names) < len(params) or not names:
        raise Refused(2, "Invalid request: invalid stream")
    return names


def _subscribe(session: Session, names: Iterable[str]) -> None:
    added = {canonical(name): name for name in names}
    new = {stream: name for stream, name in added.items() if stream not in session.streams}
    if len(session.streams) + len(new) > MAX_STREAMS:
        raise Refused(4, "Too many subscriptions")
    session.streams |= new
    session.added = set(new)


def _unsubscribe(session: Session, names: Iterable[str]) -> None:
    session.removed = {stream for stream in map(canonical, names) if session.streams.pop(stream, None) is not None}
