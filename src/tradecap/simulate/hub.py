"""Who hears what: streams, and the sockets that subscribed to them.

Rules: a message is framed once for each form it is wanted in (bare or wrapped, milliseconds or microseconds), however many hear it. Nothing is queued
for a stream nobody hears.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from tradecap.market.records import Trade
from tradecap.simulate.messages import in_unit, is_in_micro, text_frame, wrapped
from tradecap.simulate.subscriptions import Session

Form = tuple[bytes | None, bool]
"""The name to wrap a message under (None: bare), and whether its times are in microseconds."""


class Listener(Protocol):
    """A socket that can be told things."""

    session: Session

    def put(self, frame: bytes) -> None:
        """Take a frame to be sent with the next flush."""


class Hub:
    """Streams and their listeners."""

    def __init__(self) -> None:
        self._streams: dict[str, dict[Form, dict[Listener, None]]] = {}
        self._forms: dict[Listener, dict[str, Form]] = {}

    def sync(self, listener: Listener) -> None:
        """Take over what the listener's session now says."""
        session = listener.session
        held = self._forms.setdefault(listener, {})
        wanted = {stream: (stream.encode() if session.is_combined else None, session.is_micro) for stream in session.streams}
        for stream, form in [*held.items()]:
            if wanted.get(stream) != form:
                self._drop(listener, stream, form)
                del held[stream]
        for stream, form in wanted.items():
            if stream not in held:
                self._streams.setdefault(stream, {}).setdefault(form, {})[listener] = None
                held[stream] = form

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        for stream, form in self._forms.pop(listener, {}).items():
            self._drop(listener, stream, form)

    def _drop(self, listener: Listener, stream: str, form: Form) -> None:
        forms = self._streams[stream]
        del forms[form][listener]
        if not forms[form]:
            del forms[form]
        if not forms:
            del self._streams[stream]

    def streams(self) -> Iterable[str]:
        """The streams that somebody hears."""
        return self._streams.keys()

    def count(self) -> int:
        """How many streams somebody hears."""
        return len(self._streams)

    def hears(self, stream: str) -> bool:
        return stream in self._streams

    def say(self, stream: str, payload: bytes, trade: Trade | None = None) -> int:
        """Tell a message to all who hear its stream; how many."""
        forms = self._streams.get(stream)
        if forms is None:
            return 0
        heard = 0
        recorded = None if trade is None else is_in_micro(payload)
        for (name, micro), listeners in forms.items():
            body = payload if recorded is None or recorded == micro else in_unit(payload, trade, micro)
            frame = text_frame(body if name is None else wrapped(name, body))
            for listener in listeners:
                listener.put(frame)
            heard += len(listeners)
        return heard

    def say_each(self, stream: str, make: Callable[[bool], bytes]) -> None:
        """As `say`, for a message that is made in the unit that is wanted."""
        for (name, micro), listeners in self._streams.get(stream, {}).items():
            body = make(micro)
            frame = text_frame(body if name is None else wrapped(name, body))
            for listener in listeners:
                listener.put(frame)
