"""A certificate: what one `verify` found of a log, to be kept, read at a glance, and held against the log later.

Rules: pure; it stands by itself: nothing in it needs the log or the store to be understood. One fact a line, the sentence first. Its form has a
version of its own; a later one adds keys and is refused by an older tradecap only when its number is greater. A log is unchanged when every segment
holds the bytes that were certified; what came after them is an extension, and named. Of a topic a segment is a range of offsets of a partition; one
that retention has shortened can't be compared any more, nor can counts of runs and series then.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from tradecap.market.trade_ids import TradeIds
from tradecap.proof.checks import Accounts, Check, counted, number

VERSION: Final = 1
NAMED: Final = 20
"""How many changes a finding names; the rest is counted."""


class Place(msgspec.Struct, frozen=True):
    """A log or a store."""

    id: str
    url: str


class RunRow(msgspec.Struct, frozen=True):
    """One run: its state (ended, open, recovered, torn), its last seq, and its records by what they are."""

    run: str
    state: str
    records: int
    last_seq: int
    valid: int
    quarantined: int
    ignored: int
    events: int


class SegmentRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The uncompressed bytes of one segment; those durable then where it was still written. Of a topic, of a range of offsets (`0@0-100`).

    problem: why it couldn't be read on; lost: it was gone.
    """

    segment: str
    records: int
    bytes: int
    sha256: str
    closed: bool = True
    problem: str = ""
    lost: bool = False


class SeriesRow(msgspec.Struct, frozen=True):
    """One series, as `verify` shows it."""

    venue: str
    symbol: str
    channel: str
    trades: int
    first_id: int | None
    last_id: int | None
    duplicates: int
    conflicts: int
    coverage: list[tuple[int, int]]
    gaps: list[tuple[int, int]]
    uncovered: list[tuple[int, int]]


class CheckRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check of `verify`."""

    name: str
    ok: bool
    expected: str
    actual: str
    detail: str = ""
    fix: str = ""


class KlinesRow(msgspec.Struct, frozen=True):
    """A file of the venue's klines that candles were compared with."""

    file: str
    sha256: str
    venue: str
    symbol: str
    channel: str
    interval_s: int
    compared: int
    differing: int
    partial: int
    absent: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, in the order in which it is written.

    asked: the options that narrowed or softened the proof. evidence: whether this kind of log gives sums of its bytes; without them `segments` is
    empty, and only runs, series and counts can be compared later.
    """

    certificate: int = VERSION
    sentence: str
    ok: bool
    made_at: str
    tradecap: str
    log: Place
    store: Place
    asked: dict[str, object]
    counts: dict[str, int]
    quarantined: dict[str, int]
    checks: list[CheckRow]
    runs: list[RunRow]
    series: list[SeriesRow]
    segments: list[SegmentRow]
    evidence: bool = True
    klines: list[KlinesRow] = []

    @property
    def is_narrowed(self) -> bool:
        """Whether its series are only a part of the log's."""
        return any(self.asked.get(name) for name in ("symbol", "from", "to"))


class _Head(msgspec.Struct, frozen=True):
    certificate: int


def sentence(counts: Accounts, checks: Sequence[Check]) -> tuple[str, str]:
    """PROVEN or NOT PROVEN, and what of: the equation of all records."""
    kinds = ("trades", "duplicates", "conflicts", "quarantined", "ignored", "events")
    equation = f"{number(counts.records)} records = " + " + ".join(f"{number(getattr(counts, kind))} {kind}" for kind in kinds)
    failed = sum(not check.ok for check in checks)
    if failed:
        return "NOT PROVEN", f"{number(failed)} of {len(checks)} checks failed: {equation}."
    return "PROVEN", f"every record is accounted for, every trade is there exactly once: {equation}."


# ---- as a text ---------------------------------------------------------------------------------------------------------------------------


def written(certificate: Certificate) -> bytes:
    """JSON for eyes: a line for each run, series, segment and check."""
    members = msgspec.to_builtins(certificate)
    return ("{\n" + ",\n".join(f"  {json.dumps(name)}: {_value(value)}" for name, value in members.items()) + "\n}\n").encode(errors="replace")


def _value(value: object) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in value) + "\n  ]"


def read(text: bytes) -> Certificate | str:
    """A certificate, or what is wrong with it, to follow on its name."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.certificate > VERSION:
            return f"is of version {head.certificate}, this tradecap knows version {VERSION}"
        return msgspec.json.decode(text, type=Certificate)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"is no certificate of tradecap, or a damaged one ({error})"


# ---- against a log -----------------------------------------------------------------------------------------------------------------------


def unchanged(then: Certificate, now: Certificate, prefixes: Mapping[str, str], expired: Collection[str] = ()) -> Check:
    """The log is what was certified, or that and more. prefixes: of segments that were being written then, the sha256 of as many bytes now.

    expired: segments of which retention has removed something.
    """
    changes = list(_changes(then, now, prefixes, expired))
    since = _since(then, now) if then.log.id == now.log.id else []
    details = changes[:NAMED] + ([f"and {number(len(changes) - NAMED)} more"] if len(changes) > NAMED else [])
    details += [f"since then: {', '.join(since)}"] if since else []
    details += [f"retention has shortened {', '.join(sorted(expired))}: not compared, nor runs and series"] if expired else []
    details += [] if then.ok else ["the certificate itself says NOT PROVEN"]
    details += [] if then.evidence and now.evidence else ["this kind of log gives no sums of its bytes: only runs, series and counts were compared"]
    expected = f"{number(len(then.segments))} segments and {number(len(then.runs))} runs as of {then.made_at}"
    actual = f"{number(len(changes))} changed" if changes else "the same and more" if since else "the same"
    fix = ""
    if changes:
        is_other = then.log.id != now.log.id
        fix = "name the log of the certificate with --log" if is_other else "bring the segments that are named back from a copy of that time"
    return Check("certificate.unchanged", not changes, expected, actual, "; ".join(details), fix)


def _changes(then: Certificate, now: Certificate, prefixes: Mapping[str, str], expired: Collection[str]) -> Iterator[str]:
    if then.log.id != now.log.id:
        yield f"the certificate is of log {then.log.id}, this is log {now.log.id}"
        return
    yield from _segment_changes(then, now, prefixes, expired)
    if expired:
        return
    yield from _run_changes(then, now)
    if not then.is_narrowed and not now.is_narrowed:
        yield from _series_changes(then, now)


def _segment_changes(then: Certificate, now: Certificate, prefixes: Mapping[str, str], expired: Collection[str]) -> Iterator[str]:
    held = {_place(row.segment): row for row in now.segments}
    for row in then.segments:
        if row.segment in expired:
            continue
        same = held.get(_place(row.segment))
        sha256 = same.sha256 if same and row.closed else prefixes.get(row.segment, "")
        if same is None or same.lost:
            yield f"segment {row.segment} is missing ({number(row.records)} records)"
        elif sha256 != row.sha256:
            held_now = f"it held {number(row.records)} records of sha256 {row.sha256[:12]}, now {number(same.records)} of {same.sha256[:12]}"
            yield f"segment {row.segment} changed: {held_now}" + (f" and then {same.problem}" if same.problem else "")


def _place(segment: str) -> str:
    """What stays the same of a segment's name when it grows: of a range of offsets the partition."""
    return segment.partition("@")[0]


def _run_changes(then: Certificate, now: Certificate) -> Iterator[str]:
    found = {row.run: row for row in now.runs}
    for row in then.runs:
        same = found.get(row.run)
        if same is None:
            yield f"run {row.run} is missing ({number(row.records)} records)"
            continue
        may_grow = row.state in ("open", "silent")
        if row.state != same.state and row.state in ("ended", "recovered"):
            yield f"run {row.run} was {row.state}, is {same.state}"
        for name in ("records", "valid", "quarantined", "ignored", "events"):
            before, after = getattr(row, name), getattr(same, name)
            if after < before or (after > before and not may_grow):
                yield f"run {row.run} had {number(before)} {name}, has {number(after)}"


def _series_changes(then: Certificate, now: Certificate) -> Iterator[str]:
    """A series may only grow."""
    found = {(row.venue, row.symbol, row.channel): row for row in now.series}
    for row in then.series:
        key = (row.venue, row.symbol, row.channel)
        same = found.get(key)
        if same is None:
            yield f"{' '.join(key)} is missing ({number(row.trades)} trades)"
            continue
        for name in ("trades", "duplicates", "conflicts"):
            before, after = getattr(row, name), getattr(same, name)
            if after < before:
                yield f"{' '.join(key)} had {number(before)} {name}, has {number(after)}"
        covered = TradeIds(same.coverage)
        lost = [gap for first, last in row.coverage for gap in covered.gaps_within(first, last)]
        if lost:
            yield f"{' '.join(key)}: ids {lost[0][0]} to {lost[-1][1]} were covered"


def _since(then: Certificate, now: Certificate) -> list[str]:
    """What came after the certificate."""
    segments = sorted({_place(row.segment) for row in now.segments} - {_place(row.segment) for row in then.segments})
    runs = {row.run for row in now.runs} - {row.run for row in then.runs}
    grown = {_place(row.segment): row.bytes for row in then.segments if not row.closed}
    grown_now = [_place(row.segment) for row in now.segments if row.bytes > grown.get(_place(row.segment), row.bytes)]
    told = [f"{_names(segments, 'segment')} added"] if segments else []
    told += [f"{_names(grown_now, 'segment')} written on"] if grown_now else []
    return told + ([f"{counted(len(runs), 'run')} added"] if runs else [])


def _names(numbers: Sequence[str], what: str) -> str:
    return f"{what} {numbers[0]}" if len(numbers) == 1 else f"{number(len(numbers))} {what}s {numbers[0]} to {numbers[-1]}"
