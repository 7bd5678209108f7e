"""What the routes answer, over HTTP."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.exchange import until
from tests.serve.serving import Served, run, serving

pytestmark = pytest.mark.core
ROOT = Path(__file__).parents[2]
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(r"^```http\nGET (\S+)\n```\n```json\n(.*?)^```$", API, re.MULTILINE | re.DOTALL)
QUESTIONS = ["/candles", "/trades", "/stats/volume", "/stats/spikes", "/coverage"]
CHANGING = ("run",)
"""What is another one in each log."""


def is_within(documented: Any, answered: Any) -> bool:
    """Whether an answer is what a document says, as far as it says it. Lists may go on."""
    match documented:
        case dict():
            return all(
                name in answered and (name in CHANGING or is_within(value, answered[name]))
                for name, value in documented.items()
            )
        case list():
            return len(documented) <= len(answered) and all(map(is_within, documented, answered))
    return bool(documented == answered)


@pytest.mark.parametrize(("path", "text"), DOCUMENTED, ids=[path for path, _ in DOCUMENTED])
def test_the_document_shows_what_is_answered(served: Served, path: str, text: str) -> None:
    """Somebody writes a client by the document."""
    answer = served.get(path).json
    assert is_within(json.loads(text), answer), answer
    if not path.startswith("/symbols"):
        assert set(json.loads(text)) == set(answer)


def test_every_route_is_in_the_document(served: Served) -> None:
    """A route that nobody knows of is not used."""
    for path in served.get("/").json["routes"]:
        assert path == "/" or path in API
        if path == "/live":
            continue  # it has no end: test_events.py
        assert served.get(path if path not in QUESTIONS else f"{path}?symbol=BTCUSDT").status == 200


def test_bars_are_what_the_command_prints(served: Served, tmp_path: Path) -> None:
    """Scripts move from one to the other."""
    bars = served.bars()
    assert served.get("/candles?symbol=btcusdt").json["candles"] == bars
    log = f"file:{served.folder / 'tradecap-data/log'}"
    for arguments in (["init-db"], ["load", "--log", log]):
        assert run(tmp_path, *arguments).returncode == 0
    printed = json.loads(run(tmp_path, "candles", "BTCUSDT", "--json").stdout)
    for bar, other in zip(bars, printed.pop("candles"), strict=True):
        volatility = other.pop("volatility")
        assert {name: value for name, value in bar.items() if name != "volatility"} == other
        assert bar["volatility"] == pytest.approx(volatility, rel=1e-9)
    answer = served.get("/candles?symbol=BTCUSDT&limit=1").json
    assert printed == {name: value for name, value in answer.items() if name in printed}


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("from=2024-08-09T12:01:00Z", "12:01"),
        ("from=1723204860", "12:01"),
        ("from=1723204860000", "12:01"),
        ("from=-2m", "12:04"),
        ("from=2024-08-09T14:02:00%2B02:00", "12:02"),
        ("from=2024-08-09T14:02:00+02:00", "12:02"),
        ("to=2024-08-09T12:01:00Z&limit=1", "12:00"),
        ("interval=5m&limit=1", "12:05"),
        ("complete=true&limit=1", "12:04"),
    ],
)
def test_times_are_read_as_they_are_written(served: Served, query: str, first: str) -> None:
    """A window that is off by an hour looks right."""
    answer = served.get(f"/candles?symbol=BTCUSDT&{query}").json
    assert answer["candles"][0]["open_time"] == f"2024-08-09T{first}:00Z"


@pytest.mark.parametrize("path", QUESTIONS)
def test_an_unknown_symbol_is_asked_back(served: Served, path: str) -> None:
    """An empty list would look like a quiet market."""
    answer = served.get(f"{path}?symbol=BTCUSTD")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json["hint"] == "did you mean BTCUSDT?"


@pytest.mark.parametrize(
    "query",
    [
        *(
            "limit=0",
            "limit=5001",
            "limit=x",
            "interval=7m",
            "interval=",
            "interval=1e9d",
            "from=soon",
            "from=99999999999999",
            "to=-1x",
            "from=2&to=1",
        ),
        *("form=1", "complete=maybe", "symbol=", f"venue={'x' * 41}"),
    ],
)
def test_a_parameter_that_cant_be_read_is_named(served: Served, query: str) -> None:
    """Whoever mistypes gets another answer than the one he asked for."""
    answer = served.get(f"/candles?{'' if query == 'symbol=' else 'symbol=BTCUSDT&'}{query}")
    assert answer.status == 422
    assert query.partition("=")[0] in answer.json["detail"]
    assert answer.json["hint"]


INJECTIONS = [
    "'; DROP TABLE trades; --",
    "' OR 1=1 --",
    "{seconds:UInt32}",
    "../../etc/passwd",
    "%00",
    "\u202e",
    "a" * 39,
    "${jndi:x}",
    "<script>",
    "-1m'",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_parameter_reaches_further_than_its_meaning(served: Served, text: str) -> None:
    """A name that becomes a part of a statement, a path or a page."""
    from urllib.parse import quote

    before = served.get("/symbols").body
    for path, names in (
        ("/candles", ("symbol", "venue", "channel", "from", "to", "interval", "limit", "complete")),
        ("/trades", ("symbol", "venue", "channel", "from_id", "limit")),
        ("/stats/spikes", ("symbol", "threshold", "interval", "window")),
        ("/stats/volume", ("symbol", "window")),
        ("/coverage", ("symbol", "venue", "channel")),
    ):
        for name in names:
            head = "" if name == "symbol" else "symbol=BTCUSDT&"
            answer = served.get(f"{path}?{head}{name}={quote(text)}")
            assert answer.status in (404, 422), (path, name, answer.body)
            assert answer.headers["content-type"] == "application/problem+json"
    assert served.get("/symbols").body == before


def test_pages_of_trades_are_all_trades(served: Served) -> None:
    """A client that copies them would miss some."""
    ids: list[int] = []
    following: int | None = 0
    while following is not None:
        page = served.get(f"/trades?symbol=BTCUSDT&from_id={following}&limit=1000").json
        ids += [trade["id"] for trade in page["trades"]]
        following = page["next"]
    assert ids == list(range(3722410118, 3722413463))


def test_many_ask_at_once(served: Served) -> None:
    """An answer of one series that goes to somebody who asked for another."""
    paths = [
        f"/candles?symbol={symbol}&limit={limit}"
        for symbol in ("BTCUSDT", "ETHUSDT", "PEPEUSDT")
        for limit in range(1, 6)
    ]
    with ThreadPoolExecutor(8) as pool:
        for path, answer in zip(paths * 4, pool.map(served.get, paths * 4), strict=True):
            assert answer.json["symbol"] == path[16:].partition("&")[0]
            assert len(answer.json["candles"]) == int(path[-1])


def test_the_page_needs_nothing_from_elsewhere(served: Served) -> None:
    """A page that loads from a CDN doesn't open where there is no way out, and tells strangers of it."""
    page = served.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(rb"https?://", page.body)
    for name in re.findall(rb'(?:src|href)="([^"]+)"', page.body):
        assert served.get(f"/{name.decode()}").status == 200
    assert "http:" not in page.headers["content-security-policy"]
    assert served.get("/docs/../app.py").status == 404


def test_figures_count_what_was_asked(served: Served) -> None:
    """An operator sees neither load nor failures."""

    def count(text: str, name: str) -> float:
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    wanted = 'http_requests_total{code="404",method="GET",route="/coverage"}'
    before = count(served.get("/metrics").body.decode(), wanted)
    served.get("/coverage?symbol=NONE")
    until(lambda: count(served.get("/metrics").body.decode(), wanted) > before)  # counted once it is sent
    text = served.get("/metrics").body.decode()
    assert count(text, wanted) == before + 1
    for name in (
        "http_request_duration_seconds_bucket",
        "tradecap_newest_trade_age_seconds",
        "tradecap_serve_lag_bytes",
        "tradecap_store_cache_misses",
    ):
        assert name in text
    assert count(text, "tradecap_serve_lag_bytes") == 0


def test_other_commands_name_the_url(served: Served) -> None:
    """An embedded store belongs to one process: the next command would only say that it is in use."""
    done = run(served.folder, "candles", "BTCUSDT")
    assert done.returncode == 3
    assert f"ask that one at {served.url}" in done.stderr


def test_what_is_asked_unexpectedly_is_answered(served: Served) -> None:
    """A method, a path or a body that nobody thought of ends in a traceback."""
    assert served.get("/candles", method="POST").status == 405
    assert served.get("/nothing/here").status == 404
    assert served.get("/health", method="HEAD").status == 200
    assert served.get("/candles?symbol=BTCUSDT", method="HEAD").body == b""


def test_without_a_store_the_log_is_served(tmp_path: Path) -> None:
    """Somebody who only captures reads that there is no store, and still sees the log."""
    assert run(tmp_path, "replay", "sample:").returncode == 0
    with serving(tmp_path) as alone:
        assert "log alone" in alone.errors.read_text()
        assert len(alone.bars()) == 7
        assert alone.end() == 0
