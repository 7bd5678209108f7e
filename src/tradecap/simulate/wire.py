"""The wire: one TCP connection, first HTTP/1.1 (h11), and after an upgrade a WebSocket (websockets, without its I/O).

Rules: only whole frames are written, so an answer never falls into the middle of a message. Frames of streams come ready-made from the hub and are
written together, once a turn. What a client sends is small; what it doesn't read is bounded (`max_behind`): above that it is cut, without a close
frame, as nothing can be said to who doesn't listen. A silent socket keeps its TCP connection and says nothing any more, not even to pings.
"""

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol, cast

import h11
from websockets.datastructures import Headers
from websockets.exceptions import InvalidState, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from tradecap.simulate.limits import Incoming, Rules
from tradecap.simulate.rest import Answer
from tradecap.simulate.subscriptions import Session, reply

MAX_MESSAGE: Final = 64 * 1024
"""Bytes of a client's message or request line: 1024 streams with long names fit."""
CLOSE_TIMEOUT_S: Final = 5.0
HIGH_WATER: Final = 1024 * 1024
"""Bytes a client may be behind before the exchange takes notice."""


class Host(Protocol):
    """The exchange as its connections see it."""

    rules: Rules
    max_behind: int
    dirty: "list[Socket]"
    """Sockets with something to flush."""

    def now_s(self) -> float:
        """The clock of limits and pings, scaled."""

    def admits(self, wire: "Wire") -> bool:
        """A TCP connection was made; whether it may stay."""

    def left(self, wire: "Wire") -> None:
        """It is gone."""

    def upgrade(self, wire: "Wire", target: str) -> Session | Answer:
        """A client wants a WebSocket: the session it gets, or the answer it gets instead."""

    def answer(self, wire: "Wire", method: str, target: str, headers: Mapping[str, str]) -> tuple[Answer, float]:
        """The answer to a request, and how many seconds it takes."""

    def joined(self, socket: "Socket") -> None:
        """A WebSocket was opened."""

    def asked(self, socket: "Socket") -> None:
        """Its session may have changed."""

    def parted(self, socket: "Socket") -> None:
        """It hears nothing from now on."""

    def behind(self, socket: "Socket", is_behind: bool) -> None:
        """It fell behind in reading, or has caught up."""

    def cut(self, socket: "Socket") -> None:
        """It is too far behind."""

    def too_many(self, socket: "Socket") -> None:
        """It said too much in a second."""


class Wire(asyncio.Protocol):
    """A TCP connection to the host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_MESSAGE)
        self._request: h11.Request | None = None
        self._delay: asyncio.TimerHandle | None = None
        self.socket: Socket | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        peer = self.transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if not self._host.admits(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if self._delay:
            self._delay.cancel()
        if self.socket:
            self.socket.lost()
        self._host.left(self)

    def pause_writing(self) -> None:
        if self.socket:
            self._host.behind(self.socket, True)

    def resume_writing(self) -> None:
        if self.socket:
            self._host.behind(self.socket, False)

    def data_received(self, data: bytes) -> None:
        if self.socket:
            self.socket.received(data)
            return
        try:
            self._http.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._refuse(error)

    def eof_received(self) -> bool:
        return False

    # ---- HTTP ----

    def _read(self) -> None:
        while self.socket is None and self._delay is None:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                self._respond(self._request)
            elif isinstance(event, h11.ConnectionClosed):
                self.transport.close()
                return

    def _respond(self, request: h11.Request) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        method, target = request.method.decode("latin-1"), request.target.decode("latin-1")
        if "websocket" in headers.get("upgrade", "").lower():
            found = self._host.upgrade(self, target)
            if isinstance(found, Session):
                self._switch(request, target, found)
                return
            answer, delay_s = found, 0.0
        else:
            answer, delay_s = self._host.answer(self, method, target, headers)
        if delay_s > 0:
            self.transport.pause_reading()
            self._delay = asyncio.get_running_loop().call_later(delay_s, self._send_late, answer)
        else:
            self._send(answer)

    def _send_late(self, answer: Answer) -> None:
        self._delay = None
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self._send(answer)
            self._read()

    def _send(self, answer: Answer) -> None:
        if self.transport.is_closing():
            return
        is_head = self._request is not None and self._request.method == b"HEAD"
        kind = "application/json;charset=UTF-8" if answer.body[:1] in (b"{", b"[") else "text/html"
        headers = [("Content-Type", kind), ("Content-Length", str(len(answer.body))), ("Date", formatdate(usegmt=True)), *answer.headers]
        reason = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else ""
        sent = self._http.send(h11.Response(status_code=answer.status, headers=headers, reason=reason.encode())) or b""
        if not is_head:
            sent += self._http.send(h11.Data(data=answer.body)) or b""
        sent += self._http.send(h11.EndOfMessage()) or b""
        self.transport.write(sent)
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            self.transport.close()
        elif self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._request = None
            self._send(Answer(error.error_status_hint, b"<html><body>bad request</body></html>", (("Connection", "close"),)))
        self.transport.close()

    # ---- WebSocket ----

    def _switch(self, request: h11.Request, target: str, session: Session) -> None:
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers])
        response = ServerProtocol().accept(Request(target, headers))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._send(Answer(response.status_code, bytes(response.body or b"")))
            return
        self.transport.write(response.serialize())
        rest, _ = self._http.trailing_data
        self.socket = Socket(self, self._host, session)
        self._host.joined(self.socket)
        if rest:
            self.socket.received(rest)


class Socket:
    """A WebSocket connection and what it asked for."""

    def __init__(self, wire: Wire, host: Host, session: Session) -> None:
        self.session = session
        self.opened_s = self.pinged_s = host.now_s()
        self.pings: dict[bytes, float] = {}
        self.is_silent = False
        self.is_open = True
        self.sent = 0
        self._wire, self._host = wire, host
        self._protocol = ServerProtocol(state=State.OPEN, max_size=MAX_MESSAGE)
        self._incoming = Incoming(host.rules.incoming_per_second)
        self._outbox: list[bytes] = []
        self._parts: list[bytes] = []
        self._timeout: asyncio.TimerHandle | None = None
        self._last_ping = 0
        self.number = 0

    @property
    def address(self) -> str:
        return self._wire.address

    # ---- out ----

    def put(self, frame: bytes) -> None:
        """Take a frame to be sent with the next flush."""
        if not self._outbox:
            self._host.dirty.append(self)
        self._outbox.append(frame)

    def flush(self) -> None:
        """Write what was put."""
        frames, self._outbox = self._outbox, []
        if not self.is_open or self.is_silent or not frames:
            return
        self.sent += len(frames)
        transport = self._wire.transport
        transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if transport.get_write_buffer_size() > self._host.max_behind:
            self._host.cut(self)

    def ping(self, time_ms: int, now_s: float) -> None:
        """Ask for a pong. The payload is the exchange's time, but never twice the same, or an old pong would answer a new ping."""
        self._last_ping = max(self._last_ping + 1, time_ms)
        payload = b"%d" % self._last_ping
        self.pinged_s = now_s
        self.pings[payload] = now_s
        if self.is_open and not self.is_silent:
            self._protocol.send_ping(payload)
            self._write()

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; who doesn't answer it within 5 s is cut."""
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
        """End without a close frame; `broken` is the beginning of a frame that never ends."""
        self._stop()
        transport = self._wire.transport
        if broken and not self.is_silent:
            transport.write(broken)
            transport.close()
        else:
            transport.abort()

    def hush(self) -> None:
        """Go silent: half open."""
        self.is_silent = True
        self._outbox.clear()

    def _stop(self) -> None:
        if self.is_open:
            self.is_open = False
            self._host.parted(self)

    def _write(self) -> None:
        transport = self._wire.transport
        for data in self._protocol.data_to_send():
            if data:
                transport.write(data)
            else:
                transport.close()

    def lost(self) -> None:
        """The TCP connection is gone."""
        if self._timeout:
            self._timeout.cancel()
        self._stop()

    # ---- in ----

    def received(self, data: bytes) -> None:
        if self.is_silent:
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        if not self.is_silent:
            self._write()
        if self._protocol.state is not State.OPEN:
            self._stop()

    def _frame(self, frame: Frame) -> None:
        if not self.is_open or frame.opcode is Opcode.CLOSE:
            return
        if not self._incoming.count(self._host.now_s()):
            self._host.too_many(self)
            return
        if frame.opcode is Opcode.PONG:
            self.pings.pop(bytes(frame.data), None)
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._parts.append(bytes(frame.data))
            if frame.fin:
                text, self._parts = b"".join(self._parts), []
                self._answer(text)

    def _answer(self, text: bytes) -> None:
        answer = reply(self.session, text.decode(errors="replace"))
        self._protocol.send_text(answer)
        self._write()
        self._host.asked(self)
