"""tradecap serve: what was captured, answered over REST and gRPC."""

import ipaddress
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tradecap.cli.load import result_of, sentence
from tradecap.cli.logs import log_in_force, topic_access
from tradecap.cli.options import COUNT, DURATION, FILE, PORT, POSITIVE, service, shared
from tradecap.cli.output import Output, counted, span, stacked
from tradecap.cli.secrets import TOKEN, read_secret, secret_of
from tradecap.cli.settings import Settings
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit, TradecapError
from tradecap.flows.joined import Joined
from tradecap.flows.live import Live
from tradecap.flows.loading import Loading
from tradecap.flows.records import read_record
from tradecap.flows.stop import Stop
from tradecap.flows.stored import Stored
from tradecap.log.api import Log
from tradecap.store import open_store
from tradecap.store.api import NoStoreError, Store
from tradecap.urls import learn

if TYPE_CHECKING:
    from tradecap.serve.guard import AccessRules

CONNECTIONS: Final = 500
"""In all: below the files that a process may have open by default (1024)."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Where and for whom to serve."""

    host: str
    port: int
    grpc_port: int
    token: str
    tls_cert: Path | None
    tls_key: Path | None
    cors: tuple[str, ...]
    names: tuple[str, ...]
    rate: int
    connections: int
    metrics_port: int | None


@service
@click.option(
    "--port", type=PORT, default="8000", metavar="PORT", help="Where to serve REST (default 8000; 0: any free port)."
)
@click.option(
    "--grpc-port",
    type=PORT,
    default="50051",
    metavar="PORT",
    help="Where to serve gRPC (default 50051; 0: any free port).",
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="The address to listen on (default 127.0.0.1: only this machine).",
)
@click.option("--load", "also_load", is_flag=True, help="Also load the store and build candles, in this process.")
@click.option(
    "--history",
    "history_s",
    type=DURATION,
    default="2h",
    metavar="DURATION",
    help="Read the log at most this far back (default 2h).",
)
@click.option(
    "--token-file", type=FILE, metavar="FILE", help=f"Clients must send the token in this file (or in {TOKEN})."
)
@click.option("--no-auth", is_flag=True, help="Serve other machines without a token.")
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Let web pages of this origin read the responses, like https://app.example.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Another host name that clients may use for this server.",
)
@click.option("--tls-cert", type=FILE, metavar="FILE", help="Serve HTTPS with this certificate (PEM, with its chain).")
@click.option("--tls-key", type=FILE, metavar="FILE", help="The certificate's key, unless it is in the same file.")
@click.option(
    "--rate",
    type=COUNT,
    default="100",
    metavar="N",
    help="Allow each client N requests per second (default 100; 0: any number).",
)
@click.option(
    "--connections", type=POSITIVE, default="100", metavar="N", help="Allow each client N connections (default 100)."
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /metrics, /health and /ready on this port too, without a token.",
)
@shared
def serve(
    also_load: bool,
    history_s: float,
    token_file: Path | None,
    no_auth: bool,
    settings: Settings,
    out: Output,
    **options: Any,
) -> Exit:
    """Serve candles, trades and statistics over REST and gRPC.

    History comes from the store, and the current minute from the log; where they meet, no trade is missing or counted
    twice. Without --load it only reads. With --load it also loads the store; an embedded store needs this to grow
    while it is served, because only one process can open it. http://127.0.0.1:8000/docs lists the routes; gRPC (port
    50051) sends the current bar (candle) on every trade.

    http://127.0.0.1:8000/app is a page that draws the candles of a series and keeps them current.

    \b
    Examples:
      tradecap serve
      tradecap serve --load
      tradecap serve --host 0.0.0.0 --token-file /run/secrets/token --tls-cert cert.pem --tls-key key.pem
    """
    with ExitStack() as stack:
        stop = stack.enter_context(interruptible(out))  # first: a signal while it starts is a request to end, as later
        token = _token(token_file, no_auth, options["host"])
        if options["tls_key"] and not options["tls_cert"]:
            raise TradecapError("--tls-key needs --tls-cert.", "name both: --tls-cert cert.pem --tls-key key.pem")
        _require_extra()
        log = log_in_force(settings, out.warn)
        store = stack.enter_context(_store(settings, log, out, also_load))
        loading = stack.enter_context(Loading(log, store if also_load else None))
        live = Live(log, store, history_s=history_s, say=out.warn)
        requests, seconds = _serve(ServeOptions(token=token, **options), live, loading, store, stack, stop, out)
        loading.finish()
    _show(requests, seconds, loading, out)
    if loading.problem:
        raise loading.problem
    return Exit.OK


def _show(requests: int, seconds: float, loading: Loading, out: Output) -> None:
    """The result of the command, with that of --load."""
    result: dict[str, object] = {"requests": requests, "seconds": round(seconds, 3)}
    summary = f"{counted(requests, 'request')} answered in {span(seconds)}"
    if loading.loaded:
        done = loading.loaded
        out.show(result | {"load": result_of(done)}, lambda: stacked(sentence(done), summary))
    else:
        out.show(result, lambda: summary)


def _serve(
    options: ServeOptions,
    live: Live,
    loading: Loading,
    store: Store | None,
    stack: ExitStack,
    stop: Stop,
    out: Output,
) -> tuple[int, float]:
    """Serve until someone asks for the end; how many requests were answered, and how long it took."""
    from tradecap.serve.app import application
    from tradecap.serve.connections import ConnectionLimits
    from tradecap.serve.rpc import MarketService
    from tradecap.serve.rpc_server import RpcServer, reserved
    from tradecap.serve.server import Tls, bound, context_of, serve
    from tradecap.serve.streams import Streams

    tls_files = Tls(options.tls_cert, options.tls_key) if options.tls_cert else None
    tls = context_of(tls_files) if tls_files else None
    sockets, rpc_sockets = bound(options.host, options.port), reserved(options.host, options.grpc_port)
    url = _url(options, sockets[0].getsockname()[1])
    if store:
        store.announce(url)
    began_s = time.monotonic()
    stored = _begun(live, loading, store, stack, stop)
    limits = ConnectionLimits(options.connections, max(CONNECTIONS, options.connections))
    joined = Joined(live, stored)
    streams = Streams(joined)
    app, measures = application(joined, _rules(options), limits, loading.ills, streams)
    not_ready = _not_ready(live, loading, stored)
    rpc = RpcServer(MarketService(joined, streams, options.rate), rpc_sockets, options.token, tls_files, not_ready)
    if options.metrics_port is not None:
        from tradecap.metrics import ServeMetrics  # not before it is wanted: it takes its time

        stack.enter_context(
            ServeMetrics(
                options.metrics_port, measures.text, lambda: [*live.ills(), *loading.ills()], not_ready, out.note
            ),
        )
    where = {"url": url, "grpc": _target(options, rpc.port), "app": f"{url}/app"}
    serve(app, sockets, limits, _is_over(stop, loading, out), tls, lambda: _announce(where, out), [streams, rpc])
    return measures.requests, time.monotonic() - began_s


def _begun(live: Live, loading: Loading, store: Store | None, stack: ExitStack, stop: Stop) -> Stored | None:
    """Start to read the log and to load the store; how the store is asked from here on."""
    live.begin()
    stored = Stored(store) if store else None
    if stored:
        stack.callback(stored.close)
    loading.start(stop)  # from here on the store itself is the loader's: all others ask readers
    live.start()
    stack.callback(live.finish)
    return stored


def _not_ready(live: Live, loading: Loading, stored: Stored | None) -> Callable[[], list[str]]:
    """What is missing before questions can be answered."""
    return lambda: [*live.not_ready(), *(stored.not_ready() if stored else []), *loading.ills()]


def _is_over(stop: Stop, loading: Loading, out: Output) -> Callable[[], bool]:
    """Whether it is to end; what the loader has to say is shown whenever this is asked."""

    def is_over() -> bool:
        while loading.news:
            level, text, fields = loading.news.popleft()
            (out.warn if level == "warning" else out.note)(text, **fields)
        return stop()

    return is_over


def _announce(where: dict[str, str], out: Output) -> None:
    """The first line (--json), or a line for each address."""
    out.lines(
        [msgspec.json.encode(where).decode()] if out.json else [f"{name:<8} {value}" for name, value in where.items()]
    )


def _rules(options: ServeOptions) -> "AccessRules":
    from tradecap.serve.guard import AccessRules

    return AccessRules(options.token, options.cors, (*options.names, options.host), options.rate)


@contextmanager
def _store(settings: Settings, log: Log, out: Output, is_needed: bool) -> Iterator[Store | None]:
    """The store; None where there is none, with a warning."""
    access = topic_access(log, settings, reads=False)
    try:
        opened = open_store(settings.store.value, read=read_record, topic=access)
    except NoStoreError as error:
        if is_needed:
            raise
        out.warn(f"{error.message} Serving from the log alone.", hint=error.hint)
        yield None
        return
    with opened as store:
        yield store


def _token(file: Path | None, no_auth: bool, host: str) -> str:
    """The token that clients must send; '' for none. Raises TradecapError where others could ask without one."""
    secret = secret_of(TOKEN, os.environ)
    token = read_secret(str(file), "--token-file") if file else secret.value if secret else ""
    learn(token)
    if token and no_auth:
        raise TradecapError("--no-auth contradicts the token that is set.", f"leave it out, or unset {TOKEN}.")
    if not token and not no_auth and not _is_local(host):
        hint = "name a token that clients must send: --token-file FILE; or allow everybody: --no-auth"
        raise TradecapError(f"Others could read everything: --host {host} is reached from other machines.", hint)
    return token


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url(options: ServeOptions, port: int) -> str:
    return f"{'https' if options.tls_cert else 'http'}://{_target(options, port)}"


def _target(options: ServeOptions, port: int) -> str:
    host = (
        "localhost"
        if options.host in ("", "0.0.0.0", "::")
        else f"[{options.host}]"
        if ":" in options.host
        else options.host
    )
    return f"{host}:{port}"


def _require_extra() -> None:
    try:
        import fastapi  # noqa: F401 -- only whether it is there
        import uvicorn  # noqa: F401 -- the same

        from tradecap.serve import rpc_server  # noqa: F401 -- what gRPC needs, which older versions of the extra didn't have
    except ImportError as error:
        raise TradecapError(
            f"'tradecap serve' needs {error.name}, which isn't installed.", "install it: pip install 'tradecap[serve]'"
        ) from error
