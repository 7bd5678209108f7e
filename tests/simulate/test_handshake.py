"""The handshake of a WebSocket."""

import h11
import pytest

from tradecap.simulate.handshake import handshake

HEADERS = {
    "Host": "x",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def a_request(method: str = "GET", version: str = "1.1", **headers: str) -> h11.Request:
    named = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    return h11.Request(method=method, target="/ws", http_version=version, headers=[*named.items()])


def test_a_handshake_is_answered_with_the_key_of_the_rfc() -> None:
    """Every client would end the connection (RFC 6455 §1.3 has the example)."""
    greeting = handshake(a_request(), "/ws")
    assert isinstance(greeting, bytes)
    assert greeting.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in greeting


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (a_request(method="POST"), 405),
        (a_request(version="1.0"), 400),
        (a_request(Sec_WebSocket_Version="8"), 426),
        (a_request(Sec_WebSocket_Key="short"), 400),
    ],
)
def test_another_request_is_refused_with_its_status(request_: h11.Request, status: int) -> None:
    """A broken client would work here and nowhere else."""
    answer = handshake(request_, "/ws")
    assert not isinstance(answer, bytes)
    assert answer.status == status
