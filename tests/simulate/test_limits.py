"""What one address may ask for."""

from tradecap.simulate.limits import PATIENCE, AddressLimits, Incoming, Rules


def test_over_the_limit_is_429_and_going_on_is_a_ban_that_doubles() -> None:
    """A client that doesn't back off would pass here and be banned for days at the venue."""
    limits = AddressLimits(Rules(weight_per_minute=100))
    assert [limits.request("a", 25, 5.0).status for _ in range(5)] == [200, 200, 200, 200, 429]
    assert limits.request("a", 1, 5.0).retry_s == 55
    for _ in range(PATIENCE - 2):
        assert limits.request("a", 1, 6.0).status == 429
    banned = limits.request("a", 1, 6.0)
    assert (banned.status, banned.retry_s) == (418, 120)
    assert limits.request("a", 1, 100.0).retry_s == 26
    assert limits.request("a", 25, 126.0).status == 200
    verdicts = [limits.request("a", 100, 127.0) for _ in range(PATIENCE + 1)]
    assert (verdicts[-1].status, verdicts[-1].retry_s) == (418, 240)


def test_limits_are_counted_by_minute_and_by_address() -> None:
    """A client that waits as it was asked to would stay locked out, or be locked out by another."""
    limits = AddressLimits(Rules(weight_per_minute=10))
    limits.request("a", 11, 59.0)
    assert limits.request("b", 10, 59.0).status == 200
    assert limits.request("a", 10, 60.0).status == 200


def test_connections_are_counted_over_five_minutes() -> None:
    """A client that connects in a loop would be refused only at the venue."""
    limits = AddressLimits(Rules(connections_per_5_minutes=2))
    assert [limits.connection("a", at) for at in (0.0, 200.0, 210.0, 301.0, 302.0)] == [True, True, False, True, False]
    assert limits.connection("b", 2.0)


def test_five_messages_a_second() -> None:
    """A client that subscribes one by one would be cut only at the venue."""
    incoming = Incoming(5)
    assert [incoming.count(at) for at in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)] == [True] * 5 + [False]
    slow = Incoming(5)
    assert all(slow.count(n / 4) for n in range(50))
