"""The venue's limits for one address: request weight, requests, new connections; and what follows when it exceeds them.

Rules (docs/binance.md §2 and §5): windows are fixed, not sliding. Over the limit a request is answered 429 with the
seconds until the window ends. An address that goes on is banned (418) for 2 minutes, and each further time for twice as
long, up to 3 days. The documents don't give the number of requests until a ban: here it is PATIENCE. Times come from
outside, in seconds, already scaled. Pure.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

PATIENCE: Final = 20
SHORTEST_BAN_S: Final = 120
LONGEST_BAN_S: Final = 3 * 86_400


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The venue's limits. None: not limited."""

    weight_per_minute: int | None = 6_000
    requests_per_5_minutes: int | None = 300_000
    connections_per_5_minutes: int | None = 300
    incoming_per_second: int | None = 5
    max_streams: int = 1024
    ping_every_s: float = 20
    pong_within_s: float = 60
    lifetime_s: float = 86_400
    kline_every_s: float = 2


NO_LIMITS: Final = Rules(
    weight_per_minute=None, requests_per_5_minutes=None, connections_per_5_minutes=None, incoming_per_second=None
)


class Admission(NamedTuple):
    """The answer to one request.

    status: 200, 429 or 418. used: the weight used in this window. retry_s: how long to wait. limited: the limit
    exceeded.
    """

    status: int
    used: int
    retry_s: int = 0
    limited: str = ""


@dataclass(kw_only=True)
class _AddressAccount:
    window: int = -1
    used: int = 0
    requests_window: int = -1
    requests: int = 0
    refused: int = 0
    bans: int = 0
    banned_until_s: float = 0.0
    connections: deque[float] = field(default_factory=deque)


class AddressLimits:
    """The accounts of all addresses."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._accounts: defaultdict[str, _AddressAccount] = defaultdict(_AddressAccount)

    def request(self, address: str, weight: int, now_s: float) -> Admission:
        """Count a request."""
        account, rules = self._accounts[address], self._rules
        if now_s < account.banned_until_s:
            return Admission(418, account.used, _up(account.banned_until_s - now_s))
        if account.window != now_s // 60:
            account.window, account.used, account.refused = int(now_s // 60), 0, 0
        if account.requests_window != now_s // 300:
            account.requests_window, account.requests = int(now_s // 300), 0
        account.used += weight
        account.requests += 1
        if rules.weight_per_minute is not None and account.used > rules.weight_per_minute:
            return self._refused(account, now_s, 60, f"{rules.weight_per_minute} request weight per 1 MINUTE")
        if rules.requests_per_5_minutes is not None and account.requests > rules.requests_per_5_minutes:
            return self._refused(account, now_s, 300, f"{rules.requests_per_5_minutes} requests per 5 MINUTE")
        return Admission(200, account.used)

    def _refused(self, account: _AddressAccount, now_s: float, window_s: int, limited: str) -> Admission:
        account.refused += 1
        if account.refused <= PATIENCE:
            return Admission(429, account.used, _up(window_s - now_s % window_s), limited)
        length_s = min(LONGEST_BAN_S, SHORTEST_BAN_S << min(account.bans, 12))
        account.bans, account.refused, account.banned_until_s = account.bans + 1, 0, now_s + length_s
        return Admission(418, account.used, length_s)

    def connection(self, address: str, now_s: float) -> bool:
        """Count a new connection. Returns whether it may come in."""
        if self._rules.connections_per_5_minutes is None:
            return True
        times = self._accounts[address].connections
        while times and times[0] <= now_s - 300:
            times.popleft()
        if len(times) >= self._rules.connections_per_5_minutes:
            return False
        times.append(now_s)
        return True


class Incoming:
    """The frames a client has sent within the last second: pings, pongs and requests alike."""

    __slots__ = ("_limit", "_times")

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._times: deque[float] = deque()

    def count(self, now_s: float) -> bool:
        """Count one. Returns False when it is one too many."""
        if self._limit is None:
            return True
        times = self._times
        while times and times[0] <= now_s - 1:
            times.popleft()
        times.append(now_s)
        return len(times) <= self._limit


def _up(seconds: float) -> int:
    return max(1, int(-(-seconds // 1)))
