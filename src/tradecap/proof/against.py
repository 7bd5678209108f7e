"""A log against an earlier certificate of it: is everything that was certified still there, unchanged?

Rules: pure. First the certificate itself: one that is of a failed proof, empty, edited or contradicts itself proves
nothing. Then the log: it is unchanged when every segment holds the bytes that were certified; what came after them is
an extension, and named. Everything that a certificate counts is compared: while nothing was added it is the same
number, later it may only have grown. In a topic, a segment is a range of offsets of a partition; if retention has
shortened it, neither it nor counts, runs and series can be compared any more.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from tradecap.digits import counted, number
from tradecap.market.trade_ids import TradeIds
from tradecap.proof.certificate import KINDS, Certificate, CertifiedSeries, RunRow, SegmentRow, sentence_of
from tradecap.proof.checks import Check
from tradecap.proof.seal import Seal

NAMED: Final = 20
"""How many changes a finding names; the rest is counted."""
OF_THE_STORE: Final = ("redelivered", "candles", "expired")
"""Counts that say something of the store, or grow by what isn't in the log: not compared."""
SPLIT: Final = ("duplicates", "conflicts")
"""An id's first record may come later where a log has several partitions: then only the sum of the two can't fall."""


def unchanged(then: Certificate, now: Certificate, prefixes: Mapping[str, str], expired: Collection[str] = ()) -> Check:
    """The log is what was certified, or that and more. prefixes: of segments that were being written then, the sha256
    of as many bytes now.

    expired: segments of which retention has removed something.
    """
    wrong, changes = list(faults(then)), list(_changes(then, now, prefixes, expired))
    since = _since(then, now) if then.log.id == now.log.id else []
    found = wrong + changes
    details = found[:NAMED] + ([f"and {number(len(found) - NAMED)} more"] if len(found) > NAMED else [])
    details += [] if found else ["the same and more" if since else "the same"]
    details += [f"since then: {', '.join(since)}"] if since else []
    details += _remarks(then, now, expired)
    details.append(
        f"{counted(len(then.segments), 'segment')} and {counted(len(then.runs), 'run')} as of {then.made_at}"
    )
    return Check(
        name="certificate.unchanged",
        ok=not found,
        expected=0,
        actual=len(found),
        detail="; ".join(details),
        fix=_fix(then, now, wrong, changes),
        unit="changes",
    )


def _fix(then: Certificate, now: Certificate, wrong: Sequence[str], changes: Sequence[str]) -> str:
    if then.log.id != now.log.id:
        return "# name the log of the certificate with --log"
    if wrong:
        return "# take a certificate that proves something, from where it was kept: this one vouches for nothing"
    return "# bring the segments that are named back from a copy of that time" if changes else ""


def _remarks(then: Certificate, now: Certificate, expired: Collection[str]) -> Iterator[str]:
    """What limits the comparison."""
    if then.seal is Seal.MISSING:
        yield (
            "the certificate is not sealed (an earlier tradecap made it): whether it was edited shows only where "
            "it contradicts itself or the log"
        )
    if not (then.evidence and now.evidence):
        yield "this kind of log gives no sums of its bytes: only counts, runs and series were compared"
    if expired:
        yield f"retention has shortened {', '.join(sorted(expired))}: not compared, nor counts, runs and series"
    if then.since:
        yield f"it took {counted(then.since.records, 'record')} from the certificate of {then.since.made_at}"
    if then.asked:
        yield f"it was asked for with {', '.join(sorted(then.asked))}"
    if then.store.id != now.store.id:
        yield f"it was proven against another store ({then.store.id})"


# ---- the certificate itself ------------------------------------------------------------------------------------------


def faults(then: Certificate) -> Iterator[str]:
    """Why a certificate proves nothing, whatever the log is."""
    is_stripped = then.seal is Seal.MISSING and any(
        isinstance(value, int) for check in then.checks for value in (check.expected, check.actual)
    )
    if then.seal is Seal.BROKEN:
        yield "the certificate was edited: its seal doesn't fit what it says"
    elif then.seal is Seal.REMOVED or is_stripped:
        yield "the certificate was edited: its seal was removed"
    failed = [check.name for check in then.checks if not check.ok]
    if not then.ok or failed:
        yield "the certificate says NOT PROVEN: it is of a failed proof" + (f" ({', '.join(failed)})" if failed else "")
    if not then.segments and not then.runs:
        yield "the certificate names no segment and no run: it proves nothing"
    yield from _contradictions(then, failed)


def _contradictions(then: Certificate, failed: Sequence[str]) -> Iterator[str]:
    """What a certificate says twice, and not alike. Digits are grouped otherwise in older ones."""
    if then.ok is bool(failed):
        yield (
            f"the certificate contradicts itself: ok is {str(then.ok).lower()}, and "
            f"{counted(len(failed), 'check')} of it failed"
        )
    sentence = ": ".join(sentence_of(then.counts, [check.ok for check in then.checks]))
    if re.sub(r"\s", "", sentence) != re.sub(r"\s", "", then.sentence):
        yield f"the certificate contradicts itself: its sentence isn't what its counts and checks say ({sentence})"
    records = sum(run.records for run in then.runs)
    stated = then.counts.get("records", 0)
    if records != stated:
        yield (
            f"the certificate contradicts itself: its runs hold {counted(records, 'record')}, its counts say "
            f"{number(stated)}"
        )
    kinds = sum(then.counts.get(kind, 0) for kind in KINDS)
    if kinds != stated:
        yield (
            f"the certificate contradicts itself: it counts {counted(stated, 'record')}, and {number(kinds)} by "
            "their kinds"
        )
    for run in then.runs:
        if run.records != run.valid + run.quarantined + run.ignored + run.events:
            yield (
                f"the certificate contradicts itself: the {counted(run.records, 'record')} of run {run.run} "
                "aren't the sum of their kinds"
            )
    if sum(run.quarantined for run in then.runs) != sum(then.quarantined.values()):
        yield "the certificate contradicts itself: the reasons of its quarantine aren't the sum of its runs"


# ---- the log ---------------------------------------------------------------------------------------------------------


def _changes(
    then: Certificate, now: Certificate, prefixes: Mapping[str, str], expired: Collection[str]
) -> Iterator[str]:
    if then.log.id != now.log.id:
        yield f"the certificate is of log {then.log.id}, this is log {now.log.id}"
        return
    yield from _segment_changes(then, now, prefixes, expired)
    if expired:
        return
    has_grown = bool(_since(then, now))
    yield from _run_changes(then, now)
    yield from _count_changes(then, now, has_grown=has_grown)
    if not then.is_narrowed and not now.is_narrowed:
        yield from _series_changes(then, now, has_grown=has_grown)


def _count_changes(then: Certificate, now: Certificate, *, has_grown: bool) -> Iterator[str]:
    """Counts may only grow, and only where records were added."""
    before = {**then.counts, **{f"quarantined.{reason}": n for reason, n in then.quarantined.items()}}
    after = {**now.counts, **{f"quarantined.{reason}": n for reason, n in now.quarantined.items()}}
    if has_grown:
        for counts in (before, after):
            counts["duplicates and conflicts"] = sum(counts.pop(name, 0) for name in SPLIT)
    for name in sorted((before.keys() | after.keys() if not has_grown else before.keys()) - set(OF_THE_STORE)):
        had, has = before.get(name, 0), after.get(name, 0)
        if has < had or (has > had and not has_grown):
            yield f"the log had {number(had)} {name}, has {number(has)}"


def _segment_changes(
    then: Certificate, now: Certificate, prefixes: Mapping[str, str], expired: Collection[str]
) -> Iterator[str]:
    held = {place_of(row.segment): row for row in now.segments}
    for row in then.segments:
        if row.segment in expired:
            continue
        same = held.get(place_of(row.segment))
        sha256 = same.sha256 if same and row.closed else prefixes.get(row.segment, "")
        if same is None or same.lost:
            yield f"segment {row.segment} is missing ({number(row.records)} records)"
        elif sha256 != row.sha256:
            held_now = (
                f"it held {number(row.records)} records of sha256 {row.sha256[:12]}, now "
                f"{number(same.records)} of {same.sha256[:12]}"
            )
            yield f"segment {row.segment} changed: {held_now}" + (f" and then {same.problem}" if same.problem else "")
        elif not _has_grown_from(row, same):
            certified = f"{number(row.records)} records in {number(row.bytes)} bytes"
            yield (
                f"segment {row.segment}: the certificate says {certified}, it holds {number(same.records)} in "
                f"{number(same.bytes)}"
            )


def _has_grown_from(row: SegmentRow, same: SegmentRow) -> bool:
    """Whether the sizes go together with content that is the same, or the same up to where it was written then."""
    if row.closed and row.segment == same.segment:
        return (row.records, row.bytes) == (same.records, same.bytes)
    return row.records <= same.records and row.bytes <= same.bytes


def place_of(segment: str) -> str:
    """What stays the same of a segment's name when it grows: of a range of offsets the partition."""
    return segment.partition("@")[0]


def _run_changes(then: Certificate, now: Certificate) -> Iterator[str]:
    found = {row.run: row for row in now.runs}
    for row in then.runs:
        same = found.get(row.run)
        if same is None:
            yield f"run {row.run} is missing ({number(row.records)} records)"
        else:
            yield from _changes_of_run(row, same)


def _changes_of_run(row: RunRow, same: RunRow) -> Iterator[str]:
    may_grow = row.state in ("open", "silent", "unnumbered")
    if row.state != same.state and row.state in ("ended", "recovered", "unnumbered"):
        yield f"run {row.run} was {row.state}, is {same.state}"
    for name in ("records", "last_seq", "valid", "quarantined", "ignored", "events"):
        before, after = getattr(row, name), getattr(same, name)
        if after < before or (after > before and not may_grow):
            yield f"run {row.run} had {number(before)} {NAMES.get(name, name)}, has {number(after)}"


NAMES: Final = {"last_seq": "as its last seq"}


def _series_changes(then: Certificate, now: Certificate, *, has_grown: bool) -> Iterator[str]:
    """A series may only grow, and only where records were added."""
    found = {_key(row): row for row in now.series}
    for row in then.series:
        same = found.pop(_key(row), None)
        if same is None:
            yield f"{' '.join(_key(row))} is missing ({number(row.trades)} trades)"
        else:
            yield from _changes_of_series(row, same, has_grown=has_grown)
    if not has_grown:
        yield from (
            f"{' '.join(key)} isn't in the certificate ({number(row.trades)} trades)" for key, row in found.items()
        )


def _key(row: CertifiedSeries) -> tuple[str, str, str]:
    return row.venue, row.symbol, row.channel


def _changes_of_series(row: CertifiedSeries, same: CertifiedSeries, *, has_grown: bool) -> Iterator[str]:
    name = " ".join(_key(row))
    counts = [("trades", row.trades, same.trades)]
    if has_grown:
        counts.append(("duplicates and conflicts", row.duplicates + row.conflicts, same.duplicates + same.conflicts))
    else:
        counts += [("duplicates", row.duplicates, same.duplicates), ("conflicts", row.conflicts, same.conflicts)]
    for what, before, after in counts:
        if after < before or (after > before and not has_grown):
            yield f"{name} had {number(before)} {what}, has {number(after)}"
    lost = [gap for first, last in row.coverage for gap in TradeIds(same.coverage).gaps_within(first, last)]
    if lost:
        yield f"{name}: ids {lost[0][0]} to {lost[-1][1]} were covered"
    if not has_grown:
        for what in ("first_id", "last_id", "coverage", "gaps", "uncovered"):
            if getattr(row, what) != getattr(same, what) and not (what == "coverage" and lost):
                yield f"{name}: the certificate says {what} {getattr(row, what)}, it is {getattr(same, what)}"


def _since(then: Certificate, now: Certificate) -> list[str]:
    """What came after the certificate."""
    segments = sorted(
        {place_of(row.segment) for row in now.segments} - {place_of(row.segment) for row in then.segments}
    )
    runs = {row.run for row in now.runs} - {row.run for row in then.runs}
    grown: dict[str, int] = {}
    for row in then.segments:  # of a topic there is a range of offsets for each proof that continued another
        if not row.closed:
            grown[place_of(row.segment)] = grown.get(place_of(row.segment), 0) + row.bytes
    grown_now = [
        place_of(row.segment) for row in now.segments if row.bytes > grown.get(place_of(row.segment), row.bytes)
    ]
    added = [f"{_names(segments, 'segment')} added"] if segments else []
    added += [f"{_names(grown_now, 'segment')} written on"] if grown_now else []
    return added + ([f"{counted(len(runs), 'run')} added"] if runs else [])


def _names(numbers: Sequence[str], what: str) -> str:
    return (
        f"{what} {numbers[0]}"
        if len(numbers) == 1
        else (f"{number(len(numbers))} {what}s {numbers[0]} to {numbers[-1]}")
    )
