"""tradecap verify: the proof."""

import re
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from tradecap.cli.logs import log_in_force, records_after, topic_access
from tradecap.cli.options import FILE, FILE_NAME, SERIES, SYMBOL, WAIT, command, shared, time_range, typed
from tradecap.cli.output import Output, joined, lost, number, proven, spoilt, stacked, table, unbroken
from tradecap.cli.pasting import PASSWORDS, Given, paste
from tradecap.cli.reports import read_certificate, refuse_unreadable, refuse_unwritable, write_certificate, write_junit
from tradecap.cli.settings import Settings
from tradecap.errors import Exit, TradecapError
from tradecap.flows.candles import interval_text
from tradecap.flows.rebuild import rebuild
from tradecap.flows.records import read_record
from tradecap.flows.verify.audit import Audit, Extras, audit
from tradecap.flows.verify.klines import Klines
from tradecap.flows.verify.since import foundation
from tradecap.flows.verify.verify import Verdict, Wanted
from tradecap.market.batch import BEGINNING
from tradecap.market.records import REASONS
from tradecap.proof.certificate import Certificate, sentence
from tradecap.proof.checks import Check
from tradecap.proof.klines import Published
from tradecap.store import open_store
from tradecap.workers import Workers, has_cores_to_overlap

EXPECTABLE = ("records", "trades", "duplicates", "conflicts", "quarantined", "ignored", "events", "gaps", "candles")
WAIT_S = 30.0
"""How long to look again where others may write and load."""
LOOK_AGAIN_S = 0.2
"""How long --wait waits between two looks."""

NOTHING_GIVEN: Final = Given()
LEFT_OUT: Final = f"  (a password was left out of these lines: they work with it in {PASSWORDS})"


class Base(NamedTuple):
    """The certificate of --since, and its file."""

    name: str
    then: Certificate


if TYPE_CHECKING:
    from rich.console import RenderableType


def _expectation(text: str) -> tuple[str, int]:
    name, equals, count = text.partition("=")
    if not equals or not re.fullmatch(r"\d{1,18}", count, re.ASCII):
        raise ValueError(f"{text!r} is not an expectation; write NAME=N, like duplicates=100.")
    if name not in EXPECTABLE and not (name.startswith("quarantined.") and name[12:] in REASONS):
        raise ValueError(
            f"{name!r} can't be expected; there is {', '.join(EXPECTABLE)} and quarantined.REASON "
            "(like quarantined.null_field)."
        )
    return name, int(count)


def _offset(text: str) -> int:
    match = re.fullmatch(r"([+-])(\d\d):(\d\d)", text, re.ASCII)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        raise ValueError(f"{text!r} is not an offset from UTC; write it like +01:00.")
    return int(f"{match[1]}1") * (int(match[2]) * 3600 + int(match[3]) * 60)


@command
@click.option(
    "--expect",
    type=typed("expectation", _expectation),
    multiple=True,
    metavar="NAME=N",
    help="Also check that the count NAME is N, like duplicates=100 (may be repeated).",
)
@click.option("--run", metavar="ID|last", default="", help="Apply --expect to this run only.")
@click.option("--symbol", type=SYMBOL, help="Check ids and candles of this symbol only.")
@time_range
@click.option("--strict", is_flag=True, help="Also fail on ids missing between two captures.")
@click.option(
    "--allow-gaps",
    is_flag=True,
    help="Don't fail on ids missing within a run, nor on records that retention removed before they were loaded.",
)
@click.option("--allow-torn", is_flag=True, help="Don't fail on runs without an end record.")
@click.option(
    "--wait",
    "wait_s",
    type=WAIT,
    metavar="DURATION",
    help="Wait up to this long for another process to load the rest of the log (default 30s with a topic or a server "
    "store, else 0s).",
)
@click.option(
    "--klines",
    type=FILE_NAME,
    multiple=True,
    metavar="FILE",
    help="Compare candles with the venue's own klines: CSV, zip or saved REST responses (may be repeated).",
)
@click.option(
    "--klines-offset",
    "offset_s",
    type=typed("offset", _offset),
    metavar="+HH:MM",
    help="UTC offset of kline times that don't state one (default UTC).",
)
@click.option(
    "--as",
    "series",
    type=SERIES,
    metavar="VENUE:SYMBOL",
    help="Venue and symbol of the klines, where the file name doesn't show them.",
)
@click.option("--junit", type=FILE, metavar="FILE", help="Also write the checks as JUnit XML, for CI systems.")
@click.option(
    "--certificate", type=FILE, metavar="FILE", help="Also write the result as a certificate (JSON), to keep."
)
@click.option(
    "--against",
    type=FILE,
    metavar="CERTIFICATE",
    help="Also check that everything in this certificate is still in the log, unchanged.",
)
@click.option(
    "--since",
    type=FILE,
    metavar="CERTIFICATE",
    help="Take over what this certificate proved, without counting it again, and count only what came after.",
)
@click.option(
    "--topics", "has_topics", is_flag=True, help="Also compare the topics of `tradecap process` with the store."
)
@click.option("--rebuild-manifests", is_flag=True, help="First rebuild lost or wrong manifests from their segments.")
@shared
def verify(
    expect: tuple[tuple[str, int], ...],
    run: str,
    symbol: str | None,
    from_ns: int | None,
    to_ns: int | None,
    strict: bool,
    allow_gaps: bool,
    allow_torn: bool,
    wait_s: float | None,
    klines: tuple[str, ...],
    offset_s: int | None,
    series: tuple[str, str] | None,
    junit: Path | None,
    certificate: Path | None,
    against: Path | None,
    since: Path | None,
    has_topics: bool,
    rebuild_manifests: bool,
    settings: Settings,
    out: Output,
) -> Exit:
    """Reconcile log and store, record by record.

    Exit 0: every check passed, so every record in the log is a stored trade, a known duplicate, a conflict that
    inject-bad made, an event, ignored, or quarantined with a reason. Exit 1: a check failed; the output shows what
    differs, where, and what to run.

    \b
    Examples:
      tradecap verify
      tradecap verify --run last --expect duplicates=100 --expect quarantined.null_field=20
      tradecap verify --symbol BTCUSDT --strict --json
      tradecap verify --klines BTCUSDT-1m-2024-08.zip --certificate august.json
      tradecap verify --against august.json --junit report.xml
      tradecap verify --since august.json --certificate september.json
    """
    wanted = Wanted(
        expect=dict(expect),
        run=run,
        symbol=symbol or "",
        from_us=_us(from_ns),
        to_us=_us(to_ns),
        strict=strict,
        allow_gaps=allow_gaps,
        allow_torn=allow_torn,
    )
    venue, its_symbol = series or ("", "")
    then = read_certificate(against) if against else None
    base = Base(str(since), read_certificate(since)) if since else None
    extras = Extras(
        klines=Klines(klines, venue, its_symbol, offset_s),
        against=then,
        log_url=settings.log.shown,
        store_url=settings.store.shown,
        paste=partial(paste, by=out.given),
    )
    if has_topics:
        if not settings.log.value.startswith("kafka:"):
            raise TradecapError(
                f"{settings.log.shown} is not a topic.",
                "leave out --topics, or name one: --log kafka://localhost:19092/trades.raw",
            )
        extras = replace(extras, topics={each.name: each.value for each in settings.topics})
    if certificate and certificate == junit:
        raise TradecapError(
            f"--certificate and --junit name the same file, {certificate}.", "give each a file of its own."
        )
    for name in klines:
        if name != "-":
            refuse_unreadable(name)
    for path in filter(None, (junit, certificate)):
        refuse_unwritable(path)
    if rebuild_manifests:
        _rebuild(settings, out)
    is_embedded = settings.store.value.startswith("chdb:")
    patience_s = _patience_s(settings) if wait_s is None else wait_s
    # nobody else can load an embedded store while this process holds it: it is opened again for each look
    extras = replace(extras, wait_s=0.0 if is_embedded else patience_s)
    deadline = time.monotonic() + (0.0 if wait_s is None and not is_embedded else patience_s)
    while (done := _audited(settings, wanted, extras, base, out, deadline)) is None or (
        is_embedded and done.verdict.only_pending and time.monotonic() < deadline
    ):
        time.sleep(LOOK_AGAIN_S)
    verdict = done.verdict
    if verdict.ok and not verdict.series and (symbol or from_ns is not None or to_ns is not None):
        what = f"of {symbol} " if symbol else ""
        raise TradecapError(
            f"Nothing {what}is in that part of the log: there is nothing to verify.",
            "'tradecap verify' alone lists the series there are.",
        )
    if certificate:
        write_certificate(certificate, done)
    if junit:
        write_junit(junit, done)
    klines_rows = {"klines": [_klines_row(each) for each in done.klines]} if klines else {}
    out.show(result_of(verdict) | klines_rows | _taken(done, base), lambda: drawn(verdict, out.given))
    return Exit.OK if verdict.ok else Exit.CHECK_FAILED


def _patience_s(settings: Settings) -> float:
    """The default of --wait."""
    may_be_shared = settings.log.value.startswith("kafka:") or not settings.store.value.startswith("chdb:")
    return WAIT_S if may_be_shared else 0.0


def _rebuild(settings: Settings, out: Output) -> None:
    log = log_in_force(settings)
    with out.progress("rebuild manifests", total=records_after(log)) as advance:
        found = rebuild(log, progress=advance)
    for each in found:
        out.note(f"{each.segment}: {each.done} ({each.why})")
    if not found:
        out.note("all manifests are right: nothing to rebuild")


def _taken(done: Audit, base: Base | None) -> dict[str, object]:
    """With --since, what was taken from the certificate, and what was counted."""
    if base is None:
        return {}
    taken = done.certificate.since.records if done.certificate.since else 0
    return {"since": {"made_at": base.then.made_at, "taken": taken, "counted": done.verdict.counts.records - taken}}


def _audited(
    settings: Settings, wanted: Wanted, extras: Extras, base: Base | None, out: Output, deadline: float
) -> Audit | None:
    """None where the store can't be had and there is time left: an embedded one is held by the process that loads."""
    log = log_in_force(settings)
    extras = replace(extras, since=foundation(log, base.then, base.name) if base else None)
    counted = extras.since.counted if extras.since else None
    try:
        with (
            open_store(settings.store.value, read=read_record, topic=topic_access(log, settings)) as store,
            out.progress("verify", total=records_after(log, counted.read_to if counted else BEGINNING)) as advance,
        ):
            return audit(
                log,
                store,
                wanted,
                extras,
                progress=advance,
                hire=Workers(),
                overlapped=has_cores_to_overlap(),
            )
    except TradecapError as error:
        if error.exit_code is not Exit.UNREACHABLE or time.monotonic() >= deadline:
            raise
        return None


def _us(ns: int | None) -> int | None:
    return None if ns is None else -(-ns // 1000)


def _klines_row(each: Published) -> dict[str, object]:
    series = {
        "venue": each.venue,
        "symbol": each.symbol,
        "channel": each.channel,
        "interval": interval_text(each.interval_s),
    }
    return {"file": each.file, "sha256": each.sha256, **series, "exact": each.is_exact, **asdict(each.result)}


def result_of(verdict: Verdict) -> dict[str, object]:
    return {
        "ok": verdict.ok,
        "checks": [check.row() for check in verdict.checks],
        "counts": asdict(verdict.counts),
        "quarantined": verdict.quarantined,
        "runs": verdict.runs,
        "series": verdict.series,
    }


def drawn(verdict: Verdict, given: Given = NOTHING_GIVEN) -> "RenderableType":
    rows = [(proven("ok") if check.ok else lost("FAILED"), check.name, *check.texts) for check in verdict.checks]
    series = [
        (
            f"{s['venue']} {s['symbol']} {s['channel']}",
            s["trades"],
            s["duplicates"],
            s["conflicts"],
            _count(s["gaps"]),
            f"{s['first_id']} … {s['last_id']}",
        )
        for s in verdict.series
    ]
    return stacked(
        table(("", "check", "expected", "found"), rows, wrap=("expected", "found"), drop=("expected",)),
        *[line for check in verdict.checks for line in _story(check)],
        *([LEFT_OUT] if given.has_left_out and not verdict.ok else []),
        table(
            ("series", "trades", "duplicates", "conflicts", "gaps", "ids"),
            series,
            wrap=("series", "ids"),
            drop=("ids", "duplicates"),
        ),
        *([spoilt(_quarantined(verdict))] if verdict.quarantined else []),
        conclusion(verdict),
    )


def _story(check: Check) -> list["RenderableType"]:
    """The lines about a check that failed; accounting is the last line anyway."""
    if check.ok:
        return [f"{check.name}: {check.detail}"] if check.detail and check.name != "accounting" else []
    expected, actual = check.texts
    lines = [lost(f"{check.name}: expected {expected}, found {actual}")]
    fix: list[RenderableType] = (
        [f"  to do: {check.fix.removeprefix('# ')}" if check.fix.startswith("# ") else unbroken(f"  fix: {check.fix}")]
        if check.fix
        else []
    )
    return [*lines, *([f"  {check.detail}"] if check.detail else []), *fix]


def _count(ranges: object) -> int:
    assert isinstance(ranges, list)
    return len(ranges)


def _quarantined(verdict: Verdict) -> str:
    return "in quarantine: " + ", ".join(f"{number(n)} {reason}" for reason, n in verdict.quarantined.items())


def conclusion(verdict: Verdict) -> "RenderableType":
    """The sentence that all the rest is for."""
    head, rest = sentence(verdict.counts, verdict.checks)
    return joined((proven if verdict.ok else lost)(head), f" {rest}")
