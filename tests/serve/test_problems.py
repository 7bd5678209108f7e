"""Errors as RFC 9457 has them."""

import json

import pytest

from tradecap.serve.problems import RETRY_S, ProblemError


@pytest.mark.parametrize(("status", "waits"), [(422, False), (404, False), (500, False), (429, True), (503, True)])
def test_a_failure_that_passes_says_when_to_ask_again(status: int, waits: bool) -> None:
    """A client would ask again at once, a thousand times a second, or never."""
    problem = ProblemError(status, "It failed.", "ask later.")
    assert problem.headers == ({"Retry-After": str(RETRY_S)} if waits else {})


def test_a_wait_that_is_known_better_is_kept() -> None:
    """A limit that ends in a minute would be asked thirty times."""
    assert ProblemError(429, "It failed.", "ask later.", {"Retry-After": "60"}).headers == {"Retry-After": "60"}


def test_the_body_has_the_members_of_the_standard_and_the_hint() -> None:
    """A client that knows RFC 9457 would find no reason."""
    body = json.loads(ProblemError(422, 'from: "x" is wrong.', "GET /docs.").body())
    assert body == {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": 'from: "x" is wrong.',
        "hint": "GET /docs.",
    }
