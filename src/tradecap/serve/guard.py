"""What a request must pass before a route sees it.

Rules: the name in `Host` must be one of ours (a page of a stranger can't reach a server on this machine by a name that
resolves to it); each client has a rate; a token, where there is one, comes in `Authorization: Bearer`, never in a URL,
and is compared in constant time. /health, /ready and the files of the page need no token. CORS is off unless an origin
is named. Answers that haven't changed are sent again as they are.

Memory: CLIENTS rates, and ANSWERS_BYTES of answers.
"""

import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, MutableMapping
from typing import Any, Final, NamedTuple

from tradecap.serve import page
from tradecap.serve.problems import TYPE, ProblemError

CLIENTS: Final = 10_000
ANSWERS_BYTES: Final = 32_000_000
OPEN: Final = ("/health", "/ready", *page.OPEN)
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class AccessRules(NamedTuple):
    """token: '' for none. origins: that CORS allows. names: which `Host` may have, besides addresses and localhost.

    rate: requests a second of one client (0: any).
    """

    token: str = ""
    origins: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    rate: float = 0.0


class KeptAnswer(NamedTuple):
    """An answer that may be sent again while its stamp is the same."""

    stamp: Hashable
    stamp_now: Callable[[], Hashable]
    headers: Headers
    body: bytes


class KeptAnswers:
    """Whole answers by path and query: those that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bytes], KeptAnswer] = OrderedDict()
        self._bytes = 0
        self.hits = 0

    def keep(self, path: str, query: bytes, answer: KeptAnswer) -> None:
        """Remember an answer."""
        self._drop((path, query))
        self._kept[path, query] = answer
        self._bytes += len(answer.body)
        while self._bytes > ANSWERS_BYTES:
            self._drop(next(iter(self._kept)))

    def get(self, path: str, query: bytes) -> KeptAnswer | None:
        """An answer that is still right."""
        kept = self._kept.get((path, query))
        if kept is None or kept.stamp != kept.stamp_now():
            return None
        self._kept.move_to_end((path, query))
        self.hits += 1
        return kept

    def _drop(self, key: tuple[str, bytes]) -> None:
        if there := self._kept.pop(key, None):
            self._bytes -= len(there.body)


class Guard:
    """An ASGI application in front of another one."""

    def __init__(self, app: App, rules: AccessRules, kept: KeptAnswers) -> None:
        self._app, self._rules, self._kept = app, rules, kept
        self._token = rules.token.encode()
        self._names = {"localhost", *(name.lower() for name in rules.names)}
        self._rates = Rates(rules.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        cors = self._cors(headers)
        try:
            self._check(scope, headers)
        except ProblemError as problem:
            await send_whole(send, problem.status, _headers(problem), problem.body(), cors)
            return
        if scope["method"] == "OPTIONS" and cors and b"access-control-request-method" in headers:
            await send_whole(send, 204, PREFLIGHT, b"", cors)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", "tradecap.head": True}  # uvicorn leaves the body out
        kept = self._kept.get(scope["path"], scope["query_string"]) if scope["method"] == "GET" else None
        if kept:
            await send_whole(send, 200, kept.headers, kept.body, cors)
            return
        await self._app(scope, receive, _adding(send, cors) if cors else send)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(host):
            raise ProblemError(
                421,
                f"Host {host[:100]!r} isn't a name of this server.",
                "use its address or localhost, or allow the name: --allow-host NAME",
            )
        if wait_s := self._rates.wait(scope["client"][0] if scope.get("client") else ""):
            raise ProblemError(
                429,
                f"More than {self._rules.rate:g} requests a second.",
                "ask more slowly.",
                {"Retry-After": str(wait_s)},
            )
        if b"token=" in scope["query_string"].lower():
            raise ProblemError(
                400,
                "A token has no place in a URL: URLs are logged.",
                "send it as a header: Authorization: Bearer TOKEN",
            )
        is_preflight = (
            scope["method"] == "OPTIONS" and b"access-control-request-method" in headers and self._rules.origins
        )
        if (
            self._token
            and scope["path"] not in OPEN
            and not is_preflight
            and not self._is_known(headers.get(b"authorization", b""))
        ):
            raise ProblemError(
                401,
                "A token is needed.",
                "send it as a header: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )

    def _is_known(self, given: bytes) -> bool:
        scheme, _, token = given.partition(b" ")
        return hmac.compare_digest(token.strip(), self._token) and scheme.lower() == b"bearer"

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True

    def _cors(self, headers: dict[bytes, bytes]) -> Headers:
        origin = headers.get(b"origin", b"")
        if origin and origin.decode("latin-1") in self._rules.origins:
            return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return []


PREFLIGHT: Final[Headers] = [
    (b"access-control-allow-methods", b"GET"),
    (b"access-control-allow-headers", b"Authorization, Last-Event-ID"),
    (b"access-control-max-age", b"600"),
]


class Rates:
    """A bucket of two seconds' requests for each client; the oldest clients are forgotten."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> int:
        """0 where a request may come now, else after how many seconds."""
        if not self._rate:
            return 0
        now_s, most = time.monotonic(), max(self._rate * 2, 1.0)
        left, since_s = self._buckets.get(client, (most, now_s))
        left = min(left + (now_s - since_s) * self._rate, most)
        self._buckets[client] = (left - 1 if left >= 1 else left), now_s
        self._buckets.move_to_end(client)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if left >= 1 else max(int((1 - left) / self._rate) + 1, 1)


async def send_whole(
    send: Send, status: int, headers: Headers, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """An answer in one piece."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *more, length]})
    await send({"type": "http.response.body", "body": body})


def _headers(problem: ProblemError) -> Headers:
    named = {"Content-Type": TYPE, **problem.headers}
    return [(name.lower().encode(), value.encode()) for name, value in named.items()]


def _adding(send: Send, more: Headers) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return sending
