"""How an answer is sent."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from tradecap.serve.problems import RETRY_S
from tradecap.serve.sending import SECURITY, Api, state


@pytest.mark.parametrize(("reasons", "status", "text"), [([], 200, "ok"), (["the log is away"], 503, "not ready")])
def test_a_state_says_its_reasons_and_is_never_kept(reasons: list[str], status: int, text: str) -> None:
    """A load balancer would send clients to a server that can't answer, or keep them away forever."""
    answer = state(reasons)
    assert answer.status_code == status
    assert json.loads(bytes(answer.body)) == {"status": text, "reasons": reasons}
    assert answer.headers.get("Retry-After") == (str(RETRY_S) if reasons else None)
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY


@pytest.mark.parametrize(
    ("change", "is_kept", "is_sent_again"),
    [
        ({}, True, True),
        ({"sweep": 2}, False, False),
        ({"problem": "away"}, False, False),
        ({"failed": 1}, False, True),
    ],
    ids=["nothing", "a sweep", "the store is away", "a question failed"],
)
def test_an_answer_is_kept_as_long_as_it_is_whole(
    change: dict[str, object], is_kept: bool, is_sent_again: bool
) -> None:
    """A bar that was made without the store would be sent until its series trades; or one question that fails would
    empty everything that is kept."""
    stored = SimpleNamespace(sweep=1, problem=None, failed=0)
    joined: Any = SimpleNamespace(stored=stored, live=SimpleNamespace(version=lambda _: 1))
    kept: dict[object, Any] = {}
    keeper: Any = SimpleNamespace(keep=lambda path, query, answer: kept.update({(path, query): answer}))
    request: Any = SimpleNamespace(scope={"path": "/candles", "query_string": b""})
    unused: Any = None
    api = Api(joined, keeper, unused, unused, unused)
    series = "binance", "BTCUSDT", "trade"
    api.keep(request, api.reply({}), series, api.stamp(series))
    (answer,) = kept.values()
    before = api.stamp(series)
    kept.clear()
    vars(stored).update(change)
    assert (answer.stamp == answer.stamp_now()) is is_sent_again
    api.keep(request, api.reply({}), series, before)
    assert bool(kept) is is_kept
