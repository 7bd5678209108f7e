"""Connects the parts of a capture: the site's feed, its REST interface for repairs, the log, and the ids that the log
already holds.

Rule: this is the only place that does so. `stream`, `demo`, the tests, the chaos runs and the benchmarks all capture
through it.
"""

from collections.abc import Callable

from tradecap.errors import TradecapError
from tradecap.flows.capture.capture import capture
from tradecap.flows.capture.counts import Captured
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.repair import Repair
from tradecap.flows.capture.resume import known_ids
from tradecap.flows.capture.status import Status
from tradecap.log.api import Log, LogWriter
from tradecap.venues.feed import Feed, Terms
from tradecap.venues.rest import Budget, Rest
from tradecap.venues.sites import Site


class Wiring:
    """A capture from a site into a log. It reads the log at once, and connects in `run`.

    terms: how connections are treated. budget: that of an earlier REST client of the site, whose requests count.
    """

    def __init__(
        self,
        site: Site,
        log: Log,
        writer: LogWriter,
        plan: Plan,
        *,
        terms: Terms | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._site, self._log, self._writer, self._plan = site, log, writer, plan
        self._terms, self._budget = terms or Terms(), budget
        self._known = known_ids(log, plan.venue, plan.channel, plan.symbols) if plan.is_resumed else {}

    def run(
        self,
        *,
        stop: Callable[[], bool],
        see: Callable[[Status], None] = lambda _: None,
        free: Callable[[], int | None] | None = None,
        full: Callable[[], TradecapError | None] = lambda: None,
    ) -> Captured:
        """Capture until the plan is fulfilled or stop(); see `capture` for the rest. Without `free`, the log's own disk
        is watched."""
        site, plan = self._site, self._plan
        streams = [site.control.stream_name(symbol, plan.channel) for symbol in plan.symbols]
        with Feed(site.stream_url, streams, site.control, self._terms) as feed:
            repair = Repair(lambda wait: Rest(site, wait=wait, budget=self._budget), plan.channel)
            return capture(
                feed,
                repair,
                self._writer,
                plan,
                known=self._known,
                free=free or self._log.free_bytes,
                stop=stop,
                see=see,
                full=full,
            )
