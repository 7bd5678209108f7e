"""How an answer is sent."""

import json

import pytest

from tradecap.serve.problems import RETRY_S
from tradecap.serve.sending import SECURITY, state


@pytest.mark.parametrize(("reasons", "status", "text"), [([], 200, "ok"), (["the log is away"], 503, "not ready")])
def test_a_state_says_its_reasons_and_is_never_kept(reasons: list[str], status: int, text: str) -> None:
    """A load balancer would send clients to a server that can't answer, or keep them away forever."""
    answer = state(reasons)
    assert answer.status_code == status
    assert json.loads(bytes(answer.body)) == {"status": text, "reasons": reasons}
    assert answer.headers.get("Retry-After") == (str(RETRY_S) if reasons else None)
    assert {name: answer.headers[name] for name in SECURITY} == SECURITY
