"""The page at /app: its files, as they are in the package.

Rules: the files hold no data, so they need no token; the page asks the other routes, and those do. Only the files
listed here are served. The policy allows no inline code and no inline style but one of the chart library, by its hash.
No build step: what is in `web/` is what the browser gets.
"""

import gzip
import hashlib
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response

from tradecap.serve.problems import ProblemError

LIBRARY: Final = "lightweight-charts/lightweight-charts.standalone.production.mjs"
FILES: Final = {
    "/app": ("index.html", "text/html"),
    "/app/page.css": ("page.css", "text/css"),
    "/app/page.js": ("page.js", "text/javascript"),
    "/app/icon.svg": ("icon.svg", "image/svg+xml"),
    f"/app/{LIBRARY}": (LIBRARY, "text/javascript"),
    "/app/lightweight-charts/NOTICE": ("lightweight-charts/NOTICE", "text/plain; charset=utf-8"),
    "/app/lightweight-charts/LICENSE": ("lightweight-charts/LICENSE", "text/plain; charset=utf-8"),
}
"""Path, file, media type."""
OPEN: Final = (*FILES, "/app/")
"""Paths that need no token."""
LIBRARY_STYLE: Final = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="
"""The hash of the style that the library adds for its link to TradingView."""
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' '{LIBRARY_STYLE}'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}
router: Final = APIRouter()


class _PageFile(NamedTuple):
    body: bytes
    zipped: bytes
    tag: str


@cache
def _file(name: str) -> _PageFile:
    body = resources.files("tradecap.serve").joinpath("web", *name.split("/")).read_bytes()
    return _PageFile(body, gzip.compress(body, mtime=0), f'W/"{hashlib.sha256(body).hexdigest()[:32]}"')


@router.get("/app", include_in_schema=False)
@router.get("/app/{name:path}", include_in_schema=False)
def file(request: Request) -> Response:
    """The page, or a file of it. A browser that has the file already is sent 304."""
    if request.url.path == "/app/":
        return Response(None, 308, {**HEADERS, "Location": "../app"})  # the page names its files from where it is
    if request.url.path not in FILES:
        raise ProblemError(404, "There is no such file.", "GET /app is the page.")
    name, kind = FILES[request.url.path]
    found = _file(name)
    headers = {**HEADERS, "ETag": found.tag}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.zipped, headers=headers | {"Content-Encoding": "gzip"}, media_type=kind)
    return Response(found.body, headers=headers, media_type=kind)
