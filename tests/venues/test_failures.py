"""What can go wrong on the way to a venue, under one name each."""

import errno
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.dialing import ProxyError
from tradecap.proxies import Proxy
from tradecap.venues.failures import BANNED, UNREACHABLE, close_failure, http_date_s, network_failure, status_failure

DATE = "Fri, 09 Aug 2024 12:00:00 GMT"
PROXY = Proxy(scheme="http", host="proxy.example", port=3128, variable="HTTPS_PROXY")


@pytest.mark.parametrize("status", [400, 401, 404, 410, 451, 499])
def test_a_refusal_that_stays_is_final(status: int) -> None:
    """A wrong symbol would be asked for until somebody looks."""
    assert status_failure(status, {}).is_final


@pytest.mark.parametrize("status", [403, 408, 418, 425, 429, 500, 502, 503, 504, 301, 399])
def test_a_refusal_that_passes_is_tried_again(status: int) -> None:
    """One overloaded minute at the venue would end a capture of weeks."""
    assert not status_failure(status, {}).is_final


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "9999999"}, 9_999_999.0),
        ({"Retry-After": "Fri, 09 Aug 2024 12:01:30 GMT", "Date": DATE}, 90.0),
        ({"Retry-After": DATE, "Date": "Fri, 09 Aug 2024 12:01:30 GMT"}, 0.0),
        ({"Retry-After": "Fri, 09 Aug 2024 12:01:30 GMT"}, None),
        ({"Retry-After": "99999999"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "٣٠"}, None),
        ({}, None),
    ],
)
def test_the_wait_is_what_the_venue_wrote(headers: dict[str, str], seconds: float | None) -> None:
    """Asking too early turns a limit into a ban; a date compared with a wrong local clock would wait for days."""
    assert status_failure(429, headers).retry_after_s == seconds


def test_a_failure_names_status_reason_and_wait() -> None:
    """A log that says "HTTP error" sends its reader to the source code."""
    failure = status_failure(418, {"Retry-After": "30"}, "Way too much request weight.")
    assert (failure.kind, failure.hint) == ("http_418", BANNED)
    assert failure.text == "HTTP 418 (banned, not before 30 s are over): Way too much request weight"
    assert status_failure(799, {}).text == "HTTP 799 (unknown status)"
    assert status_failure(403, {}, hints={403: "ask the venue."}).hint == "ask the venue."
    assert status_failure(500, {}).hint == UNREACHABLE


@given(st.text(max_size=40))
def test_no_date_raises_anything_but_a_value_error(text: str) -> None:
    """A header of a strange proxy would end the repair of a gap."""
    failure = status_failure(503, {"Retry-After": text, "Date": text})
    assert failure.retry_after_s is None or failure.retry_after_s >= 0


@pytest.mark.usefixtures("in_new_york")
def test_a_date_without_a_zone_is_utc() -> None:
    """The wait would differ by the zone of the machine."""
    assert http_date_s("Fri, 09 Aug 2024 12:00:00 -0000") == http_date_s(DATE) == 1_723_204_800


@pytest.mark.parametrize(
    ("code", "reason", "kind", "text"),
    [
        (None, "", "aborted", "without a close frame"),
        (1006, "", "aborted", "without a close frame"),
        (1001, "bye", "close_1001", "the server goes away (1001: bye)"),
        (1008, "", "close_1008", "the server refuses this client (policy) (1008)"),
        (4999, "", "close_4999", "closed by the server (4999)"),
    ],
)
def test_the_end_of_a_connection_is_named_by_its_code(code: int | None, reason: str, kind: str, text: str) -> None:
    """Events of an outage are searched by their kind."""
    failure = close_failure(code, reason)
    assert failure.kind == kind
    assert text in failure.text
    assert not failure.is_final


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), "dns"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "refused"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "aborted"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "tls"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "network"),
        (ProxyError(PROXY, "refuses"), "proxy"),
    ],
)
def test_each_exception_of_the_network_has_its_own_name(error: Exception, kind: str) -> None:
    """A wrong host name would be reported as a venue that is down."""
    failure = network_failure(error)
    assert failure.kind == kind
    assert failure.text
    assert failure.hint


def test_an_exception_without_words_is_named_by_its_class() -> None:
    """A message would end in a colon and nothing."""
    assert network_failure(OSError()).text == "OSError"


def test_what_went_through_a_proxy_says_so() -> None:
    """The venue would be blamed for what the proxy does; a proxy that reports for itself isn't named twice."""
    assert network_failure(TimeoutError(), PROXY).text.endswith("(through the proxy proxy.example:3128)")
    assert "through" not in network_failure(ProxyError(PROXY, "refuses"), PROXY).text
