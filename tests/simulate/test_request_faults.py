"""Faults of requests: which are answered, with what, and how many."""

import json

from tradecap.simulate.faults import Fault
from tradecap.simulate.request_faults import RequestFaults
from tradecap.simulate.settings import FaultReport


def some_faults(*faults: Fault) -> tuple[RequestFaults, list[FaultReport]]:
    """These faults at work at the time 1 s, and the list that their reports go to."""
    reports: list[FaultReport] = []
    at_work = RequestFaults(lambda: 1_000_000, lambda _, details: reports.append(details))
    for fault in faults:
        at_work.add(fault)
    return at_work, reports


def test_only_the_wanted_requests_are_answered() -> None:
    """A fault for one path would break all others, and be used up by them."""
    at_work, reports = some_faults(Fault("http", status=503, on="rest", path="klines"))
    assert at_work.answer("ws", "/ws/klines") == (None, 0.0)
    assert at_work.answer("rest", "/api/v3/trades") == (None, 0.0)
    answer, _ = at_work.answer("rest", "/api/v3/klines")
    assert answer is not None
    assert answer.status == 503
    assert at_work.answer("rest", "/api/v3/klines") == (None, 0.0)
    assert reports == [{"request": "/api/v3/klines", "status": 503}]


def test_delays_add_up_and_an_error_comes_after_them() -> None:
    """Two faults at once would hide each other."""
    at_work, reports = some_faults(Fault("slow", by_s=1), Fault("slow", by_s=2), Fault("http", status=500))
    answer, delay_s = at_work.answer("rest", "/api/v3/ping")
    assert answer is not None
    assert (answer.status, delay_s) == (500, 3.0)
    assert len(reports) == 3


def test_a_fault_with_a_duration_answers_every_request() -> None:
    """An outage would be over after its first request."""
    at_work, _ = some_faults(Fault("http", status=500, for_s=10))
    assert all(at_work.answer("rest", "/api/v3/ping")[0] for _ in range(5))
    assert len(at_work.active) == 1


def test_a_ban_names_its_end() -> None:
    """A client that reads the time from the text would find none."""
    at_work, _ = some_faults(Fault("http", status=418, retry_after_s=7))
    answer, _ = at_work.answer("rest", "/api/v3/ping")
    assert answer is not None
    assert ("Retry-After", "7") in answer.headers
    assert "until 8000." in json.loads(answer.body)["msg"]
