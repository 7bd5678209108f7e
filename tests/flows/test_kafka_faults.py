"""What goes wrong at a broker while a topic is written and read: it goes away, the topic is made again, addresses don't
answer."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.exchange import until as until_within
from tests.flows.builders import begun, failures, load, never, quietly, replayed, some_messages
from tests.kafka.broker import Broker
from tests.kafka.client import Kafka
from tests.kafka.installation import Installation
from tests.store.conftest import server as server
from tradecap.errors import Exit, TradecapError
from tradecap.flows import load as loading
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.kafka import cluster, presence
from tradecap.log.kafka.client import TopicGoneError
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.kafka
PROGRAM = str(Path(sys.executable).with_name("tradecap"))


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something, also on a busy machine."""
    until_within(is_so, 90)


@pytest.fixture
def log(kafka: Kafka, topic: str) -> Log:
    """A log in an empty topic of four partitions."""
    return open_log(kafka.url(topic))


def made_again(kafka: Kafka, topic: str, messages: int = 0) -> Log:
    """Delete a topic, make it again, and have another program write into each partition."""
    kafka.delete_topic(topic)
    kafka.new_topic(topic)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(messages):
        producer.produce(topic, some_messages([number])[0], partition=number % 4)
    producer.flush()
    return open_log(kafka.url(topic))


class Aside:
    """Something that runs in a thread until it ends or fails."""

    def __init__(self, work: Callable[[Callable[[], bool]], object]) -> None:
        self.problem: BaseException | None = None
        self.is_going = threading.Event()
        self.is_going.set()

        def run() -> None:
            try:
                work(self.is_going.is_set)
            except TradecapError as problem:
                self.problem = problem

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def join(self, within_s: float = 40) -> None:
        """Wait for its end."""
        self._thread.join(within_s)
        assert not self._thread.is_alive()


def test_a_loader_refuses_a_topic_that_is_made_again_under_it(
    kafka: Kafka, topic: str, log: Log, store: ClickHouseStore
) -> None:
    """It would go on at the old offsets, file the new records under the old log, and never load the first ones."""
    replayed(log, some_messages(range(40)))
    loader = Aside(lambda follow: loading.load(log, store, follow=follow, stop=never, progress=quietly))
    with closing(store.reader()) as watching:  # the store itself is the loader's
        until(lambda: sum(map(int, watching.positions(log.id).values())) == 42)
    again = made_again(kafka, topic, 400)
    loader.join()
    assert isinstance(loader.problem, TopicGoneError)
    assert "was deleted and made again" in loader.problem.message
    assert loader.problem.exit_code is Exit.UNREACHABLE
    assert store.outcomes() == {"trade": 40, "event": 2}
    assert load(again, store).records == 400


def test_a_follower_refuses_a_topic_that_is_made_again_under_it(kafka: Kafka, topic: str, log: Log) -> None:
    """A live page would show the trades of another topic as if they followed."""
    replayed(log, some_messages(range(40)))
    seen: list[int] = []
    follower = Aside(lambda follow: seen.extend(batch.records for batch in log.read(follow=follow)))
    until(lambda: sum(seen) == 42)
    made_again(kafka, topic, 400)
    follower.join()
    assert isinstance(follower.problem, TopicGoneError)
    assert sum(seen) == 42


def test_a_writer_refuses_a_topic_that_is_made_again_under_it(kafka: Kafka, topic: str, log: Log) -> None:
    """It would acknowledge the second half of a run whose first half is gone."""
    writer = log.writer()
    run = begun(writer, some_messages(range(10)))
    made_again(kafka, topic)
    run.event("alive")
    with pytest.raises(
        TopicGoneError,
        match=r"11 records of run .* were acknowledged by the one "
        r"that is gone",
    ) as error:
        run.flush()
    assert error.value.exit_code is Exit.UNREACHABLE
    writer.close()


def test_a_deleted_topic_ends_a_writer_in_a_bounded_time(
    kafka: Kafka, topic: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer's own time-out would keep a capture for half a minute or two, with no message."""
    monkeypatch.setattr(presence, "LOOK_S", 0.2)
    writer = log.writer()
    run = begun(writer, some_messages(range(10)))
    kafka.delete_topic(topic)
    began_s = time.monotonic()

    def writes() -> None:
        while True:
            run.event("alive")
            run.flush()

    with pytest.raises(TopicGoneError, match="was deleted while"):
        writes()
    assert time.monotonic() - began_s < 60
    writer.close()


def comes_back(broker: Broker, fault: str) -> None:
    """After a while; long enough to be noticed."""
    time.sleep(5)
    if fault == "paused":
        broker.resume()
    else:
        broker.start()


@pytest.mark.parametrize("fault", ["paused", "killed"])
def test_a_loader_and_a_writer_wait_for_a_broker_that_is_away(
    killable_broker: Broker, store: ClickHouseStore, topic_name: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that swaps or restarts for a minute would end the capture and the load, or lose what was
    acknowledged."""
    monkeypatch.setattr(presence, "LOOK_S", 0.5)
    monkeypatch.setattr(cluster, "REACH_S", 2.0)
    kafka = killable_broker.kafka
    printed: list[str] = []
    log = open_log(kafka.url(kafka.new_topic(topic_name)), say=printed.append)
    watching = store.reader()  # the store itself is the loader's
    loader = Aside(lambda follow: loading.load(log, store, follow=follow, stop=never, progress=quietly))
    with log.writer() as writer:
        run = begun(writer, some_messages(range(50)))
        until(lambda: watching.outcomes().get("trade", 0) == 50)
        if fault == "paused":
            killable_broker.pause()
        else:
            killable_broker.kill()
        back = Aside(lambda _: comes_back(killable_broker, fault))
        run.event("alive")
        run.flush()
        back.join(60)
        run.end()
    until(lambda: watching.outcomes().get("event", 0) == 3)
    watching.close()
    loader.is_going.clear()
    loader.join(60)
    assert loader.problem is None
    assert any("is waited for" in text for text in printed)
    assert not failures(log, store, expect={"trades": 50})


def test_loaders_end_beyond_markers_of_transactions(
    kafka: Kafka, topic: str, log: Log, server: str, topic_name: str
) -> None:
    """Markers and aborted records have offsets: a loader would wait forever for the partitions of the other."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions()
    for is_kept in (True, False):
        producer.begin_transaction()
        for number in range(40):
            producer.produce(topic, some_messages([number])[0], partition=number % 4)
        producer.flush()
        producer.commit_transaction() if is_kept else producer.abort_transaction()
    with ClickHouseStore.server(f"{server}/{topic_name.replace('-', '_')}", create=True) as store:
        store.create()
        assert load(log, store).records == 40
        ends = {partition: str(extent) for partition, extent in log.behind({}).items()}
        assert store.positions(log.id) == ends
        assert log.behind(store.positions(log.id)) == dict.fromkeys(range(4), 0)
        assert not failures(log, store, expect={"trades": 40})


def run_program(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, cwd=folder)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_host_that_takes_connections_and_is_not_a_broker_is_reported(silent_port: int, tmp_path: Path) -> None:
    """A wrong port of a machine that exists would hang forever."""
    done = run_program("load", "--log", f"kafka://127.0.0.1:{silent_port}/trades.raw", folder=tmp_path)
    assert done.returncode == 3
    assert "no broker answers" in done.stderr
    assert done.stderr.count("hint: ") == 1


def test_a_host_without_a_name_is_reported(tmp_path: Path) -> None:
    """A typing error in a host would be a time-out without a reason."""
    done = run_program("load", "--log", "kafka://no-such-host.invalid:9092/trades.raw", folder=tmp_path)
    assert done.returncode == 3
    assert "no-such-host.invalid" in done.stderr
    assert done.stderr.count("hint: ") == 1


def test_an_advertised_address_out_of_reach_is_reported(kafka_installation: Installation, tmp_path: Path) -> None:
    """The first trap of every broker in a container: it answers, and sends its clients to an address that only it
    knows."""
    broker = Broker(tmp_path / "broker", kafka_installation, settings={"advertised.listeners": "CLIENTS://127.0.0.1:1"})

    def wait(process: subprocess.Popen[bytes]) -> None:  # noqa: ARG001 -- no client can wait for it
        until(lambda: _is_listening(broker.port))

    broker.wait_until_ready = wait  # type: ignore[method-assign]  # of this one broker
    broker.start()
    try:
        done = run_program(
            "replay", "sample:", "--limit", "5", "--log", broker.kafka.url("trades.raw"), folder=tmp_path
        )
        assert done.returncode == 3, done.stderr
        assert "no broker answers" in done.stderr
        assert "127.0.0.1:1" in done.stderr
        assert "advertise" in done.stderr
    finally:
        broker.kill()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_load_shows_its_lag(log: Log, tmp_path: Path) -> None:
    """Nobody would see that a loader falls behind."""
    import urllib.request

    replayed(log, some_messages(range(30)))
    subprocess.run([PROGRAM, "init-db", "-q"], check=True, cwd=tmp_path)
    command = [PROGRAM, "load", "--follow", "--log", log.url, "--metrics-port", "0", "--log-format", "json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as loader:
        assert loader.stderr
        port = next(json.loads(line)["port"] for line in loader.stderr if '"port"' in line)

        def page() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                return str(answer.read().decode())

        until(lambda: "tradecap_loaded_records_total 32.0" in page())
        assert [f'tradecap_load_lag_offsets{{partition="{n}"}} 0.0' in page() for n in range(4)] == [True] * 4
        loader.send_signal(signal.SIGTERM)
        loader.communicate(timeout=60)
    assert loader.returncode == 0
