"""What can go wrong on the way to a venue, under one name each.

Rules: a failure is a value; its kind is a stable word (it is in the log's events and people search for it), its text
one sentence for people. `is_final` failures don't heal by trying again. Close codes and what is behind each status:
docs/binance.md §2 and §5.
"""

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NamedTuple

from tradecap.dialing import ProxyError
from tradecap.proxies import Proxy
from tradecap.urls import mask
from tradecap.venues.trust import trust_hint

NO_HINTS: Final[Mapping[int, str]] = MappingProxyType({})
BANNED: Final = (
    "this address asked too much and is banned for a while: wait, and run fewer programs against the venue from here."
)
UNREACHABLE: Final = "is the network up, and are --venue, --ws-url and --rest-url right?"
_STATUS_HINTS: Final = {
    403: "the venue's firewall refuses this address; it may ask less, or reach the venue another way.",
    418: BANNED,
    429: "the venue asks for fewer requests; tradecap waits as long as it says.",
    451: "the venue refuses this place (geo-blocking): capture another venue or site (--venue).",
}

_ISSUER_UNKNOWN: Final = (2, 18, 19, 20, 21)
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ... UNABLE_TO_VERIFY_LEAF_SIGNATURE, and self-signed ones (x509_vfy.h)."""


class Failure(NamedTuple):
    """What went wrong. retry_after_s: how long the venue wants to be left alone, None where it doesn't say."""

    kind: str
    text: str
    hint: str = UNREACHABLE
    is_final: bool = False
    retry_after_s: float | None = None


def status_failure(
    status: int, headers: Mapping[str, str], venue_text: str = "", hints: Mapping[int, str] = NO_HINTS
) -> Failure:
    """An HTTP status that isn't what was hoped for; venue_text is the venue's own message, hints are what it knows
    better than we do here."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "unknown status"
    what = {451: "geo-blocked", 418: "banned", 429: "too many requests", 403: "refused by the firewall"}.get(
        status, phrase
    )
    retry_after_s = _retry_after_s(headers)
    text = f"HTTP {status} ({what}{f', not before {retry_after_s:g} s are over' if retry_after_s else ''})" + (
        f": {venue_text.rstrip('.')}" if venue_text else ""
    )
    is_final = status == 451 or (400 <= status < 500 and status not in (403, 408, 418, 425, 429))
    return Failure(
        f"http_{status}", text, hints.get(status) or _STATUS_HINTS.get(status, UNREACHABLE), is_final, retry_after_s
    )


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """As seconds, or as a date by the answer's own clock (RFC 9110, 10.2.3: proxies in front of a venue write it)."""
    text = headers.get("Retry-After") or ""
    if text.isascii() and text.isdigit() and len(text) < 8:
        return float(text)
    try:
        return max(0.0, http_date_s(text) - http_date_s(headers.get("Date") or ""))
    except ValueError:
        return None


def http_date_s(text: str) -> float:
    """Seconds since 1970 of an HTTP date, which is UTC even where it names no zone (RFC 9110, 5.6.7). Raises
    ValueError."""
    try:
        time = parsedate_to_datetime(text)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def close_failure(code: int | None, reason: str) -> Failure:
    """The end of a connection by its close code; None: it ended without a close frame."""
    if code is None or code == 1006:
        return Failure("aborted", "the connection broke off without a close frame (1006)")
    what = {1000: "closed", 1001: "the server goes away", 1008: "the server refuses this client "
                                                                "(policy)", 1009: "a message is too long",
            1011: "the server failed", 1012: "the server restarts", 1013: "the server is overloaded",
            3001: "the server refuses the request"}.get(code, "closed by the server")  # fmt: skip
    return Failure(f"close_{code}", f"{what} ({code}{f': {reason}' if reason else ''})")


def network_failure(error: BaseException, proxy: Proxy | None = None) -> Failure:
    """What an exception of the network means. proxy: what the connection went through, which is named."""
    failure = _network_failure(error, mask(str(error).strip()) or type(error).__name__)
    return (
        failure._replace(text=f"{failure.text} (through the proxy {proxy.name})")
        if proxy and failure.kind != "proxy"
        else failure
    )


def _network_failure(error: BaseException, text: str) -> Failure:
    if isinstance(error, ProxyError):
        return Failure("proxy", text, error.hint, error.is_final)
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = (
            trust_hint()
            if error.verify_code in _ISSUER_UNKNOWN
            else "is something between here and the venue, or is the clock of this machine wrong?"
        )
        return Failure("tls", f"the certificate isn't trusted: {error.verify_message or text}", hint)
    if isinstance(error, ssl.SSLError):
        return Failure("tls", f"TLS failed: {text}")
    if isinstance(error, socket.gaierror):
        return Failure("dns", f"the host's name can't be resolved: {text}")
    if isinstance(error, TimeoutError):
        return Failure("timeout", "no answer in time")
    if isinstance(error, ConnectionRefusedError):
        return Failure("refused", "the connection was refused: nothing listens there")
    if isinstance(error, ConnectionError):
        return Failure("aborted", f"the connection was lost: {text}")
    return Failure("network", text)
