"""The bytes of one connection: noted when they come, and handed on as whole messages.

`websockets` speaks the protocol. Its way from bytes to a message costs more than all that a capture does with the
message, so what a venue sends by the million, a text in one frame, is cut out of the bytes before they reach it (RFC
6455 §5.2); all else it gets as it came. Rules: the order of messages stays as it came; what isn't such a text is never
judged here.
"""

import time
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

FINAL_TEXT: Final = 0x81
SIZE_16: Final = 126
SIZE_64: Final = 127
"""Where the second byte of a frame is one of these, the size is in the next two bytes, or in the next eight."""
END_OF_HEAD: Final = b"\r\n\r\n"
_BEGINS: Final = (Opcode.TEXT, Opcode.BINARY)


class FeedSocket(ClientConnection):
    """A connection that hands messages on as they come, many at once, without the detour of a task being woken for
    each.

    `data_received` is how asyncio hands bytes over, `process_event` how websockets takes in what its parser made; a
    release that calls it no more would only let long and divided messages come by `recv`.
    """

    recv_ns = 0
    heard_s = 0.0
    deliver: Callable[[list[bytes]], None] | None = None
    _head: bytes | None = b""
    _held = b""
    _passing = 0
    _parts: list[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        self.recv_ns = time.time_ns()
        self.heard_s = time.monotonic()
        if self._head is not None:
            data = self._after_head(self._head + data, len(data))
        if self.protocol.state is State.CONNECTING:
            super().data_received(data)  # of a refusal, whose body has no frames
            return
        data = self._held + data if self._held else data
        at = 0
        while at < len(data):
            if self._passing:
                part = data[at : at + self._passing]
                self._passing -= len(part)
                at += len(part)
                super().data_received(part)
                continue
            if self.deliver is not None and self.protocol.state is State.OPEN:
                texts, at = whole_texts(data, at)
                if texts:
                    self.deliver(texts)
            self._passing = frame_size(data, at)
            if not self._passing:
                break
        self._held = data[at:]

    def _after_head(self, head: bytes, new: int) -> bytes:
        """What comes after the answer to the handshake, of whose bytes the last `new` have just come; they are the
        parser's."""
        end = head.find(END_OF_HEAD)
        after = head[end + len(END_OF_HEAD) :] if end >= 0 else b""
        self._head = None if end >= 0 else head
        super().data_received(head[len(head) - new : len(head) - len(after)])
        return after

    def process_event(self, event: Event) -> None:
        if (
            self.deliver is not None
            and type(event) is Frame
            and (event.opcode in _BEGINS or (self._parts and event.opcode is Opcode.CONT))
        ):
            self._gather(self.deliver, event)
        else:
            super().process_event(event)

    def _gather(self, deliver: Callable[[list[bytes]], None], event: Frame) -> None:
        """A message that the parser read, perhaps in parts: by `recv` it would come after those that were sent
        later."""
        self._parts = [*(self._parts or ()), bytes(event.data)]
        if event.fin:
            whole, self._parts = b"".join(self._parts), None
            deliver([whole])


def whole_texts(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The messages at this place of data, as far as each is one whole frame of text of less than 64 KiB, and where they
    end."""
    texts, length = [], len(data)
    while at + 2 <= length and data[at] == FINAL_TEXT:
        size, begin = data[at + 1], at + 2
        if size == SIZE_16:
            if begin + 2 > length:
                break
            size, begin = data[begin] << 8 | data[begin + 1], begin + 2
        elif size > SIZE_16:
            break
        if begin + size > length:
            break
        at = begin + size
        texts.append(data[begin:at])
    return texts, at


def frame_size(data: bytes, at: int) -> int:
    """The bytes of the frame at this place, whatever it is, its header included; 0 where the header isn't whole. A
    server masks nothing."""
    size = data[at + 1] & 127 if at + 2 <= len(data) else 0
    wide = {SIZE_16: 2, SIZE_64: 8}.get(size, 0)
    if at + 2 + wide > len(data):
        return 0
    return 2 + wide + (int.from_bytes(data[at + 2 : at + 2 + wide]) if wide else size)
