"""What goes wrong on purpose: faults, read from a TOML file or from short texts.

Rules: a fault has a kind and at most one trigger: `at` (time since the tape began), `trades` (after this many), `every`
or `every_trades` (repeatedly), `chance` (of each trade, drawn from the seed). A fault that can't be read is refused in
one sentence that names what is accepted. Pure.

    seed = 7
    [[fault]]
    kind = "close"          # or in short: --fault "close at=10s code=1001"
    at = "10s"
    code = 1001
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Final

from tradecap.errors import TradecapError

MESSAGE_KINDS: Final = {
    "drop": "leave messages out",
    "duplicate": "send messages twice",
    "reorder": "send `count` messages in the opposite order",
    "delay": "send messages `by` later",
    "corrupt": "break their JSON",
    "truncate": "cut them off",
    "wrong_type": "give a member another type",
    "null": "set a required member to null",
    "missing": "leave a required member out",
    "out_of_range": "give a member a value that no trade has",
    "bad_time": "give them a time that no trade has",
}
CONNECTION_KINDS: Final = {
    "close": "close connections with `code` and `reason`",
    "abort": "end connections without a close frame; with `partial` in the middle of a message",
    "silent": "send nothing any more, not even pongs, for the time `for` (without it: forever)",
    "shutdown": "send serverShutdown, and close `by` later",
}
"""Kinds that touch connections. Without a trigger they wait for the first subscriber."""
SERVER_KINDS: Final = {
    "refuse": "refuse new connections for the time `for`",
    "http": "answer `count` requests (or all for the time `for`) with `status`; `on` rest, ws or both",
    "slow": "answer `count` requests (or all for the time `for`) `by` later",
    "clock": "show a time that is wrong by `by`, for the time `for` (without it: forever)",
}
KINDS: Final = MESSAGE_KINDS | CONNECTION_KINDS | SERVER_KINDS
PAYLOAD_FAULTS: Final = {"corrupt": "malformed", "truncate": "truncated", "null": "nulls"} | {
    name: name for name in ("wrong_type", "missing", "out_of_range", "bad_time")
}
"""Their names in `market.faults`."""
TRIGGERS: Final = ("at", "trades", "every", "every_trades", "chance")
CLOSE_CODES: Final = (1000, 1001, 1002, 1003, *range(1007, 1015))
STATUSES: Final = (403, 418, 429, 451, *range(500, 505))


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. Durations are in seconds; in a file their names have no `_s` (`for` is for_s)."""

    kind: str
    _: KW_ONLY
    at_s: float | None = None
    trades: int | None = None
    every_s: float | None = None
    every_trades: int | None = None
    chance: float | None = None
    times: int | None = None
    """How many times it fires. None: once, or with every, every_trades and chance without end."""
    count: int = 1
    """How many messages or requests it touches."""
    symbol: str = ""
    channel: str = ""
    sockets: str = "all"
    """all, oldest, newest, or random (one of them)."""
    code: int = 1001
    reason: str = ""
    partial: bool = False
    for_s: float | None = None
    by_s: float = 1.0
    status: int = 503
    retry_after_s: float | None = None
    on: str = "rest"
    path: str = ""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise TradecapError(
                f"The fault {self.kind!r} {problem}.", "docs/simulate.md lists the faults and what each takes."
            )

    @property
    def trigger(self) -> str:
        """The name of its trigger, '' for none."""
        return next((name for name in TRIGGERS if getattr(self, _FIELDS[name]) is not None), "")


_FIELDS: Final = {each.name.removesuffix("_s"): each.name for each in fields(Fault)}
_TYPES: Final = {each.name: each.type for each in fields(Fault)}
_DURATIONS: Final = frozenset(name for name, written in _FIELDS.items() if written.endswith("_s"))


def _may_be_sent(code: int) -> bool:
    return code in CLOSE_CODES or 3000 <= code <= 4999


def _problem(fault: Fault) -> str:
    given = [name for name in TRIGGERS if getattr(fault, _FIELDS[name]) is not None]
    checks = (
        (fault.kind not in KINDS, f"is unknown; the kinds are {', '.join(KINDS)}"),
        (len(given) > 1, f"has more than one trigger: {', '.join(given)}"),
        (fault.count < 1, "must touch 1 message or more"),
        (fault.kind == "reorder" and fault.count < 2, "needs a count of 2 or more"),
        (fault.times is not None and fault.times < 1, "must fire once or more"),
        (fault.sockets not in ("all", "oldest", "newest", "random"), "accepts sockets = all, oldest, newest or random"),
        (fault.on not in ("rest", "ws", "both"), "accepts on = rest, ws or both"),
        (fault.channel not in ("", "trade", "aggTrade"), "accepts channel = trade or aggTrade"),
        (fault.kind == "http" and fault.status not in STATUSES, f"accepts status {', '.join(map(str, STATUSES))}"),
        (
            fault.kind == "close" and not _may_be_sent(fault.code),
            "accepts codes of RFC 6455 that may be sent, and 3000-4999",
        ),
        (fault.kind == "refuse" and fault.for_s is None, "needs `for`: how long"),
        (fault.chance is not None and not 0 < fault.chance <= 1, "needs a chance above 0, at most 1"),
        (fault.trades is not None and fault.trades < 1, "needs `trades` of 1 or more"),
        (fault.every_trades is not None and fault.every_trades < 1, "needs `every_trades` of 1 or more"),
        (fault.every_s is not None and fault.every_s <= 0, "needs `every` longer than 0"),
    )
    return next((sentence for is_wrong, sentence in checks if is_wrong), "")


# ---- reading ----


def read_faults(text: str, name: str) -> tuple[list[Fault], int | None]:
    """The faults of a TOML file, and its seed (None: not given). Raises TradecapError (exit 2) that names the place."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TradecapError(f"{name} is not TOML: {error}.", "docs/simulate.md has an example.") from error
    tables, seed = content.pop("fault", []), content.pop("seed", None)
    if content or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        extra = f" It has {', '.join(content)}." if content else ""
        raise TradecapError(
            f"{name} must hold `seed` and [[fault]] tables only.{extra}", "docs/simulate.md has an example."
        )
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
        raise TradecapError(f"{name}: seed must be a whole number, not {seed!r}.", "leave it out, or write seed = 7.")
    return [_fault(table, f"{name}, fault {number}") for number, table in enumerate(tables, 1)], seed


def short_fault(text: str) -> Fault:
    """A fault of one line: `close at=10s code=1001`. Raises TradecapError (exit 2)."""
    words = text.split()
    members: dict[str, Any] = {"kind": words.pop(0)} if words else {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise TradecapError(
                f"The fault {text!r} has {word!r}, which isn't NAME=VALUE.", 'write it like "drop trades=1000 count=5".'
            )
        members[name] = _plain(name, value)
    return _fault(members, f"the fault {text!r}")


def _plain(name: str, value: str) -> object:
    if value in ("true", "false"):
        return value == "true"
    if name in _DURATIONS or not re.fullmatch(r"-?\d+(\.\d+)?", value, re.ASCII):
        return value
    return float(value) if "." in value else int(value)


def _fault(table: Mapping[str, Any], where: str) -> Fault:
    if not isinstance(table.get("kind"), str):
        raise TradecapError(f"{where[:1].upper()}{where[1:]} has no kind.", f"the kinds are {', '.join(KINDS)}.")
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _FIELDS:
            raise TradecapError(
                f"{where[:1].upper()}{where[1:]} has {name!r}, which no fault has.",
                f"a fault may have {', '.join(_FIELDS)}.",
            )
        values[_FIELDS[name]] = _value(name, value, where)
    return Fault(**values)


def _value(name: str, value: object, where: str) -> object:
    if name in _DURATIONS:
        seconds = _seconds(value)
        if seconds is not None:
            return seconds
        raise TradecapError(f"In {where}, {name} = {value!r} is not a duration.", "write it like 10s, 500ms or 1m.")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    wanted = _TYPES[_FIELDS[name]]
    fits = (
        is_number and (wanted == float | None or isinstance(value, int))
        if wanted not in (str, bool)
        else type(value) is wanted
    )
    if not fits:
        raise TradecapError(
            f"In {where}, {name} = {value!r} is of the wrong type.", "docs/simulate.md lists what each fault takes."
        )
    return value.upper() if name == "symbol" and isinstance(value, str) else value


_DURATION: Final = re.compile(r"([+-]?)(\d+(?:\.\d+)?)(ms|s|m|h)?", re.ASCII)
_UNITS: Final = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(match[2]) * _UNITS[match[3]] * (-1 if match[1] == "-" else 1) if match else None
