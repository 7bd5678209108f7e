"""URLs as people write them, and the one place where secrets are kept out of what is printed or recorded.

Rules: everything up to the last @ is user and password, so a password may hold any character, raw or percent-encoded
(`#`, `/`, `?`, `[`, `@`, `:`). An error never quotes a part of a URL that may belong to a password. `mask_url` is for a
text that is one URL, however badly it is written; `mask` is for any text: it hides the passwords of the URLs in it, and
every spelling of every secret this process has been given (`learn`). Secrets of fewer than SHORTEST characters are
hidden in URLs only: in other texts they are parts of words.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus, unquote

SHORTEST: Final = 4
MASK: Final = "***"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ANY_SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:?/+|\s*/+")
"""A scheme however it was mistyped (http:/, http//): what follows is user, password and host."""
_PATHS: Final = ("file:", "chdb:")
"""What these name is a path, where an @ means nothing."""
_KNOWN_SCHEME: Final = re.compile(r"\s*(https?|wss?|socks[45]?[ah]?|clickhouses?|kafka|postgresql):/", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"(\w:?//[^\s:/@]*):\S*@")
_SECRET_PARAMETER: Final = re.compile(r"([?&#][\w.-]*(?:password|passwd|secret|token)[\w.-]*=)([^&\s]+)", re.IGNORECASE)
_SECRET_NAME: Final = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN")
_URL_NAME: Final = re.compile(r"TRADECAP_.*|.*_PROXY", re.IGNORECASE)


class Url(NamedTuple):
    """A URL in its parts, percent-decoded. scheme is '' and port None where there is none; rest begins with the
    path."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    port: int | None
    rest: str


def split(url: str) -> Url:
    """The parts of `[scheme://][user[:password]@]host[:port][rest]`. Raises ValueError with a sentence that quotes
    nothing secret."""
    match = _SCHEME.match(url)
    head, at, tail = (url[match.end() :] if match else url).rpartition("@")
    user, colon, password = head.partition(":")
    place = re.match(r"(\[[^\]/?#]*\]|[^:/?#\[\]]*)(?::([^/?#]*))?(?=[/?#]|$)", tail)
    if place is None:
        raise ValueError("its host can't be read")
    host = place[1].strip("[]")
    if place[2] and not (place[2].isascii() and place[2].isdigit() and 0 < int(place[2][:6]) < 65536):
        raise ValueError("its port is not a number from 1 to 65535")
    return Url(
        scheme=match[1].lower() if match else "",
        user=unquote(user) if at else None,
        password=unquote(password) if colon else None,
        host=host,
        port=int(place[2]) if place[2] else None,
        rest=tail[place.end() :],
    )


def mask_url(url: str) -> str:
    """The URL without its password, however it is written."""
    begin, end = _password(url)
    return mask(f"{url[:begin]}{MASK}{url[end:]}" if end > begin else url)


def without_password(url: str) -> str:
    """The URL with its user and without a password, and without parameters that hold secrets."""
    begin, end = _password(url)
    plain = f"{url[: begin - 1]}{url[end:]}" if end > begin else url
    return re.sub(
        r"\?$",
        "",
        re.sub(r"\?&", "?", _SECRET_PARAMETER.sub(lambda match: match[1][0] if match[1][0] == "?" else "", plain)),
    )


def mask(text: str) -> str:
    """The text without the passwords of the URLs in it, and without the secrets of this process."""
    if _known:
        text = re.sub(
            "|".join(re.escape(each) for each in sorted(_known, key=len, reverse=True)), MASK, text, flags=re.IGNORECASE
        )
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", _CREDENTIALS.sub(rf"\1:{MASK}@", text))


def learn(secret: str | None, user: str = "") -> None:
    """Hide this secret from now on, whoever quotes it: as it is written, decoded, encoded, as JSON, Python or a path
    show it, as a login's base64."""
    written = {secret or "", unquote(secret or "")}
    # the second as a path is shown
    for form in written | {re.sub(r"/(\.?/)*", "/", each).rstrip("/") for each in written}:
        if len(form) < SHORTEST:
            continue
        spellings = {
            form,
            quote(form),
            quote(form, safe=""),
            quote_plus(form),
            repr(form)[1:-1],
            json.dumps(form)[1:-1],
        }
        spellings |= {
            json.dumps(form, ensure_ascii=False)[1:-1],
            " ".join(form.split()),
            base64.b64encode(f"{user}:{form}".encode()).decode(),
        }
        _known.update(each for each in spellings if len(each) >= SHORTEST)


def learn_url(url: str) -> None:
    """Hide the secrets of what may be a URL."""
    begin, end = _password(url)
    user = _ANY_SCHEME.sub("", url[: max(0, begin - 1)], count=1)
    learn(url[begin:end], unquote(user))
    for match in _SECRET_PARAMETER.finditer(url):
        learn(match[2])


def learn_all(environ: Mapping[str, str], arguments: Iterable[str] = ()) -> None:
    """Hide what the environment and the command line of this process keep secret. What an earlier command knew is
    forgotten."""
    _known.clear()
    for name, value in environ.items():
        if (
            name.upper().startswith("TRADECAP_")
            and _SECRET_NAME.search(name.upper())
            and not name.upper().endswith("_FILE")
        ):
            learn(value)
        if _URL_NAME.fullmatch(name):
            learn_url(value)
    for argument in arguments:
        learn_url(argument)
        if argument.startswith("--"):
            learn_url(argument.partition("=")[2])


_known: Final[set[str]] = set()
"""Spellings of the secrets of this process. Kept for the process, since a secret stays one whichever part of the
program quotes it."""


def _password(url: str) -> tuple[int, int]:
    """Where the password of a URL begins and ends; at one place where it has none."""
    end = url.rfind("@")
    if end < 0 or url.startswith(_PATHS):
        return 0, 0
    scheme = _ANY_SCHEME.match(url)
    colon = url.find(":", scheme.end() if scheme else 0, end)
    if colon < 0 and not _KNOWN_SCHEME.match(url):
        colon = url.find(":", 0, end)  # no scheme, and a password that begins with a slash
    return (colon + 1, end) if colon >= 0 else (0, 0)
