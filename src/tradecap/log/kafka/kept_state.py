"""The state of `process` in its compacted topic: read to the offset that is committed, or refused.

Rules: with each transaction the state says which version, log and offset it is of. State that is older than the
committed offset is incomplete until the transactions of its partition are decided; after that it is lost. Nothing
begins with a part of it.
"""

import time
from collections.abc import Mapping
from typing import Final

import msgspec
from confluent_kafka import Message

from tradecap.errors import TradecapError
from tradecap.log.kafka.cluster import Cluster, Extent
from tradecap.log.kafka.reader import read_alone
from tradecap.market.batch import BEGINNING

SETTLED_S: Final = 120.0
"""How long an undecided transaction of another process is waited for: longer than a broker takes to end it."""
_POSITION: Final = b'["position"]'
_OVER: Final = "see docs/processing.md, 'Starting over'."

State = Mapping[bytes, bytes]


class _At(msgspec.Struct):
    """What the state of a partition is of."""

    version: int
    log: str
    offset: int


class KeptState:
    """The topic that holds the state of a log's partitions. version: of the state's form."""

    def __init__(self, cluster: Cluster, log_id: str, version: int) -> None:
        self._cluster, self._log_id, self._version = cluster, log_id, version
        self._topic = cluster.address.topic

    def position(self, offset: int) -> tuple[bytes, bytes]:
        """The key and the value that record the offset the state belongs to."""
        return _POSITION, msgspec.json.encode(_At(self._version, self._log_id, offset))

    def restored(self, partition: int, committed: int) -> tuple[int, State]:
        """The offset that the state of a partition is of (-1: there is none), and the state. Raises TradecapError where
        it isn't of `committed`."""
        reading = _Reading(self._cluster, partition)
        until_s = time.monotonic() + SETTLED_S
        while (at := self._offset(reading.read())) < committed:
            is_final = time.monotonic() >= until_s or not self._cluster.undecided(partition)
            if is_final and (at := self._offset(reading.read())) < committed:
                raise self._lost(partition, at, committed)
            time.sleep(0.1)
        return at, {key: value for key, value in reading.state.items() if key != _POSITION}

    def _offset(self, state: State) -> int:
        """The offset that a state is of; -1 of an empty one. Raises TradecapError for a state that this program can't
        go on with."""
        if _POSITION not in state:
            return -1
        at = msgspec.json.decode(state[_POSITION], type=_At)
        if at.version > self._version:
            message = (
                f"Topic {self._topic} holds state of version {at.version}, and this tradecap knows {self._version}."
            )
            raise TradecapError(message, "upgrade: pip install -U tradecap")
        if at.log != self._log_id:
            raise TradecapError(
                f"Topic {self._topic} holds the state of another log: the log's topic was made again.", _OVER
            )
        return at.offset

    def _lost(self, partition: int, at: int, committed: int) -> TradecapError:
        has = "holds no state" if at < 0 else f"holds the state of offset {at}"
        place = f"{self._topic}/{partition}"
        return TradecapError(
            f"{place} {has}, and {committed} is committed: the state was lost, so a repeat would "
            "be taken for a new trade.",
            _OVER,
        )


class _Reading:
    """The state of a partition as far as it is committed."""

    def __init__(self, cluster: Cluster, partition: int) -> None:
        self._cluster, self._partition = cluster, partition
        self._at = -1
        self.state: dict[bytes, bytes] = {}

    def read(self) -> State:
        """What is there now."""
        extent = self._cluster.extents()[self._partition]
        begin = max(self._at, extent.first)
        if extent.end > begin:
            until = {self._partition: Extent(extent.first, extent.end)}
            after = BEGINNING if self._at < 0 else {self._partition: str(begin)}
            for _ in read_alone(self._cluster, after, None, lambda _: None, until, self._see):
                pass
            self._at = extent.end
        return self.state

    def _see(self, message: Message) -> None:
        key, value = message.key(), message.value()
        assert isinstance(key, bytes)
        if value is None:
            self.state.pop(key, None)
        else:
            self.state[key] = value if isinstance(value, bytes) else value.encode()
