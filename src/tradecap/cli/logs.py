"""The log in force, opened."""

from collections.abc import Callable

from tradecap.cli.output import Output
from tradecap.cli.settings import Settings
from tradecap.errors import TradecapError
from tradecap.flows.records import as_recording
from tradecap.log import open_log, topic_of
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool
from tradecap.market.batch import BEGINNING, Positions
from tradecap.recordings.reading import OwnLog
from tradecap.store.api import TopicAccess
from tradecap.venues.api import VENUES


def log_in_force(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Log:
    """The log, to be read. say gets a line when it waits for a broker."""
    return open_log(settings.log.value, kafka=settings.kafka_properties(), venue=_venue(settings), say=say)


def log_to_write(
    settings: Settings, out: Output, segment_bytes: int, segment_age_s: float, *, create: bool = True
) -> Log:
    """The log, to be written; made where it is missing, unless create is False."""
    return open_log(
        settings.log.value,
        create=create,
        segment_bytes=segment_bytes,
        segment_age_s=segment_age_s,
        kafka=settings.kafka_properties(),
        venue=_venue(settings),
        say=out.note,
    )


def own_log(path: str) -> OwnLog:
    """The log in a folder, as a recording."""
    return as_recording(open_log(f"file:{path}"))


def records_after(log: Log, positions: Positions = BEGINNING) -> int | None:
    """About how many records come after a position; None where that can't be found out (reading it will report why)."""
    try:
        return Spool(log).waiting(positions) if isinstance(log, FileLog) else sum(log.behind(positions).values())
    except (TradecapError, OSError):
        return None


def topic_access(log: Log, settings: Settings, *, reads: bool = False) -> TopicAccess | None:
    """What a store that reads the log by itself needs to know of it; None for a log in a folder. reads: the store is
    going to read."""
    if not log.url.startswith("kafka:"):
        return None
    topic = topic_of(log)
    return TopicAccess(lambda group: topic.group(group).committed(), settings.kafka_properties() if reads else None)


def _venue(settings: Settings) -> str:
    """The venue of messages that no tradecap wrote, '' where their shape decides. Raises TradecapError for one that
    nobody knows."""
    name = settings.foreign_venue
    if name.value and name.value not in VENUES:
        raise TradecapError(
            f"{name.value!r} ({name.source}) isn't a venue.", f"the venues there are: {', '.join(sorted(VENUES))}."
        )
    return name.value
