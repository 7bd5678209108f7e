"""One TCP connection of a client: HTTP/1.1 first (h11), and after an upgrade a WebSocket.

Rules: what waits for a client that doesn't read is bounded. A request is answered only while less than HIGH_WATER bytes
wait, and a client that then reads nothing for `patience_s` is cut. A request must arrive completely within `request_s`;
an idle HTTP connection ends after `idle_s`.
"""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol, cast

import h11

from tradecap.simulate.handshake import handshake
from tradecap.simulate.rest import HttpAnswer
from tradecap.simulate.subscriptions import Session
from tradecap.simulate.websocket import CLOSE_TIMEOUT_S, MAX_MESSAGE, WebSocket, WebSocketHost

HIGH_WATER: Final = 1024 * 1024
"""When more bytes wait for a client, it is behind."""


class WireHost(WebSocketHost, Protocol):
    """The exchange, as its connections see it."""

    def admits(self, wire: "Wire") -> bool:
        """A TCP connection was made. Returns whether it may stay."""

    def left(self, wire: "Wire") -> None:
        """It is gone."""

    def upgrade(self, wire: "Wire", target: str) -> Session | HttpAnswer:
        """A client wants a WebSocket. Returns its session, or the answer it gets instead."""

    def answer(self, wire: "Wire", method: str, target: str, headers: Mapping[str, str]) -> tuple[HttpAnswer, float]:
        """The answer to a request, and after how many seconds to send it."""

    def joined(self, socket: WebSocket) -> None:
        """A WebSocket was opened."""

    def behind(self, socket: WebSocket, is_behind: bool) -> None:
        """It fell behind in reading, or has caught up."""


class Wire(asyncio.Protocol):
    """A TCP connection to the exchange."""

    def __init__(self, host: WireHost) -> None:
        self._host = host
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_MESSAGE)
        self._request: h11.Request | None = None
        self._delay: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_half_sent = self._is_full = False
        self.socket: WebSocket | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER)
        peer = self.transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if self._host.admits(self):
            self._await_request()
        else:
            self.transport.abort()

    def fileno(self) -> int:
        """The number of its file descriptor."""
        return int(self.transport.get_extra_info("socket").fileno())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if self._delay:
            self._delay.cancel()
        self._set_timer(None)
        if self.socket:
            self.socket.lost()
        self._host.left(self)

    def pause_writing(self) -> None:
        if self.socket:
            self._host.behind(self.socket, True)
        else:
            self._is_full = True
            self.transport.pause_reading()
            self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        if self.socket:
            self._host.behind(self.socket, False)
        else:
            self._is_full = False
            if self.transport.is_closing():
                return
            self.transport.resume_reading()
            self._set_timer(None)
            self._advance()

    def data_received(self, data: bytes) -> None:
        if self.socket:
            self.socket.received(data)
            return
        self._advance(data)

    def eof_received(self) -> bool:
        return False

    # ---- the end ----

    def write(self, data: bytes) -> None:
        """Write, unless the connection is ending: asyncio would warn."""
        if not self.transport.is_closing():
            self.transport.write(data)

    def hang_up(self) -> None:
        """End the connection when everything is written. A client that doesn't read it in time is cut."""
        self.transport.close()
        self._set_timer(CLOSE_TIMEOUT_S, self.transport.abort)

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()

    def _set_timer(self, seconds: float | None, action: Callable[[], object] = bool) -> None:
        """Replace the one timer of this connection. None: no timer."""
        if self._timer:
            self._timer.cancel()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, action)

    def _await_request(self) -> None:
        """Wait for the next request, or for the rest of one. Its time runs from its first byte."""
        is_half_sent = bool(self._http.trailing_data[0]) or self._http.their_state is h11.SEND_BODY
        if is_half_sent and self._is_half_sent:
            return
        self._is_half_sent = is_half_sent
        self._set_timer(self._host.settings.request_s if is_half_sent else self._host.settings.idle_s, self._give_up)

    def _give_up(self) -> None:
        if self._is_half_sent and self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._request = None
            self._send(
                HttpAnswer(
                    408,
                    b"<html><body>the request did not arrive completely in time</body></html>",
                    (("Connection", "close"),),
                )
            )
        self.hang_up()

    def _watch_reader(self, before: int) -> None:
        """Cut a client that has read nothing since `before` bytes waited for it."""

        def look() -> None:
            left = self.transport.get_write_buffer_size()
            if left >= before:
                self._host.cut(self)
            else:
                self._watch_reader(left)

        self._set_timer(self._host.settings.patience_s, look)

    # ---- HTTP ----

    def _advance(self, data: bytes = b"") -> None:
        """Take in data and answer the requests that are complete."""
        try:
            if data:
                self._http.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._refuse(error)

    def _read(self) -> None:
        while self.socket is None and self._delay is None and not self._is_full and not self.transport.is_closing():
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                self._await_request()
                return
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                self._respond(self._request)
            elif isinstance(event, h11.ConnectionClosed):
                self.hang_up()
                return

    def _respond(self, request: h11.Request) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        method, target = request.method.decode("latin-1"), request.target.decode("latin-1")
        self._is_half_sent = False
        self._set_timer(None)
        if "websocket" in headers.get("upgrade", "").lower():
            greeting = handshake(request, target)
            found = greeting if isinstance(greeting, HttpAnswer) else self._host.upgrade(self, target)
            if isinstance(greeting, bytes) and isinstance(found, Session):
                self._switch(greeting, found)
                return
            assert isinstance(found, HttpAnswer)
            answer, delay_s = found, 0.0
        else:
            answer, delay_s = self._host.answer(self, method, target, headers)
        if delay_s > 0:
            self.transport.pause_reading()
            self._delay = asyncio.get_running_loop().call_later(delay_s, self._send_late, answer)
        else:
            self._send(answer)

    def _send_late(self, answer: HttpAnswer) -> None:
        self._delay = None
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self._send(answer)
            self._advance()

    def _send(self, answer: HttpAnswer) -> None:
        if self.transport.is_closing():
            return
        is_head = self._request is not None and self._request.method == b"HEAD"
        kind = "application/json;charset=UTF-8" if answer.body[:1] in (b"{", b"[") else "text/html"
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(answer.body))),
            ("Date", formatdate(usegmt=True)),
            *answer.headers,
        ]
        reason = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else ""
        sent = self._http.send(h11.Response(status_code=answer.status, headers=headers, reason=reason.encode())) or b""
        if not is_head:
            sent += self._http.send(h11.Data(data=answer.body)) or b""
        sent += self._http.send(h11.EndOfMessage()) or b""
        self.write(sent)
        if self._http.our_state is h11.MUST_CLOSE or self._http.their_state is h11.MUST_CLOSE:
            self.hang_up()
        elif self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._request = None
            self._send(
                HttpAnswer(
                    error.error_status_hint, b"<html><body>bad request</body></html>", (("Connection", "close"),)
                )
            )
        self.hang_up()

    # ---- WebSocket ----

    def _switch(self, greeting: bytes, session: Session) -> None:
        self.write(greeting)
        rest, _ = self._http.trailing_data
        self.socket = WebSocket(self, self._host, session)
        self._host.joined(self.socket)
        if rest:
            self.socket.received(rest)
