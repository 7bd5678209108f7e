"""What the tests of the log are made of: runs of records, and a few ways to look at a log."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import zstandard

from tradecap.log import open_log
from tradecap.log.api import Log, LogWriter
from tradecap.log.folder.segment import DurableLength, Manifest, Segment
from tradecap.market.batch import Batch, Lines, Position, Positions, Values
from tradecap.market.records import RunWriter, Trade, frame, series_head

MB = 1024 * 1024


def a_trade(trade_id: int = 1, symbol: str = "BTCUSDT") -> Trade:
    """A trade of which only series and id matter here."""
    return Trade("binance", symbol, "trade", trade_id, trade_id, trade_id, 1, 1, 1, 1, True, True)


def records_of(run: str, count: int, *, first_seq: int = 0) -> list[bytes]:
    """count trade records of a run, as lines of a log."""
    writer = RunWriter(run, first_seq)
    head = series_head("binance", "BTCUSDT", "trade", "ws")
    return [
        writer.record(seq, head, frame(b'{"e":"trade","t":%d}' % seq)) for seq in range(first_seq, first_seq + count)
    ]


def an_event(run: str, seq: int, name: str, /, **detail: object) -> bytes:
    """One event record."""
    return RunWriter(run, seq).event(1, name, detail)


def begin(log: Log, *, segment_bytes: int = 64 * MB, segment_age_s: float = 600.0) -> LogWriter:
    """A writer; the settings matter to logs in folders."""
    is_folder = log.url.startswith("file:")
    return (open_log(log.url, segment_bytes=segment_bytes, segment_age_s=segment_age_s) if is_folder else log).writer()


def write_run(log: Log, count: int, *, segment_bytes: int = 64 * MB, ended: bool = True) -> list[bytes]:
    """One whole run of count trades; its lines."""
    with begin(log, segment_bytes=segment_bytes) as writer:
        lines = records_of(writer.run, count)
        for trade_id, line in enumerate(lines):
            writer.append(line, a_trade(trade_id))
        if ended:
            lines.append(an_event(writer.run, count, "ended"))
            writer.append(lines[-1])
    return lines


def lines_of(batches: Iterator[Batch]) -> list[bytes]:
    """The lines in batches, newlines included."""
    return [line for batch in batches for line in texts_of(batch)]


def texts_of(batch: Batch) -> list[bytes]:
    """The records of a batch as lines, newlines included."""
    if isinstance(batch.content, Values):
        return [value + b"\n" for value in batch.content.values]
    assert isinstance(batch.content, Lines)
    return batch.content.text.splitlines(keepends=True)


def after(end: Position) -> Positions:
    """Where to go on after one batch of a log with one partition."""
    return {end.partition: end.at}


def manifest_of(folder: Path, number: int) -> Manifest:
    """The manifest of a closed segment."""
    return msgspec.json.decode((folder / f"{number:06d}.json").read_bytes(), type=Manifest)


def unpack(packed: Path) -> bytes:
    """The bytes of a closed segment."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(packed.read_bytes())


def repack(packed: Path, plain: bytes) -> None:
    """Put other bytes into a closed segment, like a person with a zstd tool, and leave the manifest as it is."""
    packed.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(plain))


def strand(folder: Path, number: int, *, extra: bytes = b"", published: int | None = None) -> bytes:
    """Turn a closed segment back into the active one of a writer that died; extra is what it had written but not
    flushed."""
    segment = Segment(folder, number)
    plain = unpack(segment.packed)
    segment.plain.write_bytes(plain + extra)
    durable = DurableLength(segment)
    durable.publish(len(plain) if published is None else published)
    durable.close()
    segment.packed.unlink()
    segment.manifest.unlink()
    return plain
