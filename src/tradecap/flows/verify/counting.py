"""Counts one batch: by templates where that can be done, else record by record.

Rules: both ways give the same tally. The quick one needs numpy, which comes with the extra `embedded`; TRADECAP_PLAIN=0
switches it off.
"""

from collections.abc import Callable

from tradecap.fast import is_fast
from tradecap.flows.records import records_of
from tradecap.market.batch import Portion, Values
from tradecap.proof.tally import Tally


class Counter:
    """Counts the batches of a log."""

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self._quickly = _quick_way(log_id)

    def count(self, tally: Tally, portion: Portion) -> None:
        """Count the records of a portion, which comes next."""
        part = self._quickly(portion)
        if part is None or not tally.merge(part):
            count_plainly(tally, portion, self._log_id)


def count_plainly(tally: Tally, portion: Portion, log_id: str) -> None:
    """Count the records of a portion one by one."""
    batch = portion.batch
    tally.begin(batch.end.partition, portion.since)
    if isinstance(batch.content, Values):
        tally.empty += len(batch.content.values) - batch.records
    for envelope, reading, raw in records_of(batch, log_id):
        tally.add(envelope, reading, raw)


def _quick_way(log_id: str) -> Callable[[Portion], Tally | None]:
    if is_fast():
        try:
            from tradecap.flows.verify.templated import TemplateCounter
        except ModuleNotFoundError:
            pass
        else:
            return TemplateCounter(log_id).count
    return _none


def _none(_: Portion) -> None:
    return None
