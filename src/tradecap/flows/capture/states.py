"""The states of a capture, and why it ends.

| state      | what happens                                                        | next state |
|------------|---------------------------------------------------------------------|------------|
| connecting | the first connection is up                                          | live       |
|            | none is up within START_WITHIN_S, or a retry would not help         | draining   |
| live       | the last connection is lost                                         | away       |
| away       | a connection is up again                                            | live       |
| any above  | someone asks for the end; the duration is over; max-trades reached  | draining   |
|            | the disk is low, the log may not grow any more, the feed has ended  | draining   |
| draining   | everything that had arrived is written; the capture has no problem  | repairing  |
|            | the same, and it has a problem                                      | ended      |
| repairing  | every gap is answered, or the time for it is over                   | ended      |

Rule: everything here is a pure function of its arguments. `flows/capture/capture.py` acts on it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.plan import Plan
from tradecap.venues.failures import Failure

START_WITHIN_S: Final = 30.0
"""How long the first connection may take, including all attempts."""


class State(Enum):
    """See the table."""

    CONNECTING = "connecting"
    LIVE = "live"
    AWAY = "away"
    DRAINING = "draining"
    REPAIRING = "repairing"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that decides whether a capture goes on.

    newest: the newest failure of a connection or of an attempt to connect. hopeless: a failure that a retry would not
    cure (`is_hopeless`). problem: why the log can't take more.
    """

    state: State
    url: str
    running_s: float
    valid: int
    is_asked_to_stop: bool
    is_feed_over: bool
    newest: Failure | None
    hopeless: Failure | None
    problem: TradecapError | None


class EndReason(NamedTuple):
    """Why a capture ends. problem: set where that is an error."""

    why: str
    problem: TradecapError | None = None


def after_connections(state: State, live: int) -> State:
    """The state once `live` connections are up."""
    match state:
        case State.CONNECTING:
            return State.LIVE if live else State.CONNECTING
        case State.LIVE | State.AWAY:
            return State.LIVE if live else State.AWAY
    return state


def after_draining(ending: EndReason) -> State:
    """The state once everything that had arrived is written."""
    return State.ENDED if ending.problem else State.REPAIRING


def is_hopeless(failure: Failure, state: State) -> bool:
    """Whether the capture ends because of this failure. Once a connection was up, refusals of the venue are retried."""
    return failure.kind == "internal" or (failure.is_final and state is State.CONNECTING)


def ending(facts: Facts, plan: Plan) -> EndReason | None:
    """Why the capture ends now; None while it goes on. A problem takes precedence over an end as planned."""
    if facts.problem:
        return _failed(facts.problem)
    if facts.hopeless:
        return _failed(_unreachable(facts.url, facts.hopeless))
    was_live, failure = facts.state is not State.CONNECTING, facts.newest
    if why := _planned(facts, plan):
        if was_live or (facts.is_asked_to_stop and not failure):
            return EndReason(why)
        return _failed(_unreachable(facts.url, failure or Failure("timeout", "no connection came about in that time")))
    if failure and not was_live and facts.running_s > START_WITHIN_S:
        return _failed(_unreachable(facts.url, failure))
    if facts.is_feed_over:
        return _failed(
            TradecapError(
                "The feed has stopped by itself.", "this is a bug in tradecap: run again with -vv.", Exit.UNREACHABLE
            )
        )
    return None


def _planned(facts: Facts, plan: Plan) -> str:
    if facts.is_asked_to_stop:
        return "asked to stop"
    if plan.duration_s is not None and facts.running_s >= plan.duration_s:
        return "the duration is over"
    if plan.max_trades is not None and facts.valid >= plan.max_trades:
        return "max-trades is reached"
    return ""


def _failed(problem: TradecapError) -> EndReason:
    return EndReason(problem.message, problem)


def _unreachable(url: str, failure: Failure) -> TradecapError:
    return TradecapError(f"{url}: {failure.text}.", failure.hint, Exit.UNREACHABLE)
