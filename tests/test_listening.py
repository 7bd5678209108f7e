"""Opening the sockets of a server: IPv4 and IPv6 with one port."""

import errno
import socket

import pytest

from tradecap.listening import listen


def closed(listeners: list[socket.socket]) -> list[tuple[socket.AddressFamily, str, int]]:
    """Where they listened."""
    places = [(each.family, each.getsockname()[0], each.getsockname()[1]) for each in listeners]
    for each in listeners:
        each.close()
    return places


def has_ipv6() -> bool:
    """Whether this machine has ::1: one without is served by IPv4 alone."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "four", "six"), [("localhost", "127.0.0.1", "::1"), ("", "0.0.0.0", "::"), ("::", "0.0.0.0", "::")]
)
def test_both_families_have_one_port(host: str, four: str, six: str) -> None:
    """A client whose resolver gives ::1 first would be refused, or find a port that another family has."""
    places = closed(listen(host, 0))
    assert len({port for _, _, port in places}) == 1
    assert [address for _, address, _ in places] == ([four, six] if has_ipv6() else [four])


def test_an_address_is_only_itself() -> None:
    """`--host 127.0.0.1` would open an address that nobody asked for."""
    assert [address for _, address, _ in closed(listen("127.0.0.1", 0))] == ["127.0.0.1"]


def test_a_port_that_one_family_has_is_taken() -> None:
    """Half of the clients would talk to another program."""
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError) as caught:  # noqa: PT011 -- its number is what is looked at
        listen("localhost", other.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


def test_a_machine_without_ipv6_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without IPv6 nothing would start."""
    real = socket.socket

    def opened(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, kind)

    monkeypatch.setattr("tradecap.listening.socket.socket", opened)
    assert [address for _, address, _ in closed(listen("localhost", 0))] == ["127.0.0.1"]
