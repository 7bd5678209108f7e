"""Figures of the serving itself: requests and their latency by route, how fresh the answers are, what was cut."""

import time
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tradecap.flows.joined import Joined
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import App, KeptAnswers, Message, Receive, Scope, Send
from tradecap.serve.streams import Streams

SERIES: Final = 1000
"""Series whose age is shown, at most."""
ENDLESS: Final = "/live"
"""The time to its answer's beginning counts."""
OTHER: Final = "other"
"""The route of a path that isn't one: a label for each path that strangers try would never end."""


class Measures(Collector):
    """Measures an application, and collects the rest when it is asked."""

    def __init__(self, joined: Joined, kept: KeptAnswers, limits: ConnectionLimits, streams: Streams) -> None:
        self._joined, self._kept, self._limits, self._streams = joined, kept, limits, streams
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests_total", "Requests answered.", ["method", "route", "code"], registry=self._registry
        )
        self._seconds = Histogram(
            "http_request_duration_seconds", "From the request to its answer's end.", ["route"], registry=self._registry
        )
        self._registry.register(self)
        self.requests = 0

    def text(self) -> bytes:
        """The figures as Prometheus reads them."""
        return generate_latest(self._registry)

    def around(self, app: App, routes: frozenset[str]) -> App:
        """The application, measured."""

        async def measured(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began_s, status, answered_s = time.perf_counter(), [500], [0.0]

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status[0], answered_s[0] = message["status"], time.perf_counter()
                await send(message)

            try:
                await app(scope, receive, sending)
            finally:
                self.requests += 1
                route = scope["path"] if scope["path"] in routes else OTHER
                method = scope["method"] if scope["method"] in ("GET", "HEAD", "OPTIONS", "POST") else OTHER
                self._requests.labels(method, route, str(status[0])).inc()
                self._seconds.labels(route).observe(
                    (answered_s[0] if route == ENDLESS else time.perf_counter()) - began_s
                )

        return measured

    def collect(self) -> Iterable[Metric]:
        """The figures that are read when they are asked for."""
        live, stored = self._joined.live, self._joined.stored
        age = GaugeMetricFamily(
            "tradecap_newest_trade_age_seconds",
            "Since the newest trade was traded.",
            labels=["venue", "symbol", "channel"],
        )
        for series in live.series()[:SERIES]:
            age.add_metric(list(series), max(time.time() - self._joined.as_of_us(series) / 1e6, 0.0))
        yield age
        yield GaugeMetricFamily(
            "tradecap_seconds_since_data", "Since the log brought something.", value=time.monotonic() - live.taken_s
        )
        yield from self._lag()
        yield GaugeMetricFamily("tradecap_http_connections", "Connections that are open.", value=self._limits.open)
        yield GaugeMetricFamily(
            "tradecap_streams",
            "Streams of bars that are open, of server-sent events and gRPC.",
            value=self._streams.open,
        )
        yield CounterMetricFamily("tradecap_streams_refused", "Streams beyond the limits.", value=self._streams.refused)
        yield CounterMetricFamily(
            "tradecap_streams_cut",
            "Streams ended because their client took its updates too slowly.",
            value=self._streams.cut,
        )
        yield CounterMetricFamily(
            "tradecap_http_connections_refused", "Connections beyond the limits.", value=self._limits.refused
        )
        yield CounterMetricFamily(
            "tradecap_http_connections_cut",
            "Connections cut because they sent or read too slowly.",
            value=self._limits.cut,
        )
        yield CounterMetricFamily(
            "tradecap_answers_kept_hits", "Answers that were sent again as they were.", value=self._kept.hits
        )
        if stored:
            yield CounterMetricFamily(
                "tradecap_store_cache_hits", "Questions that the store had answered already.", value=stored.hits
            )
            yield CounterMetricFamily(
                "tradecap_store_cache_misses", "Questions that were put to the store.", value=stored.misses
            )
            yield CounterMetricFamily(
                "tradecap_store_queries_cut", "Questions that took too long, or found no free reader.", value=stored.cut
            )

    def _lag(self) -> Iterable[Metric]:
        log = self._joined.live.log
        if self._joined.live.problem:
            return  # an unknown lag isn't a lag of 0
        lag = GaugeMetricFamily(
            f"tradecap_serve_lag_{log.lag_unit}",
            f"{log.lag_unit.title()} of the log that aren't served yet.",
            labels=["partition"],
        )
        for partition, size in sorted(self._joined.live.behind.items()):
            lag.add_metric([str(partition)], size)
        yield lag
