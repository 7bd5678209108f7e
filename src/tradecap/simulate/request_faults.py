"""Faults of requests: error statuses and slow answers, on REST and on the handshake of a WebSocket.

Rules: a fault answers `count` requests, or all of them for `for_s` seconds. Delays of several faults add up; the first
error status wins. Pure: the caller takes a fault away when its time is over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tradecap.simulate.faults import Fault
from tradecap.simulate.rest import HttpAnswer, limited
from tradecap.simulate.settings import FaultReport

RequestKind = Literal["rest", "ws"]

BODIES: Final = {
    403: b"<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>",
    451: b'{"code":0,"msg":"Service unavailable from a restricted location according to \'b. Eligibility\'."}',
    500: b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}',
    503: b'{"code":-1008,"msg":"Server is currently overloaded with other requests. Please try again in a few '
    b'minutes."}',
    504: b'{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution '
    b'status unknown."}',
}


@dataclass
class RequestFault:
    """A fault that is at work on requests. left: how many it still answers, None for all until it is taken away."""

    fault: Fault
    left: int | None


class RequestFaults:
    """The faults at work on requests. report: called with each fault that answered one, and with details."""

    def __init__(self, now_us: Callable[[], int], report: Callable[[Fault, FaultReport], None]) -> None:
        self._now_us, self._report = now_us, report
        self.active: list[RequestFault] = []

    def add(self, fault: Fault) -> RequestFault:
        """Let a fault work on requests from now on."""
        added = RequestFault(fault, None if fault.for_s is not None else fault.count)
        self.active.append(added)
        return added

    def answer(self, kind: RequestKind, target: str) -> tuple[HttpAnswer | None, float]:
        """What a request gets instead of its answer (None: its answer), and how many seconds later."""
        delay_s = 0.0
        for each in [*self.active]:
            fault = each.fault
            if fault.on not in (kind, "both") or fault.path not in target:
                continue
            self._count_down(each)
            if fault.kind == "slow":
                delay_s += fault.by_s
                self._report(fault, {"request": target, "by_s": fault.by_s})
                continue
            self._report(fault, {"request": target, "status": fault.status})
            return self._denied(fault), delay_s
        return None, delay_s

    def _count_down(self, each: RequestFault) -> None:
        if each.left is not None:
            each.left -= 1
            if each.left == 0:
                self.active.remove(each)

    def _denied(self, fault: Fault) -> HttpAnswer:
        if fault.status in (418, 429):
            default_s = 120 if fault.status == 418 else 10
            retry_s = int(fault.retry_after_s if fault.retry_after_s is not None else default_s)
            return limited(fault.status, retry_s, self._now_us() // 1000 + retry_s * 1000)
        body = BODIES.get(fault.status, b"<html><body>%d</body></html>" % fault.status)
        return HttpAnswer(fault.status, body)
