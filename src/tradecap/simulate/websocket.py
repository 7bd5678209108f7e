"""The exchange's end of a WebSocket: frames out, requests in, its end (the package websockets, without its I/O).

Rules: only whole frames are written, so an answer never falls into the middle of a message. The hub hands over finished
frames; they are written together, once a turn of the loop. A client that doesn't read is cut, without a close frame,
when `max_behind` bytes wait for it. A silent socket keeps its TCP connection and sends nothing any more, not even
pongs.
"""

import asyncio
from typing import Final, Protocol

from websockets.exceptions import InvalidState, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from tradecap.simulate.limits import Incoming
from tradecap.simulate.settings import ExchangeSettings
from tradecap.simulate.subscriptions import Session, reply

MAX_MESSAGE: Final = 64 * 1024
"""The most bytes of a client's message or request line: 1024 streams with long names fit."""
CLOSE_TIMEOUT_S: Final = 5.0


class TcpConnection(Protocol):
    """The TCP connection that a WebSocket runs on."""

    address: str
    transport: asyncio.Transport

    def write(self, data: bytes) -> None:
        """Write, unless the connection is ending."""

    def hang_up(self) -> None:
        """End it when everything is written."""


class Abortable(Protocol):
    """Something that can be cut: a WebSocket or a TCP connection."""

    def abort(self) -> None:
        """End it at once."""


class WebSocketHost(Protocol):
    """The exchange, as its WebSockets see it."""

    settings: ExchangeSettings
    dirty: "list[WebSocket]"
    """Sockets with something to flush."""

    def now_s(self) -> float:
        """The clock of limits and pings, scaled."""

    def session_changed(self, socket: "WebSocket") -> None:
        """Its session may have changed."""

    def parted(self, socket: "WebSocket") -> None:
        """Nothing can be sent to it any more."""

    def cut(self, connection: Abortable) -> None:
        """It is too far behind in reading."""

    def too_many(self, socket: "WebSocket") -> None:
        """It sent too much in a second."""


class WebSocket:
    """A WebSocket of a client, with what it subscribed to."""

    def __init__(self, connection: TcpConnection, host: WebSocketHost, session: Session) -> None:
        self.session = session
        self.opened_s = self.pinged_s = host.now_s()
        self.pings: dict[bytes, float] = {}
        self.is_silent = False
        self.is_open = True
        self.sent = 0
        self._connection, self._host = connection, host
        self._protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE)
        self._incoming = Incoming(host.settings.rules.incoming_per_second)
        self._outbox: list[bytes] = []
        self._parts: list[bytes] = []
        self._timeout: asyncio.TimerHandle | None = None
        self._last_ping = 0
        self.number = 0

    @property
    def address(self) -> str:
        return self._connection.address

    # ---- out ----

    def put(self, frame: bytes) -> None:
        """Take a frame to be sent with the next flush."""
        if not self._outbox:
            self._host.dirty.append(self)
        self._outbox.append(frame)

    def flush(self) -> None:
        """Write the frames that were put."""
        frames, self._outbox = self._outbox, []
        if not self.is_open or self.is_silent or not frames:
            return
        self.sent += len(frames)
        self._connection.write(frames[0] if len(frames) == 1 else b"".join(frames))
        self._bound()

    def _bound(self) -> None:
        if self.is_open and self._connection.transport.get_write_buffer_size() > self._host.settings.max_behind:
            self._host.cut(self)

    def ping(self, time_ms: int, now_s: float) -> None:
        """Ask for a pong.

        The payload is the exchange's time, but never the same twice: an old pong must not answer a new ping.
        """
        self._last_ping = max(self._last_ping + 1, time_ms)
        payload = b"%d" % self._last_ping
        self.pinged_s = now_s
        self.pings[payload] = now_s
        if self.is_open and not self.is_silent:
            self._protocol.send_ping(payload)
            self._write()

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame. A client that doesn't answer it within CLOSE_TIMEOUT_S is cut."""
        if not self.is_open or self.is_silent:
            self.abort()
            return
        self.flush()
        try:
            self._protocol.send_close(code, reason)
        except (InvalidState, ProtocolError):
            # codes that may not be sent (1005, 1006, 1015), or a close under way
            self.abort()
            return
        self._stop()
        self._write()
        self._timeout = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    def abort(self, broken: bytes = b"") -> None:
        """End without a close frame. broken: the beginning of a frame that never ends, sent before."""
        self._stop()
        transport = self._connection.transport
        if broken and not self.is_silent:
            self._connection.write(broken)
            self._connection.hang_up()
        else:
            transport.abort()

    def silence(self) -> None:
        """Send nothing from now on, and keep the TCP connection: half open."""
        self.is_silent = True
        self._outbox.clear()

    def _stop(self) -> None:
        if self.is_open:
            self.is_open = False
            self._host.parted(self)

    def _write(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._connection.write(data)
            else:
                self._connection.hang_up()
        self._bound()

    def lost(self) -> None:
        """The TCP connection is gone."""
        if self._timeout:
            self._timeout.cancel()
        self._stop()

    # ---- in ----

    def received(self, data: bytes) -> None:
        """Take in bytes of the client."""
        if self.is_silent:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        if not self.is_silent:
            self._write()
        if self._protocol.state is not State.OPEN and self.is_open:
            self._stop()
            self._timeout = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    def _frame(self, frame: Frame) -> None:
        if not self.is_open or frame.opcode is Opcode.CLOSE:
            return
        if not self._incoming.count(self._host.now_s()):
            self._host.too_many(self)
            return
        if frame.opcode is Opcode.PONG:
            self.pings.pop(bytes(frame.data), None)
        elif frame.opcode is Opcode.BINARY:
            self.close(1003, "Binary frames are not accepted")
        elif frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._parts.append(bytes(frame.data))
            if frame.fin:
                text, self._parts = b"".join(self._parts), []
                self._answer(text)

    def _answer(self, text: bytes) -> None:
        try:
            answer = reply(self.session, text.decode())
        except UnicodeDecodeError:
            self.close(1007, "Invalid UTF-8")
            return
        self._protocol.send_text(answer)
        self._write()
        self._host.session_changed(self)
