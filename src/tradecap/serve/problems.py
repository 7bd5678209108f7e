"""Errors as RFC 9457 has them (application/problem+json), each with a `hint` that says what to do."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec

TYPE: Final = "application/problem+json"
RETRY_S: Final = 2
"""Clients should ask again after this many seconds."""
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class ProblemError(Exception):
    """An answer that isn't what was asked for."""

    def __init__(self, status: int, detail: str, hint: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__(detail)
        self.status, self.detail, self.hint = status, detail, hint
        self.headers = dict(headers)
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            self.headers.setdefault("Retry-After", str(RETRY_S))

    def body(self) -> bytes:
        """The JSON that is sent."""
        title = HTTPStatus(self.status).phrase
        return msgspec.json.encode(
            {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, "hint": self.hint}
        )
