"""A proof that continues from an earlier certificate: what may be taken from it, and what has to be looked at before.

Rules: pure. Only a sealed certificate of a whole proof of the same log is continued. It vouches for the records that
it counted, in the files that it names: manifests and files must have the certified sums, and then their records aren't
read again. A topic is trusted to change no record. Nothing is taken from the certificate about the store.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tradecap.digits import counted, number
from tradecap.market.batch import position_text
from tradecap.proof import counted as counting
from tradecap.proof.against import faults
from tradecap.proof.certificate import Certificate, SegmentRow
from tradecap.proof.checks import SHOWN, Check, IdCoverage, coverage
from tradecap.proof.counted import Counted
from tradecap.proof.tally import Tally

FRESH: Final = "prove the whole log once more and keep the result: tradecap verify --certificate FILE"


def unusable(then: Certificate, log_id: str) -> str:
    """Why a certificate can't be continued for a log; '' where it can."""
    for fault in faults(then):
        return fault
    if then.counted is None or not then.evidence:
        made_by = f"tradecap {then.tradecap} wrote it, in form {then.certificate}"
        return (
            (f"it doesn't keep what was counted ({made_by})")
            if then.certificate < 3
            else "it doesn't keep what was counted"
        )
    if then.log.id != log_id:
        return f"it is of log {then.log.id}, this is log {log_id}"
    return next(_contradictions(then, then.counted), "")


def _contradictions(then: Certificate, state: Counted) -> Iterator[str]:
    """What the certificate says of its records and, elsewhere, not alike."""
    try:
        tally = counting.tally_of(state)
    except ValueError as error:
        yield f"what it keeps as counted is damaged ({error})"
        return
    yield from (f"what it keeps as counted contradicts itself: {each}" for each in counting.contradictions(tally))
    lines = sum(row.records for row in then.segments)
    if lines != tally.records + tally.repeats:
        yield f"its segments hold {counted(lines, 'record')}, and it counted {number(tally.records + tally.repeats)}"
    if tally.records > then.counts.get("records", 0):
        yield f"it counted {counted(tally.records, 'record')}, and proved {number(then.counts.get('records', 0))}"
    elif tally.records == then.counts.get("records", 0):  # fewer where some were found behind that place
        yield from _different_rows(then, tally)


def _different_rows(then: Certificate, tally: Tally) -> Iterator[str]:
    """Runs and series of which the certificate says something else than what it counted."""
    runs = {row.run: (row.last_seq, row.valid, row.quarantined, row.ignored, row.events) for row in then.runs}
    kinds = ("trade", "quarantined", "ignored", "event")
    if runs != {run.run: (run.last_seq, *(run.counts.get(kind, 0) for kind in kinds)) for run in tally.runs.values()}:
        yield "its runs aren't those that it counted"
    if then.is_narrowed:
        return
    series = {
        (row.venue, row.symbol, row.channel): (row.trades, IdCoverage(row.coverage, row.gaps, row.uncovered))
        for row in then.series
    }
    if series != {key: (len(each.ids), coverage(tally, key)) for key, each in tally.series.items()}:
        yield "its series aren't those that it counted"


def changes(then: Sequence[SegmentRow], now: Mapping[str, SegmentRow | None]) -> list[str]:
    """What of the segments isn't as it was certified.

    now: by segment, what is there; None where the log doesn't reach that far.
    """
    found = []
    for row in then:
        held = now[row.segment]
        if held is None or held.lost:
            found.append(f"segment {row.segment} is missing or cut short ({counted(row.records, 'record')})")
        elif (held.sha256, held.bytes, held.records) != (row.sha256, row.bytes, row.records):
            held_now = f"now {number(held.records)} of {held.sha256[:12]}"
            found.append(
                f"segment {row.segment} changed: it held {number(row.records)} records of sha256 "
                f"{row.sha256[:12]}, {held_now}" + (f" and then {held.problem}" if held.problem else "")
            )
    return found


def extended(
    then: Certificate, changed: Sequence[str], expired: Sequence[str], read: Sequence[str], records: int
) -> Check:
    """The log holds what an earlier certificate proved; what came after it was counted.

    read: closed segments that had to be read, as they don't look as certified. records: of the whole log.
    """
    if changed:
        details = [*changed[:SHOWN], *([f"and {number(len(changed) - SHOWN)} more"] if len(changed) > SHOWN else [])]
        details.append(
            f"so nothing was taken from the certificate of {then.made_at}, and all "
            f"{counted(records, 'record')} were counted"
        )
        fix = (
            "# bring the segments that are named back from a copy of that time; what all the other checks say is "
            "of the whole log as it is"
        )
        return Check(
            name="certificate.extended",
            ok=False,
            expected=0,
            actual=len(changed),
            detail="; ".join(details),
            fix=fix,
            unit="changes",
        )
    assert then.counted is not None
    taken = then.counted.records
    details = [
        f"{counted(taken, 'record')} up to {position_text(then.counted.read_to) or 'the beginning'} taken from the "
        f"certificate of {then.made_at}, "
        f"{number(records - taken)} counted",
        _not_read(then),
    ]
    if read:
        details.append(
            f"manifest or file of segment {', '.join(read[:SHOWN])} isn't that certified, so "
            f"{counted(len(read), 'segment')} "
            "had to be read, with the certified lines"
        )
    if expired:
        details.append(
            f"retention has removed some of {', '.join(expired)} since: that was proven, and can't be looked into again"
        )
    return Check(
        name="certificate.extended", ok=True, expected=0, actual=0, detail="; ".join(details), fix="", unit="changes"
    )


def _not_read(then: Certificate) -> str:
    if any(row.packed for row in then.segments):
        return "closed segments before that place are the certified files, by their SHA-256, and were not read again"
    return "records before that place were not read again: brokers change none, and that is taken on trust"
