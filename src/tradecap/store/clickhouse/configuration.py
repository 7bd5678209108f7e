"""What an embedded engine is started with so that it can read a topic: a file, because the store's folder would keep a
statement with its secrets.

Rule: only this user can read the file, and it is gone once the engine has started.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from xml.sax.saxutils import escape

EMBEDDED: Final = "tradecap_embedded"
"""The named collection of an embedded store."""
SESSION_MS: Final = "6000"
"""After a kill -9 the partitions stand still for as long as this; ClickHouse's own value is 45 s."""


@contextmanager
def configuration(properties: Mapping[str, str], instance: str) -> Iterator[str]:
    """A configuration file with the named collection of an embedded store, which only this user can read; gone
    afterwards.

    instance names this reader: a loader that was killed and starts again takes its partitions back at once. One process
    holds an embedded store, and it has one consumer, so no two readers ever have one name.
    """
    keys = consumer_keys({"group.instance.id": instance} | dict(properties), "")
    entries = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in keys.items())
    with tempfile.NamedTemporaryFile("w", prefix="tradecap-", suffix=".xml") as file:
        file.write(
            f"<clickhouse><named_collections><{EMBEDDED}><kafka>{entries}</kafka></{EMBEDDED}></named_collections></clickhouse>"
        )
        file.flush()
        yield file.name


def consumer_keys(properties: Mapping[str, str], prefix: str) -> dict[str, str]:
    """librdkafka's properties as ClickHouse names them. Without an offset a partition isn't read: see
    log/kafka/group.py."""
    wanted = {"session.timeout.ms": SESSION_MS} | dict(properties) | {"auto.offset.reset": "error"}
    return {f"{prefix}{name.replace('.', '_')}": value for name, value in wanted.items()}
