"""Lines of a recording that are framed, read and counted one by one, and what collects their records.

Rules: the loop is as tight as can be for what a recording mostly holds: messages that nothing but their own bytes
explains, bare or behind a receive time. What comes of a line is what the plain way makes of it.
"""

from collections.abc import Callable, Iterable
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.replay.choice import Choice
from tradecap.flows.replay.inputs import Input
from tradecap.flows.replay.intake import Intake
from tradecap.flows.replay.items import Item, read_item
from tradecap.flows.run import Run
from tradecap.log.api import Block
from tradecap.market.records import Ignored, Reading, RunWriter, Trade, series_head, source_beginning
from tradecap.recordings.layouts import BARE, BLANKS, Known, framed
from tradecap.recordings.reading import Frame
from tradecap.venues.api import VENUES, by_shape

COLLECTED: Final = 1000
"""Records that are collected at most before they are appended."""


class Sink:
    """Collects the records of a run and appends them in blocks. checkpoint is called after every `each` records of the
    run."""

    def __init__(self, run: Run, checkpoint: Callable[[], None], each: int) -> None:
        self._run, self._checkpoint, self._each = run, checkpoint, each
        self._left = each - run.records % each
        self._records: list[tuple[bytes, Trade | None]] = []
        self.writer = RunWriter(run.id, run.records)
        """Numbers the next record; each that it makes must be added."""

    def add(self, line: bytes, trade: Trade | None) -> None:
        """Take the record that `writer` made last."""
        self._records.append((line, trade))
        if len(self._records) >= min(self._left, COLLECTED):
            self.hand_over()

    def hand_over(self) -> None:
        """Append what was collected."""
        if self._records:
            records, self._records = self._records, []
            self._append(Block.of(records))

    def add_blocks(self, count: int, blocks: Callable[[int, int], Block]) -> None:
        """Take `count` records, numbered from `writer.seq` on; blocks gives those from one to before another."""
        self.hand_over()
        self.writer.seq += count
        first = 0
        while first < count:
            behind = min(count, first + self._left)
            self._append(blocks(first, behind))
            first = behind

    def _append(self, block: Block) -> None:
        self._run.append_many(block)
        self._left -= len(block.ends)
        if not self._left:
            self._left = self._each
            self._checkpoint()


class OneByOne:
    """Writes lines of one input one by one, in a loop as tight as can be. is_full: the limit is reached."""

    def __init__(self, entry: Input, name: bytes, intake: Intake, sink: Sink) -> None:
        self.is_full = False
        self.source_name = entry.source.name
        self._entry, self._name, self._intake, self._sink = entry, name, intake, sink
        self._decode, self._channel, self._is_plain = _reader(intake.choice)
        self._heads: dict[tuple[str, str, str], bytes] = {}

    def write_lines(self, lines: Iterable[bytes], number: int, known: Known) -> bool:
        """Write lines, the first of which has this number; False where the input has ended."""
        replayed, sink, heads, decode = self._intake.replayed, self._sink, self._heads, self._decode
        choice, channel, writer = self._intake.choice, self._channel, sink.writer
        venue, symbol, limit = choice.venue, choice.symbol, choice.limit
        for number, line in enumerate(lines, number):  # noqa: B020 -- counts on from it
            recv_ns, payload = self._usual(line)
            reading = decode(payload, venue, symbol, channel) if payload else None
            if type(reading) is Trade:
                key = reading.venue, reading.symbol, reading.channel
                head = heads.get(key) or heads.setdefault(key, series_head(*key, "ws") + source_beginning(self._name))
                replayed.lines += 1
                replayed.valid += 1
                sink.add(writer.message(recv_ns, head, number, payload), reading)
            elif type(reading) is Ignored:
                replayed.lines += 1
                replayed.ignored[reading.kind] = replayed.ignored.get(reading.kind, 0) + 1
            elif not self._write(self.read(line, number, known)):
                return False
            if replayed.valid == limit:
                self.is_full = True
                return False
        return True

    def _usual(self, line: bytes) -> tuple[int | None, bytes]:
        """Receive time and payload of a line that nothing but its own bytes explains; b"" for any other one."""
        if not self._is_plain or line[-1:] != b"}":
            return None, b""
        if line[:5] in BARE:
            return None, line
        if line[19:20] == b" " and line[20:25] in BARE and line[:19].isdigit() and (recv_ns := int(line[:19])) < 2**63:
            return recv_ns, line[20:]
        return None, b""

    def read(self, line: bytes, number: int, known: Known) -> tuple[Frame, Item] | TradecapError | None:
        """What a line of any kind is; None where it holds no message. The error: why the input ends before it."""
        try:
            each = framed(stripped, number, known) if (stripped := line.strip(BLANKS)) else None
        except TradecapError as problem:
            return problem
        return self._read(each) if each and each.payload else None

    def _read(self, each: Frame) -> tuple[Frame, Item] | TradecapError:
        item = read_item(each, self._name, self._intake.choice)
        return self._intake.ends(self.source_name, each, item.reading) or (each, item)

    def write_frame(self, each: Frame) -> bool:
        """Write one message; False where the input has ended."""
        return self._write(self._read(each))

    def end(self, why: TradecapError) -> None:
        """Note why the input has ended."""
        self._entry.problem = why

    def _write(self, found: tuple[Frame, Item] | TradecapError | None) -> bool:
        if isinstance(found, TradecapError):
            self.end(found)
            return False
        if found is not None and self._intake.is_logged(*found):
            item = found[1]
            line = self._sink.writer.record(item.recv_ns, item.head, item.tail)
            self._sink.add(line, item.reading if type(item.reading) is Trade else None)
            self.is_full = self._intake.replayed.valid == self._intake.choice.limit
        return not self.is_full


def _reader(choice: Choice) -> tuple[Callable[[bytes, str, str, str], Reading], str, bool]:
    """How messages are decoded that nothing explains, the channel they then have, and whether none of their trades is
    left out."""
    decode = VENUES[choice.venue].decode if choice.venue else by_shape
    return (
        decode,
        "trade" if choice.symbol else "",
        not choice.symbols and choice.from_ns is None and choice.to_ns is None,
    )
