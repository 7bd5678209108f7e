"""Why a capture ends, and which state follows which."""

from dataclasses import replace

import pytest

from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.states import (
    START_WITHIN_S,
    EndReason,
    Facts,
    State,
    after_connections,
    after_draining,
    ending,
    is_hopeless,
)
from tradecap.venues.failures import Failure

PLAN = Plan(venue="binance", channel="trade", symbols=("BTCUSDT",), duration_s=60.0, max_trades=100)
REFUSED = Failure("refused", "nothing listens there", "check the URL.")
BLOCKED = Failure("http_451", "geo-blocked", "use --venue binance-data.", is_final=True)
LOW = TradecapError("The disk is low.", "free some.", Exit.UNDELIVERED)
RUNNING = Facts(
    state=State.LIVE,
    url="ws://venue",
    running_s=1.0,
    valid=5,
    is_asked_to_stop=False,
    is_feed_over=False,
    newest=None,
    hopeless=None,
    problem=None,
)
CONNECTING = replace(RUNNING, state=State.CONNECTING, valid=0)


@pytest.mark.parametrize(
    "facts",
    [
        RUNNING,
        CONNECTING,
        replace(RUNNING, state=State.AWAY, newest=REFUSED, running_s=59.0),
        replace(CONNECTING, newest=REFUSED, running_s=START_WITHIN_S),
    ],
)
def test_a_capture_goes_on_while_a_retry_may_help(facts: Facts) -> None:
    """A capture that ends at the first lost connection captures nothing for the rest of the night."""
    assert ending(facts, PLAN) is None


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(RUNNING, is_asked_to_stop=True, running_s=60.0, valid=100), "asked to stop"),
        (replace(RUNNING, running_s=60.0, valid=100), "the duration is over"),
        (replace(RUNNING, valid=100), "max-trades is reached"),
        (replace(RUNNING, state=State.AWAY, newest=REFUSED, running_s=60.0), "the duration is over"),
        (replace(CONNECTING, is_asked_to_stop=True), "asked to stop"),
    ],
)
def test_an_end_as_planned_is_not_an_error(facts: Facts, why: str) -> None:
    """A script would take a minute that was captured whole for a failure."""
    assert ending(facts, PLAN) == EndReason(why)


@pytest.mark.parametrize(
    ("facts", "exit_code", "text"),
    [
        (replace(RUNNING, problem=LOW, hopeless=BLOCKED, is_asked_to_stop=True), Exit.UNDELIVERED, "The disk is low."),
        (replace(RUNNING, hopeless=BLOCKED, is_asked_to_stop=True), Exit.UNREACHABLE, "ws://venue: geo-blocked."),
        (
            replace(CONNECTING, newest=REFUSED, is_asked_to_stop=True),
            Exit.UNREACHABLE,
            "ws://venue: nothing listens there.",
        ),
        (replace(CONNECTING, running_s=60.0), Exit.UNREACHABLE, "ws://venue: no connection came about in that time."),
        (
            replace(CONNECTING, newest=REFUSED, running_s=START_WITHIN_S + 1),
            Exit.UNREACHABLE,
            "ws://venue: nothing listens there.",
        ),
        (replace(RUNNING, is_feed_over=True), Exit.UNREACHABLE, "The feed has stopped by itself."),
    ],
)
def test_a_problem_is_what_the_capture_ends_with(facts: Facts, exit_code: Exit, text: str) -> None:
    """A capture of nothing would be reported as a success."""
    end = ending(facts, PLAN)
    assert end is not None
    assert end.problem is not None
    assert (end.why, end.problem.message, end.problem.exit_code) == (text, text, exit_code)


def test_connections_lead_from_state_to_state() -> None:
    """An attempt that fails before the first connection is not a lost connection; nothing leads back from the end."""
    end = [State.DRAINING, State.REPAIRING, State.ENDED]
    assert [after_connections(state, 0) for state in State] == [State.CONNECTING, State.AWAY, State.AWAY, *end]
    assert [after_connections(state, 1) for state in State] == [State.LIVE, State.LIVE, State.LIVE, *end]


def test_after_a_problem_nothing_is_repaired() -> None:
    """A last repair would write to a disk that is full."""
    assert after_draining(EndReason("asked to stop")) is State.REPAIRING
    assert after_draining(EndReason(LOW.message, LOW)) is State.ENDED


def test_a_refusal_is_hopeless_only_before_the_first_connection() -> None:
    """A venue that blocks for a minute would end a capture of days."""
    assert is_hopeless(BLOCKED, State.CONNECTING)
    assert not is_hopeless(BLOCKED, State.AWAY)
    assert not is_hopeless(REFUSED, State.CONNECTING)
    assert is_hopeless(Failure("internal", "a bug"), State.LIVE)
