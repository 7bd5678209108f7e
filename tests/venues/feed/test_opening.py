"""Where a redirect may lead."""

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from tradecap.venues.feed.opening import _moved, _place


def redirected(location: str) -> ValueError:
    """What websockets raises for an answer with this Location on a socket that it was handed."""
    error = ValueError("cannot follow redirect")
    error.__cause__ = InvalidStatus(Response(302, "Found", Headers(Location=location)))
    return error


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("wss://b.example/ws", "wss://b.example/ws"),
        ("/other", "wss://a.example:9443/other"),
        ("//b.example/x", "wss://b.example/x"),
    ],
)
def test_a_redirect_is_followed_within_the_scheme(location: str, there: str) -> None:
    """A venue that moves its streams would be out of reach."""
    assert _moved("wss://a.example:9443/ws?x=1", redirected(location), 1) == there


@pytest.mark.parametrize("location", ["ws://a.example/ws", "http://a.example/", "wss://me:sesame@b.example/ws"])
def test_a_redirect_out_of_tls_or_with_a_login_is_refused(location: str) -> None:
    """Somebody on the way could have the stream read, and written, without TLS."""
    with pytest.raises(InvalidStatus):
        _moved("wss://a.example/ws", redirected(location), 5)


def test_redirects_end() -> None:
    """Two hosts that point at each other would be asked forever."""
    with pytest.raises(InvalidStatus):
        _moved("wss://a.example/ws", redirected("wss://b.example/ws"), 0)
    with pytest.raises(ValueError, match="another mistake"):
        _moved("wss://a.example/ws", ValueError("another mistake"), 5)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("wss://a.example/ws", ("wss", "a.example", 443)),
        ("ws://a.example", ("ws", "a.example", 80)),
        ("ws://[::1]:9/x", ("ws", "::1", 9)),
    ],
)
def test_the_port_is_that_of_the_scheme_where_none_is_named(url: str, place: tuple[str, str, int]) -> None:
    """A proxy would be asked for another port than the one that TLS speaks on."""
    assert _place(url) == place
