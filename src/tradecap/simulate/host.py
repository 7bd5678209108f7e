"""What a connection needs of the exchange it belongs to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from tradecap.simulate.limits import Rules
from tradecap.simulate.rest import Answer
from tradecap.simulate.subscriptions import Session

if TYPE_CHECKING:
    from tradecap.simulate.wire import Socket, Wire


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
