"""The routes: what is asked, what is answered, and the OpenAPI document of it.

Rules: a route reads its parameters and asks `Answers`, in a thread, since the store answers there. Its JSON is made by
msgspec: FastAPI's own encoding of the list takes several times as long (bench/serving.py).
"""

from importlib import resources
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from tradecap import __version__
from tradecap.serve import models
from tradecap.serve.answers import MOST
from tradecap.serve.problems import TYPE, ProblemError
from tradecap.serve.sending import SECURITY, Api, state

ROUTES: Final = {
    "/": "what is here",
    "/health": "whether this process works",
    "/ready": "whether log and store can be read, and the log has been read to its end",
    "/symbols": "the series, their ids and gaps",
    "/candles": "bars of any interval",
    "/live": "the newest bar as it changes, as server-sent events",
    "/trades": "trades as they are stored",
    "/stats/volume": "what was traded in a window",
    "/stats/spikes": "bars whose close is far from the one before",
    "/coverage": "which ids are held, and which are missing",
    "/metrics": "figures for Prometheus",
    "/app": "the page: a live chart",
    "/docs": "this interface, to try out",
    "/openapi.json": "this interface, for programs",
}
FILES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' "
    "data:; frame-ancestors 'none'"
)
Symbol = Annotated[
    str, Query(min_length=1, max_length=40, description="Like BTCUSDT, in any case.", examples=["BTCUSDT"])
]
Venue = Annotated[
    str, Query(max_length=40, description="Needed where the symbol is there from several venues.", examples=["binance"])
]
Channel = Annotated[
    str, Query(max_length=20, description="trade or aggTrade (default: trade, else aggTrade).", examples=["trade"])
]
Interval = Annotated[
    str, Query(max_length=20, description="A multiple of a minute that divides a day.", examples=["1m", "1h"])
]
Window = Annotated[str, Query(max_length=20, description="A multiple of a minute, up to 7d.", examples=["1h", "24h"])]
_TIME: Final = "RFC 3339, a day, epoch s or ms, or -10m before the newest trade"
From = Annotated[str | None, Query(alias="from", max_length=40, description=f"{_TIME}; inclusive.", examples=["-10m"])]
To = Annotated[
    str | None, Query(alias="to", max_length=40, description=f"{_TIME}; exclusive.", examples=["2024-08-09T12:00:00Z"])
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]
FromId = Annotated[int | None, Query(ge=0, lt=2**63, description="The first id; without it the newest.")]
Threshold = Annotated[str, Query(max_length=20, description="Share of the previous close.", examples=["0.03"])]
Complete = Annotated[bool, Query(description="Only bars that are complete.")]


def _api(request: Request) -> Api:
    api = request.app.state.api
    assert isinstance(api, Api)
    return api


async def _refuse_unknown(request: Request) -> None:
    """A mistyped parameter would be left out quietly, and the answer be another one."""
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    if unknown := sorted(set(request.query_params) - known):
        raise ProblemError(
            422, f"There is no parameter {unknown[0][:60]!r} here.", f"there are: {', '.join(sorted(known)) or 'none'}"
        )


Served = Annotated[Api, Depends(_api)]
_PROBLEMS: Final = {
    400: "A bad request",
    401: "A token is needed",
    404: "An unknown symbol",
    421: "Not a name of this server",
    422: "A bad parameter",
    429: "Too many requests",
    503: "Not now",
}
_SCHEMA: Final = {TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    code: {"description": text, "content": _SCHEMA} for code, text in _PROBLEMS.items()
}
QUESTION: Final[dict[str, Any]] = {"responses": RESPONSES, "tags": ["data"], "dependencies": [Depends(_refuse_unknown)]}
STATE: Final[dict[str, Any]] = {"tags": ["state"], "dependencies": [Depends(_refuse_unknown)]}
_NOT_NOW: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": models.Health, "description": "Not now; reasons say why"}
}
router: Final = APIRouter()


@router.get("/symbols", summary="All series", response_model=models.Symbols, **QUESTION)
def symbols(api: Served) -> Response:
    """Each series with its first and last trade; `gaps` counts ranges of missing ids, `missing` the ids in them."""
    return api.reply(api.answers.symbols())


@router.get("/candles", summary="Bars of a symbol", response_model=models.BarPage, **QUESTION)
def candles(
    api: Served,
    request: Request,
    symbol: Symbol,
    since: From = None,
    until: To = None,
    interval: Interval = "1m",
    limit: Limit = 500,
    venue: Venue = "",
    channel: Channel = "",
    complete: Complete = False,
) -> Response:
    """Without `from` the newest ones. `from` is inclusive, `to` is not. `next` is the `from` of the following page."""
    series = api.answers.choose(symbol, venue, channel)
    stamp = api.stamp(series)
    return api.keep(
        request, api.reply(api.answers.candles(series, since, until, interval, limit, complete)), series, stamp
    )


@router.get("/trades", summary="Trades of a symbol", response_model=models.TradePage, **QUESTION)
def trades(
    api: Served, symbol: Symbol, from_id: FromId = None, limit: Limit = 500, venue: Venue = "", channel: Channel = ""
) -> Response:
    """Ascending by id, each with the record it came from. `next` is the `from_id` of the following page."""
    return api.reply(api.answers.trades(api.answers.choose(symbol, venue, channel), from_id, limit))


@router.get("/stats/volume", summary="What was traded in a window", response_model=models.VolumeAnswer, **QUESTION)
def volume(api: Served, symbol: Symbol, window: Window = "1h", venue: Venue = "", channel: Channel = "") -> Response:
    """The whole minutes of a window that ends with the newest trade's minute."""
    return api.reply(api.answers.volume(api.answers.choose(symbol, venue, channel), window))


@router.get("/stats/spikes", summary="Jumps of the price", response_model=models.SpikesAnswer, **QUESTION)
def spikes(
    api: Served,
    symbol: Symbol,
    threshold: Threshold = "0.03",
    interval: Interval = "1m",
    window: Window = "24h",
    venue: Venue = "",
    channel: Channel = "",
) -> Response:
    """Bars with |close - previous close| >= threshold x previous close, between adjacent complete bars only."""
    return api.reply(api.answers.spikes(api.answers.choose(symbol, venue, channel), threshold, interval, window))


@router.get("/coverage", summary="Which ids are held", response_model=models.Coverage, **QUESTION)
def coverage(api: Served, symbol: Symbol, venue: Venue = "", channel: Channel = "") -> Response:
    """Ranges of ids without a hole, and the gaps between them; both ends are included."""
    return api.reply(api.answers.coverage(api.answers.choose(symbol, venue, channel)))


@router.get("/", summary="What is here", response_model=models.Index, **STATE)
def index(api: Served) -> Response:
    """The routes."""
    return api.reply({"name": "tradecap", "version": __version__, "routes": ROUTES})


@router.get("/health", summary="Whether this process works", response_model=models.Health, responses=_NOT_NOW, **STATE)
def health(api: Served) -> Response:
    """503 where only a restart helps."""
    return state(api.joined.live.ills())


@router.get("/ready", summary="Whether it can answer", response_model=models.Health, responses=_NOT_NOW, **STATE)
def ready(api: Served) -> Response:
    """503 while log or store can't be read, or the log hasn't been read to its end."""
    stored = api.joined.stored
    return state([*api.joined.live.not_ready(), *(stored.not_ready() if stored else []), *api.ills()])


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    tags=["state"],
)
def metrics(api: Served) -> Response:
    """In Prometheus' text format."""
    return Response(api.measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/docs", include_in_schema=False)
def page() -> Response:
    """Swagger UI, which comes with the package."""
    text = (resources.files("tradecap.serve") / "swagger" / "index.html").read_bytes()
    return Response(text, media_type="text/html", headers={**SECURITY, "Content-Security-Policy": PAGE_POLICY})


@router.get("/docs/{name}", include_in_schema=False)
def file(name: str) -> Response:
    """A file of the page."""
    if name not in FILES:
        raise ProblemError(404, "There is no such file.", "GET /docs is the page.")
    content = (resources.files("tradecap.serve") / "swagger" / name).read_bytes()
    return Response(content, media_type=FILES[name], headers={"X-Content-Type-Options": "nosniff"})
