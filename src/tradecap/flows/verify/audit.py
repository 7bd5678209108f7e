"""Verify, with what an auditor asks for in addition: the venue's klines, a certificate, and whether the log is still
what a certificate says.

What is asked for is read before the long pass, so that a wrong file name costs no time; what is written is written
whole or not at all, whatever the checks say.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from tradecap import __version__
from tradecap.flows.verify.klines import Klines, Window, compare_klines
from tradecap.flows.verify.since import Foundation, row_of
from tradecap.flows.verify.tallying import Hire, nobody
from tradecap.flows.verify.topics import compare_topics
from tradecap.flows.verify.verify import Verdict, Wanted, verify
from tradecap.log.api import Log, Part
from tradecap.proof.against import place_of, unchanged
from tradecap.proof.certificate import (
    Certificate,
    CertifiedSeries,
    CheckRow,
    KlinesRow,
    Place,
    SegmentRow,
    sentence,
)
from tradecap.proof.checks import Check
from tradecap.proof.klines import Published, klines_equal, time_text
from tradecap.store.api import Store

SOFTENED: Final = ("strict", "allow_gaps", "allow_torn")


@dataclass(kw_only=True, frozen=True)
class Extras:
    """What is asked for in addition. against: a certificate of an earlier time; log_url and store_url: as they may be
    shown.

    paste: makes of a fix the line that is right for this log and store, as they were given.
    wait_s: how long to look again at what a feed may not have brought yet.
    """

    klines: Klines = field(default_factory=Klines)
    against: Certificate | None = None
    log_url: str = ""
    store_url: str = ""
    paste: Callable[[str], str] = str
    wait_s: float = 0.0
    since: Foundation | None = None
    """What isn't counted again."""
    topics: Mapping[str, str] | None = None
    """Also hold the topics of `process` against the store; those that have other names than by default."""


@dataclass(kw_only=True, frozen=True)
class Audit:
    """The verdict with all its checks, the klines it was compared with, its certificate, when it began and how long it
    took."""

    verdict: Verdict
    klines: list[Published]
    certificate: Certificate
    began: datetime
    seconds: float


def audit(
    log: Log,
    store: Store,
    wanted: Wanted,
    extras: Extras,
    *,
    progress: Callable[[int], None],
    hire: Hire = nobody,
    overlapped: bool = False,
) -> Audit:
    """Verify, then the checks that were asked for, then the certificate of it all. overlapped: see `verify`."""
    began, started = datetime.now(UTC), time.monotonic()
    published = compare_klines(store, extras.klines, Window(wanted.symbol, wanted.from_us, wanted.to_us))
    wanted = replace(wanted, has_certificate=extras.against is not None)
    base = extras.since.counted if extras.since else None
    verdict = verify(
        log,
        store,
        wanted,
        progress=progress,
        hire=hire,
        wait_s=extras.wait_s,
        base=base,
        overlapped=overlapped,
    )
    if extras.since:
        verdict = replace(verdict, checks=[*verdict.checks, extras.since.check(verdict.counts.records)])
    if extras.klines.files:
        verdict = replace(verdict, checks=[*verdict.checks, klines_equal(published)])
    if extras.topics is not None:
        window = Window(wanted.symbol, wanted.from_us, wanted.to_us)
        verdict = replace(
            verdict, checks=[*verdict.checks, compare_topics(log, store, extras.topics, window, extras.wait_s)]
        )
    verdict = pasted(verdict, extras.paste)
    places = Place(log.id, extras.log_url or log.url), Place(store.store_id, extras.store_url or store.url)
    certificate = _certificate(verdict, wanted, places, published, began, extras.since)
    if extras.against:
        verdict = replace(verdict, checks=[*verdict.checks, _still(log, extras.against, certificate)])
        certificate = _certificate(verdict, wanted, places, published, began, extras.since)
    return Audit(
        verdict=verdict, klines=published, certificate=certificate, began=began, seconds=time.monotonic() - started
    )


def pasted(verdict: Verdict, paste: Callable[[str], str]) -> Verdict:
    """The verdict, its fixes as they are to be pasted."""
    return replace(verdict, checks=[replace(check, fix=paste(check.fix)) for check in verdict.checks])


def _still(log: Log, then: Certificate, now: Certificate) -> Check:
    grown = [row for row in then.segments if not row.closed and then.log.id == log.id]
    held = {
        row.segment: log.again(Part(row.segment, row.records, row.bytes, row.sha256, is_closed=False)) for row in grown
    }
    expired = {segment for segment, part in held.items() if part and part.is_expired}
    return unchanged(then, now, {segment: part.sha256 if part else "" for segment, part in held.items()}, expired)


def _certificate(
    verdict: Verdict,
    wanted: Wanted,
    places: tuple[Place, Place],
    published: Sequence[Published],
    at: datetime,
    since: Foundation | None,
) -> Certificate:
    head, rest = sentence(verdict.counts, verdict.checks)
    return Certificate(
        sentence=f"{head}: {rest}",
        ok=verdict.ok,
        made_at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
        tradecap=__version__,
        log=places[0],
        store=places[1],
        asked=_asked(wanted),
        counts=asdict(verdict.counts),
        quarantined=verdict.quarantined,
        checks=[msgspec.convert(check.row(), CheckRow) for check in verdict.checks],
        runs=verdict.each_run,
        series=[msgspec.convert(row, CertifiedSeries) for row in verdict.series],
        segments=_segments(verdict.evidence or (), since.segments if since else ()),
        evidence=verdict.evidence is not None,
        klines=[_klines_row(each) for each in published],
        since=since.row() if since else None,
        counted=verdict.counted if verdict.ok else None,
    )


def _segments(read: Sequence[Part], earlier: Sequence[SegmentRow]) -> list[SegmentRow]:
    """The parts of the log (ranges of offsets in a topic): those that an earlier certificate vouches for, and the
    others."""
    rows = {row.segment: row for row in earlier}
    rows |= {part.part: row_of(part) for part in read if not earlier or not _is_empty_range(part.part)}
    return sorted(rows.values(), key=lambda row: (len(place_of(row.segment)), place_of(row.segment)))


def _is_empty_range(segment: str) -> bool:
    first, _, end = segment.partition("@")[2].partition("-")
    return first == end != ""


def _asked(wanted: Wanted) -> dict[str, object]:
    """What narrowed or softened the proof; empty for the whole of it."""
    times = {
        name: time_text(us // 10**6) for name, us in (("from", wanted.from_us), ("to", wanted.to_us)) if us is not None
    }
    softened = {name: True for name in SOFTENED if getattr(wanted, name)}
    return {**({"symbol": wanted.symbol} if wanted.symbol else {}), **times, **softened}


def _klines_row(each: Published) -> KlinesRow:
    r = each.result
    return KlinesRow(
        each.file,
        each.sha256,
        each.venue,
        each.symbol,
        each.channel,
        each.interval_s,
        r.compared,
        r.differing,
        r.partial,
        r.absent,
    )
