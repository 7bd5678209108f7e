"""The log behind a URL: `file:PATH` (a folder of NDJSON segments)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tradecap.errors import TradecapError
from tradecap.log.api import Log
from tradecap.log.folder.log import SEGMENT_AGE_S, SEGMENT_BYTES, FileLog
from tradecap.log.folder.manifests import Read, Repaired, rebuild
from tradecap.urls import mask_url

if TYPE_CHECKING:
    from tradecap.log.kafka.log import KafkaLog

NO_PROPERTIES: Final[Mapping[str, str]] = MappingProxyType({})


def open_log(
    url: str,
    *,
    create: bool = False,
    segment_bytes: int = SEGMENT_BYTES,
    segment_age_s: float = SEGMENT_AGE_S,
    kafka: Mapping[str, str] = NO_PROPERTIES,
    venue: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Log:
    """The log behind a URL. Segments (of a folder that is written) are closed at segment_bytes or after segment_age_s.

    kafka: librdkafka's properties for a log in a topic. venue: the venue of messages in it that tradecap didn't write.
    say: called with a note about a topic that was made, or a broker that is waited for.

    Raises TradecapError where there is no log (or it isn't one) and create is False.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "file" and (path := rest.removeprefix("//")):
        return FileLog(Path(path), create=create, segment_bytes=segment_bytes, segment_age_s=segment_age_s)
    if scheme == "kafka":
        from tradecap.log.kafka.log import KafkaLog  # not before it is wanted: librdkafka takes its time

        return KafkaLog(url, kafka, create=create, say=say, venue=venue)
    raise TradecapError(
        f"{mask_url(url)!r} isn't a log URL.", "a log is written file:PATH, for example --log file:./tradecap-data/log"
    )


def rebuild_manifests(log: Log, read: Read, progress: Callable[[int], None]) -> list[Repaired]:
    """Make lost and wrong manifests of a log in a folder again. Raises TradecapError for a log that has no
    manifests."""
    if not isinstance(log, FileLog):
        raise TradecapError(f"{log.url} has no manifests.", "only a log in a folder has: --log file:PATH")
    return rebuild(log, read, progress)


def topic_of(log: Log) -> "KafkaLog":
    """The log as a topic, which a database may read by itself. Raises TradecapError for a log that isn't one."""
    from tradecap.log.kafka.log import KafkaLog

    if not isinstance(log, KafkaLog):
        raise TradecapError(
            f"{log.url} isn't a topic, so ClickHouse can't read it by itself.",
            "leave out --feed kafka, or name a topic: --log kafka://host:port/topic",
        )
    return log
