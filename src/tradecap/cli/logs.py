"""The log in force, opened."""

from tradecap.cli.output import Output
from tradecap.cli.settings import Settings
from tradecap.flows.records import as_recording
from tradecap.log import open_log, topic_of
from tradecap.log.api import Log
from tradecap.recordings.reading import OwnLog
from tradecap.store.api import TopicAccess


def log_in_force(settings: Settings) -> Log:
    """The log, to be read."""
    return open_log(settings.log.value, kafka=settings.kafka_properties())


def log_to_write(settings: Settings, out: Output, segment_bytes: int, segment_age_s: float, *, create: bool = True) -> Log:
    """The log, to be written; made where it is missing, unless create is False."""
    return open_log(
        settings.log.value,
        create=create,
        segment_bytes=segment_bytes,
        segment_age_s=segment_age_s,
        kafka=settings.kafka_properties(),
        say=out.note,
    )


def own_log(path: str) -> OwnLog:
    """The log in a folder, as a recording."""
    return as_recording(open_log(f"file:{path}"))


def topic_access(log: Log, settings: Settings, *, reads: bool = False) -> TopicAccess | None:
    """What a store that reads the log by itself needs to know of it; None for a log in a folder. reads: the store is going to read."""
    if not log.url.startswith("kafka:"):
        return None
    topic = topic_of(log)
    return TopicAccess(lambda group: topic.group(group).committed(), settings.kafka_properties() if reads else None)
