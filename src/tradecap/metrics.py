"""What a monitoring system asks a running capture, load or serve: /metrics (Prometheus text), /health and /ready.

/health answers 503 when no data came for --stale, the log made nothing durable, or the loader of --load or the shipper
has failed; /ready also while no connection is up, a series wasn't seen yet, a load waits for a store that is away or
the broker is. Both say why. Figures are those of the live line, read when they are asked for.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tradecap import __version__
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.status import Status
from tradecap.flows.load import LoadStatus
from tradecap.flows.loading import Loading
from tradecap.flows.process import ProcessStatus
from tradecap.flows.shipping import Figures, Shipping
from tradecap.listening import listen
from tradecap.log.api import Log

if TYPE_CHECKING:
    from tradecap.log.kafka.exactly_once import ExactlyOnce

ASK_WITHIN_S: Final = 10.0
"""Drop idle connections: each one occupies a thread."""
COUNTERS: Final = {
    "records": "Records written, events included.",
    "valid": "Trades written.",
    "duplicates_dropped": "Equal copies of a trade of this run, left out.",
    "quarantined": "Messages that can't be read.",
    "ignored": "Messages of other kinds.",
    "gaps_found": "Ranges of ids that were missed.",
    "gaps_repaired": "Ranges of ids that were fetched.",
    "outliers": "Ids far from their series, which didn't move it.",
    "reconnects": "Lost connections that were replaced.",
}


class _Served(Collector):
    """HTTP on a port (0: any free one) of every address, IPv4 and IPv6, as a context."""

    def __init__(self, port: int, note: Callable[..., None]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        try:
            self._servers = [_MetricsServer(listener, self._handler()) for listener in listen("", port)]
        except OSError as error:
            raise TradecapError(
                f"Port {port} can't be served: {error.strerror}.", "choose another --metrics-port.", Exit.UNREACHABLE
            ) from error
        self.port = self._servers[0].port
        note(f"metrics: http://localhost:{self.port}/metrics", port=self.port)

    def ills(self) -> list[str]:
        """What is wrong: [] is healthy."""
        raise NotImplementedError

    def not_ready(self) -> list[str]:
        """What is missing: [] is ready."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def text(self) -> bytes:
        """The figures as Prometheus reads them."""
        return generate_latest(self._registry)

    def figures(self) -> list[str]:
        """What /health and /ready say besides, whatever the answer is."""
        return []

    def _page(self, path: str) -> tuple[int, bytes, str]:
        if path == "/metrics":
            return 200, self.text(), "text/plain; version=0.0.4; charset=utf-8"
        if path not in ("/health", "/ready"):
            return 404, b"there is /metrics, /health and /ready\n", "text/plain; charset=utf-8"
        ills = self.ills() if path == "/health" else self.not_ready()
        return (
            (503 if ills else 200),
            ("\n".join([*(ills or ["ok"]), *self.figures()]) + "\n").encode(),
            "text/plain; charset=utf-8",
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self._page

        class Handler(BaseHTTPRequestHandler):
            timeout = ASK_WITHIN_S

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                code, body, kind = page(self.path.split("?")[0])
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name http.server has
                """Nobody wants a line for each scrape."""

        return Handler


class Metrics(_Served):
    """Those of a capture. Until it has seen a status nothing is ready."""

    def __init__(
        self, port: int, loading: Loading, note: Callable[..., None], shipping: Shipping | None = None
    ) -> None:
        self._loading, self._shipping = loading, shipping
        self._status: Status | None = None
        super().__init__(port, note)

    def see(self, status: Status) -> None:
        """Whose figures to serve."""
        self._status = status

    def ills(self) -> list[str]:
        """See `_Served.ills`."""
        shipping = self._shipping.ills() if self._shipping else []
        return (self._status.ills(time.monotonic()) if self._status else []) + self._loading.ills() + shipping

    def not_ready(self) -> list[str]:
        """See `_Served.not_ready`."""
        missing = self._status.not_ready(time.monotonic()) if self._status else ["the capture hasn't begun"]
        shipping = [*self._shipping.ills(), *self._shipping.not_ready()] if self._shipping else []
        return missing + self._loading.ills() + _waiting(self._loading.status) + shipping

    def figures(self) -> list[str]:
        """See `_Served.figures`."""
        return [_shipped_line(self._shipping.figures())] if self._shipping else []

    def collect(self) -> Iterable[Metric]:
        """The figures, as prometheus_client wants them."""
        status = self._status
        if status is None:
            return
        yield _info(status.run)
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"tradecap_{name}", text, value=getattr(status.counts, name))
        yield GaugeMetricFamily("tradecap_connections", "Connections that are up.", value=status.live)
        yield GaugeMetricFamily("tradecap_gaps_open", "Ranges of ids that are missing now.", value=status.gaps_open)
        yield GaugeMetricFamily("tradecap_trades_per_second", "Trades a second, smoothed.", value=status.rate)
        yield GaugeMetricFamily(
            "tradecap_seconds_since_data", "Since a message arrived.", value=time.monotonic() - status.arrived_s
        )
        yield GaugeMetricFamily(
            "tradecap_seconds_since_durable",
            "Since the log was made durable.",
            value=time.monotonic() - status.flushed_s,
        )
        if self._loading.log and self._loading.is_wanted:
            yield from _load(self._loading.log, self._loading.status)
        if self._shipping:
            yield from _shipped(self._shipping.figures())
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            value = status.latency.quantile_ms(share) / 1e3
            yield GaugeMetricFamily(
                f"tradecap_durable_seconds_{name}", "From the socket to the durable log.", value=value
            )
        yield from _series(status)


class ServeMetrics(_Served):
    """Those of `serve`, on a port that needs no token. text: its figures; ills and not_ready as its own /health and
    /ready."""

    def __init__(
        self,
        port: int,
        text: Callable[[], bytes],
        ills: Callable[[], list[str]],
        not_ready: Callable[[], list[str]],
        note: Callable[..., None],
    ) -> None:
        self._text, self._ills, self._not_ready = text, ills, not_ready
        super().__init__(port, note)

    def ills(self) -> list[str]:
        """See `_Served.ills`."""
        return self._ills()

    def not_ready(self) -> list[str]:
        """See `_Served.not_ready`."""
        return self._not_ready()

    def text(self) -> bytes:
        """See `_Served.text`."""
        return self._text()

    def collect(self) -> Iterable[Metric]:
        """None: they come as text."""
        return []


class LoadMetrics(_Served):
    """Those of a load."""

    def __init__(self, port: int, log: Log, status: LoadStatus, note: Callable[..., None]) -> None:
        self._log, self._status = log, status
        super().__init__(port, note)

    def ills(self) -> list[str]:
        """See `_Served.ills`. A load that fails ends."""
        return []

    def not_ready(self) -> list[str]:
        """See `_Served.not_ready`."""
        return ["the load hasn't begun"] if self._status.positions is None else _waiting(self._status)

    def collect(self) -> Iterable[Metric]:
        """The figures, as prometheus_client wants them."""
        yield _info("")
        yield from _load(self._log, self._status)


class ProcessMetrics(_Served):
    """Those of `process`. topic is asked how far it is; status counts what is committed."""

    def __init__(self, port: int, topic: "ExactlyOnce", status: ProcessStatus, note: Callable[..., None]) -> None:
        self._topic, self._status = topic, status
        super().__init__(port, note)

    def ills(self) -> list[str]:
        """See `_Served.ills`. Misplaced trades stay an ill after a restart: they are part of the state."""
        misplaced = self._status.misplaced
        return (
            [f"{misplaced} trades are in a partition that isn't their symbol's, and were left out"] if misplaced else []
        )

    def not_ready(self) -> list[str]:
        """See `_Served.not_ready`."""
        return self.ills() + (
            [] if self._topic.has_joined else ["the group hasn't given this process its partitions yet"]
        )

    def collect(self) -> Iterable[Metric]:
        """The figures, as prometheus_client wants them."""
        done, topic = self._status.done, self._topic
        yield _info("")
        for name, text, value in (
            ("consumed", "Records committed as consumed.", done.records),
            (
                "produced",
                "Messages committed: enriched trades, candles and rejected records.",
                done.trades + done.candles + done.quarantined,
            ),
            ("duplicates", "Repeats of a trade, left out.", done.duplicates),
            ("conflicts", "Records with the id of a trade and other content, left out.", done.conflicts),
            ("rejected", "Records that aren't valid trades, sent to quarantine.", done.quarantined),
            ("too_late", "Trades that came too late to correct their candle.", done.too_late),
            ("transactions", "Committed transactions.", topic.transactions),
            ("transactions_aborted", "Transactions that failed; their records came again.", topic.aborted),
        ):
            yield CounterMetricFamily(f"tradecap_process_{name}", text, value=value)
        yield GaugeMetricFamily(
            "tradecap_process_misplaced",
            "Trades in a partition that isn't their symbol's.",
            value=self._status.misplaced,
        )
        yield GaugeMetricFamily(
            "tradecap_process_transaction_seconds", "How long the newest transaction took.", value=topic.newest_s
        )
        try:
            behind = topic.lag()
        except TradecapError:
            return  # an unknown lag isn't a lag of 0
        lag = GaugeMetricFamily(
            "tradecap_process_lag_offsets",
            "Offsets of this process's partitions that it hasn't come to.",
            labels=["partition"],
        )
        for partition, size in sorted(behind.items()):
            lag.add_metric([str(partition)], size)
        yield lag


def _waiting(status: LoadStatus) -> list[str]:
    return [f"the store is waited for: {status.away}"] if status.away else []


def _load(log: Log, status: LoadStatus) -> Iterable[Metric]:
    """What was loaded, and how far the store is behind the log, in each partition, whoever loads it."""
    yield CounterMetricFamily(
        "tradecap_loaded_records", "Records loaded into the store by this process.", value=status.records
    )
    yield GaugeMetricFamily(
        "tradecap_store_away", "1 while a store that doesn't answer is waited for.", value=bool(status.away)
    )
    if status.positions is None:
        return
    try:
        behind = log.behind(status.positions)
    except TradecapError:
        return  # an unknown lag isn't a lag of 0
    lag = GaugeMetricFamily(
        f"tradecap_load_lag_{log.lag_unit}",
        f"{log.lag_unit.title()} of the log that aren't in the store.",
        labels=["partition"],
    )
    for partition, size in sorted(behind.items()):
        lag.add_metric([str(partition)], size)
    yield lag


class _MetricsServer(ThreadingHTTPServer):
    """A server on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("", 0), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.port = listener.getsockname()[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no traceback when a client disconnects before its answer is written."""


def _info(run: str) -> Metric:
    family = GaugeMetricFamily("tradecap_info", "This program and its run.", labels=["version", "run"])
    family.add_metric([__version__, run], 1)
    return family


def _shipped(spool: Figures) -> Iterable[Metric]:
    yield GaugeMetricFamily("tradecap_spool_bytes", "Bytes of the spool's files.", value=spool.size)
    yield GaugeMetricFamily(
        "tradecap_unacknowledged_bytes",
        "Uncompressed bytes in the spool that the topic hasn't acknowledged.",
        value=spool.waiting,
    )
    yield GaugeMetricFamily(
        "tradecap_unacknowledged_seconds",
        "Age of the oldest record that the topic hasn't acknowledged.",
        value=spool.age_s,
    )
    yield CounterMetricFamily(
        "tradecap_shipped_records", "Records that the topic has acknowledged.", value=spool.shipped
    )
    yield CounterMetricFamily(
        "tradecap_ship_retries", "Failures that were followed by another attempt.", value=spool.retries
    )
    yield GaugeMetricFamily("tradecap_broker_up", "Whether the topic takes records.", value=int(spool.is_up))


def _shipped_line(spool: Figures) -> str:
    up = "up" if spool.is_up else "away"
    return (
        f"spool: {spool.waiting} bytes unacknowledged, oldest {spool.age_s:.1f} s; {spool.shipped} shipped, "
        f"{spool.retries} retries, broker {up}"
    )


def _series(status: Status) -> Iterable[Metric]:
    newest = GaugeMetricFamily("tradecap_newest_id", "The greatest id seen.", labels=["symbol"])
    proven = GaugeMetricFamily("tradecap_proven_id", "The id up to which none is missing.", labels=["symbol"])
    for symbol, book in status.books.items():
        if book.newest is not None:
            newest.add_metric([symbol], book.newest.id)
            proven.add_metric([symbol], book.proven or 0)
    yield newest
    yield proven
