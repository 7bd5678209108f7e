"""The body of an HTTP answer as its Content-Encoding says: gzip and deflate, as `http.client` doesn't read them.

Rules: pure. What comes out is bounded, however small what came in is. A body that can't be read is a ValueError with
the reason as one clause. Sources: RFC 9110 §8.4 (codings are listed in the order they were applied); deflate is zlib's
format, and some servers send it without its header.
"""

import zlib
from typing import Final

CODINGS: Final = 3
"""More codings on top of each other are refused: each may blow up what the one before gave."""
_AUTOMATIC: Final = 47
_RAW: Final = -15


def plain_body(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its codings. limit: the most bytes that any of them may give."""
    names = [name.strip().lower() for name in encoding.split(",") if name.strip()]
    if len(names) > CODINGS:
        raise ValueError(f"the answer has {len(names)} codings on top of each other")
    for name in reversed(names):
        if name in ("gzip", "x-gzip", "deflate"):
            body = _inflated(body, name, limit) if body else b""
        elif name != "identity":
            raise ValueError(f"the answer is encoded as {name[:40]!r}, which wasn't asked for")
    return body


def _inflated(body: bytes, name: str, limit: int) -> bytes:
    try:
        return _members(body, _AUTOMATIC, name, limit)
    except zlib.error as error:
        if name != "deflate":
            raise ValueError("the answer isn't gzip, as its header claims") from error
    try:
        return _members(body, _RAW, name, limit)
    except zlib.error as error:
        raise ValueError("the answer isn't deflate, as its header claims") from error


def _members(body: bytes, window: int, name: str, limit: int) -> bytes:
    parts: list[bytes] = []
    while body:
        member = zlib.decompressobj(window)
        part = member.decompress(body, limit + 1)
        parts.append(part)
        limit -= len(part)
        if limit < 0:
            raise ValueError("the answer is too large")
        if not member.eof:
            raise ValueError(f"the answer's {name} ends too early")
        body = member.unused_data if window == _AUTOMATIC else b""
    return b"".join(parts)
