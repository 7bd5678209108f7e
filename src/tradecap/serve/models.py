"""What the routes answer, for the OpenAPI document. Prices and volumes are strings, exact; ids and counts are numbers;
times are RFC 3339, UTC."""

from dataclasses import dataclass
from datetime import datetime

from tradecap.flows.candles import ShownCandle


@dataclass(frozen=True, kw_only=True)
class Index:
    """What is here."""

    name: str
    version: str
    routes: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Health:
    """Whether all is well; reasons: why not."""

    status: str
    reasons: list[str]


@dataclass(frozen=True, kw_only=True)
class SeriesRow:
    """A series. gaps: ranges of ids that are missing between the first and the last one; missing: the ids in them."""

    venue: str
    symbol: str
    channel: str
    first_id: int
    last_id: int
    first_time: datetime
    last_time: datetime
    gaps: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """All series."""

    series: list[SeriesRow]


@dataclass(frozen=True, kw_only=True)
class Bar(ShownCandle):
    """One bar. complete: no id of it is missing, and both neighbours adjoin by id."""


@dataclass(frozen=True, kw_only=True)
class BarPage:
    """Bars, oldest first. next: `from` of the following page; as_of: when the newest trade was traded."""

    venue: str
    symbol: str
    channel: str
    interval: str
    candles: list[Bar]
    next: datetime | None
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class TradeRow:
    """A trade as it is stored. run and seq: the record it came from. event_time: None where the message has none."""

    id: int
    first_id: int
    last_id: int
    price: str
    qty: str
    trade_time: datetime
    event_time: datetime | None
    is_buyer_maker: bool
    order_book: bool
    run: str
    seq: int


@dataclass(frozen=True, kw_only=True)
class TradePage:
    """Trades, ascending by id. next: `from_id` of the following page."""

    venue: str
    symbol: str
    channel: str
    trades: list[TradeRow]
    next: int | None
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class VolumeAnswer:
    """What was traded in the whole minutes of a window that ends with the newest trade's."""

    venue: str
    symbol: str
    channel: str
    window: str
    since: datetime
    until: datetime
    volume: str
    quote_volume: str
    taker_buy_volume: str
    taker_buy_quote_volume: str
    trades: int
    vwap: float | None
    first_id: int | None
    last_id: int | None
    complete: bool
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class SpikeRow:
    """A bar whose close is far from that of the bar before it."""

    open_time: datetime
    previous_close: str
    close: str
    change: float


@dataclass(frozen=True, kw_only=True)
class SpikesAnswer:
    """Spikes of a window. compared: bars looked at; left_out: those that aren't complete, so they are compared with
    none."""

    venue: str
    symbol: str
    channel: str
    interval: str
    window: str
    threshold: str
    compared: int
    left_out: int
    spikes: list[SpikeRow]
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Which ids are held: proven ranges without a hole, and the gaps between them. more: older ranges were left out."""

    venue: str
    symbol: str
    channel: str
    proven: list[list[int]]
    gaps: list[list[int]]
    more: bool
    as_of: datetime


@dataclass(frozen=True, kw_only=True)
class ProblemBody:
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    hint: str
