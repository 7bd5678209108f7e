"""Where a capture writes: into the log in force, or, where that is a topic, into a spool that is shipped there."""

import functools
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import click

from tradecap.cli.logs import log_to_write
from tradecap.cli.options import SIZE, Body
from tradecap.cli.output import Output
from tradecap.cli.settings import Settings, at_home
from tradecap.errors import Exit, TradecapError
from tradecap.flows.ship import Shipped
from tradecap.flows.shipping import Shipping
from tradecap.log import open_log
from tradecap.log.api import Log, LogWriter
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool, Target

FOLDER: Final = Path("tradecap-data/spool")
PATIENCE_S: Final = 3.0
"""How long a capture may wait for a topic that its spool knows: trades go by meanwhile."""
MOST: Final = 20_000_000_000


class SpoolOptions(NamedTuple):
    """What was typed; None where nothing was."""

    folder: Path | None
    is_off: bool
    most: int | None


def spool_options(body: Body) -> Body:
    """--spool, --no-spool and --spool-max. The body gets `spool`."""

    @functools.wraps(body)
    def spooled(*, spool_folder: str | None, no_spool: bool, spool_max: int | None, **rest: object) -> Exit | None:
        folder = Path(at_home(spool_folder)) if spool_folder else None
        return body(spool=SpoolOptions(folder, no_spool, spool_max), **rest)

    add = (
        click.option(
            "--spool",
            "spool_folder",
            metavar="DIR",
            help=f"With a topic as the log: the folder that records go to first (default ./{FOLDER}).",
        ),
        click.option(
            "--no-spool",
            is_flag=True,
            help="With a topic as the log: write to it directly; an unreachable broker ends the capture.",
        ),
        click.option(
            "--spool-max",
            type=SIZE,
            metavar="SIZE",
            help="End the capture when the spool is larger than this; every record is kept (default 20GB).",
        ),
    )
    for option in reversed(add):
        spooled = option(spooled)
    return spooled


class Written(NamedTuple):
    """log is what the capture writes, loaded what --load reads, shipping what brings the one into the other (None where
    they are the same)."""

    log: Log
    loaded: Log | Callable[[], Log]
    shipping: Shipping | None

    @property
    def loaded_id(self) -> str:
        """The id of the log that --load reads, which is known while the topic is out of reach."""
        return self.shipping.done.target.id if self.shipping else self.log.id

    def writer(self) -> LogWriter:
        """Begin a run. Raises TradecapError (exit 3) where another capture does."""
        try:
            return self.log.writer()
        except TradecapError as error:
            if self.shipping and error.exit_code is Exit.UNREACHABLE:
                hint = (
                    "a spool has one capture at a time: wait for it, stop it, or name another folder with --spool DIR."
                )
                raise TradecapError(error.message, hint, error.exit_code) from error
            raise


def opened(settings: Settings, out: Output, options: SpoolOptions, segment_bytes: int, segment_age_s: float) -> Written:
    """The log in force for a capture, and its spool where it has one."""
    url = settings.log.value
    _refuse_contradictions(url, options)
    if options.is_off or not url.startswith("kafka:"):
        log = log_to_write(settings, out, segment_bytes, segment_age_s)
        return Written(log, log, None)
    folder = options.folder or FOLDER
    spooled = open_log(f"file:{folder}", create=True, segment_bytes=segment_bytes, segment_age_s=segment_age_s)
    assert isinstance(spooled, FileLog)
    spool = Spool(spooled)

    def reached() -> Log:
        return open_log(url, kafka=settings.kafka_properties())

    target = _target(settings, spool, out)
    again = f"tradecap ship {shlex.quote(str(folder))} --log {shlex.quote(url)}"
    return Written(
        spooled,
        reached,
        Shipping(spool, reached, Shipped(target=target), MOST if options.most is None else options.most, again),
    )


def _target(settings: Settings, spool: Spool, out: Output) -> Target:
    """The log that the spool is for. One that it knows may be out of reach: the capture doesn't wait for it."""
    url = settings.log.value
    known = spool.target if spool.target and spool.target.url == url else None
    attempts = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reach")
    attempt = attempts.submit(open_log, url, create=True, kafka=settings.kafka_properties(), say=out.note)
    try:
        target = Target(attempt.result(PATIENCE_S if known else None).id, url)
    except (TradecapError, TimeoutError) as error:
        if known is None or (isinstance(error, TradecapError) and error.exit_code is not Exit.UNREACHABLE):
            raise
        out.warn(f"{url} doesn't answer: records stay in {spool.log.path} until it does.")
        return known
    finally:
        attempts.shutdown(wait=False)
    spool.belong_to(target)
    return target


def _refuse_contradictions(url: str, options: SpoolOptions) -> None:
    is_spooled = options.folder is not None or options.most is not None
    if options.is_off and is_spooled:
        raise TradecapError("--no-spool contradicts --spool and --spool-max.", "leave out one of them.")
    if (options.is_off or is_spooled) and not url.startswith("kafka:"):
        raise TradecapError(
            "A spool is for a log in a topic; this log is a folder.", "leave --spool, --no-spool and --spool-max out."
        )
