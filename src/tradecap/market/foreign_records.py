"""Lines and values that aren't records of tradecap, taken for records all the same: every one has an identity, and none
is lost.

Rules: the identity is made of where the bytes are, so it is the same whenever they are read. The SQL makes the same
ones (store/clickhouse/schema/0002_envelope.sql).
"""

import re
from typing import Final

import msgspec

from tradecap.market.records import IDENTITY, Envelope, line_hash

_decode = msgspec.json.Decoder().decode


def orphan_record(line: bytes, log_id: str, partition: int = 0, offset: int | None = None) -> Envelope:
    """An envelope for bytes that aren't a whole record.

    Their identity is what is still readable at their beginning, else it is made of the log and the offset, or in a log
    without offsets the line.
    """
    identity = IDENTITY.match(line)
    if identity:
        return Envelope(identity[1].decode(), int(identity[2]))
    return Envelope(orphan_run(log_id, partition), line_hash(line) if offset is None else offset)


def adopted(value: bytes, log_id: str, partition: int, offset: int, venue: str = "") -> bytes:
    """A value of a log with offsets as a line of the log, without its newline.

    A JSON object on one line that no tradecap wrote is wrapped as the payload of a record: its run stands for (log,
    partition), its seq is the offset, its venue the given one, if any. The SQL does the same
    (store/clickhouse/schema/0002_envelope.sql). Whatever else is in a value comes back as it is.
    """
    if value.startswith(b'{"run":"') or not (value.startswith(b"{") and value.endswith(b"}")) or b"\n" in value:
        return value
    if _EXTREME.search(value) or not _is_json(value):
        return value
    head = b'"venue":"%b",' % venue.encode() if venue else b""
    return b'{"run":"%b","seq":%d,"recv":null,%b"data":%b}' % (
        orphan_run(log_id, partition).encode(),
        offset,
        head,
        value,
    )


_EXTREME: Final = re.compile(rb"(?:[\[{][^\[{\]}]*+){100}|[0-9]{200}|[0-9][eE][+]?[0-9]{3}")
"""What parsers disagree about: a hundred brackets that open without one that closes, and numbers beyond any
machine's."""


def _is_json(value: bytes) -> bool:
    try:
        _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def orphan_run(log_id: str, partition: int) -> str:
    """The UUIDv8 that stands for `run` where another producer wrote without an envelope: made of (log id,
    partition)."""
    return f"{log_id[:14]}8{log_id[15:28]}{partition & 0xFFFFFFFF:08x}"
