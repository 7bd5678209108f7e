"""Streams, and the sockets that subscribed to them.

Rules: a message is framed once for each form it is wanted in (bare or wrapped, milliseconds or microseconds), however
many sockets get it. Nothing is queued for a stream without subscribers.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from tradecap.market.records import Trade
from tradecap.simulate.messages import in_unit, is_in_micro, text_frame, wrapped
from tradecap.simulate.subscriptions import Session


class MessageForm(NamedTuple):
    """How a listener wants a stream's messages. wrapped_as: the stream name in the wrapper, None for bare messages."""

    wrapped_as: bytes | None
    is_micro: bool


class StreamListener(Protocol):
    """A socket that messages can be sent to."""

    session: Session

    def put(self, frame: bytes) -> None:
        """Take a frame to be sent with the next flush."""


class Hub:
    """Streams and their listeners."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[MessageForm, dict[StreamListener, None]]] = {}
        self._forms: dict[StreamListener, dict[str, MessageForm]] = {}

    def update(self, listener: StreamListener) -> None:
        """Take over the subscriptions of the listener's session."""
        session = listener.session
        held = self._forms.setdefault(listener, {})
        wanted = {
            stream: MessageForm(stream.encode() if session.is_combined else None, session.is_micro)
            for stream in session.streams
        }
        for stream, form in [*held.items()]:
            if wanted.get(stream) != form:
                self._drop(listener, stream, form)
                del held[stream]
        for stream, form in wanted.items():
            if stream not in held:
                self._streams.setdefault(stream, {}).setdefault(form, {})[listener] = None
                held[stream] = form

    def remove(self, listener: StreamListener) -> None:
        """Forget a listener."""
        for stream, form in self._forms.pop(listener, {}).items():
            self._drop(listener, stream, form)

    def _drop(self, listener: StreamListener, stream: str, form: MessageForm) -> None:
        forms = self._streams[stream]
        del forms[form][listener]
        if not forms[form]:
            del forms[form]
        if not forms:
            del self._streams[stream]

    def streams(self) -> Iterable[str]:
        """The streams with subscribers."""
        return self._streams.keys()

    def count(self) -> int:
        """How many streams have subscribers."""
        return len(self._streams)

    def has_listeners(self, stream: str) -> bool:
        return stream in self._streams

    def send(self, stream: str, payload: bytes, trade: Trade | None = None) -> int:
        """Put a message to all listeners of its stream. Returns how many they are."""
        forms = self._streams.get(stream)
        if forms is None:
            return 0
        receivers = 0
        recorded = None if trade is None else is_in_micro(payload)
        for (name, micro), listeners in forms.items():
            body = payload if recorded is None or recorded == micro else in_unit(payload, trade, micro)
            frame = text_frame(body if name is None else wrapped(name, body))
            for listener in listeners:
                listener.put(frame)
            receivers += len(listeners)
        return receivers

    def send_made(self, stream: str, make: Callable[[bool], bytes]) -> None:
        """As `send`, for a message that is made in the unit that is wanted (True: microseconds)."""
        for (name, micro), listeners in self._streams.get(stream, {}).items():
            body = make(micro)
            frame = text_frame(body if name is None else wrapped(name, body))
            for listener in listeners:
                listener.put(frame)
