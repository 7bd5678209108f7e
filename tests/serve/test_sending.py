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


@pytest.mark.parametrize("change", [{"sweep": 2}, {"problem": "away"}, {"failed": 1}])
def test_an_answer_is_not_kept_over_a_change_of_the_store(change: dict[str, object]) -> None:
    """A bar that was made without the store would be sent again, until its series trades."""
    stored = SimpleNamespace(sweep=1, problem=None, failed=0)
    joined: Any = SimpleNamespace(stored=stored, live=SimpleNamespace(version=lambda _: 1))
    unused: Any = None
    api = Api(joined, unused, unused, unused, unused)
    before = api.stamp(("binance", "BTCUSDT", "trade"))
    assert api.stamp(("binance", "BTCUSDT", "trade")) == before
    vars(stored).update(change)
    assert api.stamp(("binance", "BTCUSDT", "trade")) != before
