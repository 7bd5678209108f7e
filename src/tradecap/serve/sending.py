"""What the routes share: whom to ask, and how an answer is sent and remembered."""

from collections.abc import Callable, Hashable
from typing import Final

import msgspec
from fastapi import Request, Response

from tradecap.flows.joined import Joined
from tradecap.serve.answers import Answers, Json
from tradecap.serve.guard import KeptAnswer, KeptAnswers
from tradecap.serve.measures import Measures
from tradecap.serve.problems import RETRY_S
from tradecap.serve.streams import Streams
from tradecap.store.api import Series

JSON: Final = "application/json"
Stamp = tuple[Hashable, int, int]
SECURITY: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_encode: Final = msgspec.json.Encoder().encode


class Api:
    """Whom the routes ask."""

    def __init__(
        self, joined: Joined, kept: KeptAnswers, measures: Measures, ills: Callable[[], list[str]], streams: Streams
    ) -> None:
        self.joined, self.measures, self.ills, self.streams = joined, measures, ills, streams
        self.answers = Answers(joined)
        self._kept = kept

    def reply(self, answer: Json) -> Response:
        """An answer as JSON."""
        return Response(_encode(answer), media_type=JSON, headers=SECURITY)

    def keep(self, request: Request, response: Response, series: Series, stamp: Stamp) -> Response:
        """Remember an answer about a series, which was as it was at `stamp` before the answer was made, unless
        something has changed or failed since."""
        if self.stamp(series) != stamp:
            return response
        headers = [each for each in response.raw_headers if each[0] != b"content-length"]
        answer = KeptAnswer(stamp[:2], lambda: self.stamp(series)[:2], headers, bytes(response.body))
        self._kept.keep(request.scope["path"], request.scope["query_string"], answer)
        return response

    def stamp(self, series: Series) -> Stamp:
        """Where its first two parts are the same, no answer about a series has changed; where the third is, no question
        to the store has failed."""
        stored = self.joined.stored
        seen = (stored.sweep, stored.problem is None) if stored else None
        return seen, self.joined.live.version(series), stored.failed if stored else 0


def state(reasons: list[str]) -> Response:
    """200, or 503 with the reasons."""
    headers = {**SECURITY, **({"Retry-After": str(RETRY_S)} if reasons else {})}
    return Response(
        _encode({"status": "not ready" if reasons else "ok", "reasons": reasons}),
        503 if reasons else 200,
        headers,
        JSON,
    )
