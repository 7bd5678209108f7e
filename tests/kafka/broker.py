"""A real Apache Kafka as a process of ours: one node in KRaft mode that can be stopped, killed, paused and started
again on the same data and port.

Rules: it listens on 127.0.0.1 only. Topics are never made by accident (auto.create.topics.enable=false). It dies with
the processes that use it, even if those are killed (watch.py). Its ports lie below the range from which the kernel
takes the ports of outgoing connections: a client that keeps calling a dead broker at a port inside that range may
connect to itself, and then the broker can't have its port back.
"""

import base64
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.kafka import watch
from tests.kafka.client import Kafka
from tests.kafka.installation import Installation, install
from tests.kafka.locks import hold_shared, one_at_a_time

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
HEAP_MB = 256
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 30

# What a single small node needs: one copy of everything, few threads, no waiting for members or sessions that will not
# come.
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENTS",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.cleaner.backoff.ms": "1000",
    # A broker that was killed may come back only when its old session has ended: 9 s by default.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # A transaction whose producer is gone is ended when its time is up, and not up to 10 s later.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    # By default retention first acts after minutes, so that no test would see it.
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "1000",
}


class Broker:
    """One Kafka broker with its data in `folder`. `kafka` is what clients see of it."""

    def __init__(
        self,
        folder: Path,
        installation: Installation,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        users: Path | None = None,
        is_temporary: bool = True,
        cluster_id: str = "",
    ) -> None:
        """`settings` override those of the server. `users` is the file whose lock holders keep the broker alive, if
        that isn't this process alone. The folder of a temporary broker is removed when its users were killed."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.installation = installation
        self.is_temporary = is_temporary
        self.cluster_id = cluster_id or new_cluster_id()
        self.port = port or free_port()
        self.kafka = Kafka(f"{HOST}:{self.port}")
        self.users = users or folder / "users"
        self.properties = folder / "server.properties"
        self.properties.write_text(
            "".join(f"{name}={value}\n" for name, value in {**self.settings(), **(settings or {})}.items())
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.watcher: subprocess.Popen[bytes] | None = None
        self.lock: IO[bytes] | None = None

    def settings(self) -> dict[str, str]:
        controller = f"{HOST}:{free_port()}"
        return {
            **SETTINGS,
            "listeners": f"CLIENTS://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENTS://{self.bootstrap}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.folder / "data"),
        }

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *java_options: str) -> None:
        """Start on the data that is there, and return when the broker takes requests."""
        if not (self.folder / "data/meta.properties").exists():
            self.format()
        command = self.installation.command(*java_options, "kafka.Kafka", str(self.properties), heap_mb=HEAP_MB)
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.lock = hold_shared(self.users)
        watching = [
            watch.__file__,
            str(self.users),
            str(self.process.pid),
            *([str(self.folder)] if self.is_temporary else []),
        ]
        self.watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", *watching], stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.wait_until_ready(self.process)

    def format(self) -> None:
        """Make the storage of a new cluster."""
        format_it = ["kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(self.properties)]
        done = subprocess.run(
            self.installation.command(*format_it, heap_mb=128), capture_output=True, text=True, timeout=START_TIMEOUT_S
        )
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage couldn't be formatted: {done.stdout}{done.stderr}")

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Nothing calls a port that isn't open yet by librdkafka: it would wait longer after each refusal."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (is_open(self.port) and self.kafka.is_ready()):
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(
                    f"Kafka didn't start; the end of its log:\n{(self.folder / 'broker.log').read_text()[-3_000:]}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as an operator would: what it holds is written first."""
        self.resume()
        if self.process is not None:
            self.signal(signal.SIGTERM)
            self.process.wait(STOP_TIMEOUT_S)
        self.forget()

    def kill(self) -> None:
        """kill -9. Works on a paused broker too."""
        self.signal(signal.SIGKILL)
        self.forget()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start it again, after `kill` or from a running state, on the same data and port."""
        if self.is_running:
            self.stop()
        self.start()

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def forget(self) -> None:
        """The process has ended or was killed. The watcher goes first: the number of a process that was waited for may
        be given to another."""
        if self.watcher is not None:
            self.watcher.kill()
            self.watcher.wait()
        if self.process is not None:
            self.process.wait()
        if self.lock is not None:
            self.lock.close()
        self.process = self.watcher = self.lock = None


@contextmanager
def shared_broker(root: Path, installation: Installation) -> Iterator[Kafka]:
    """One broker for all processes that come with the same `root`: the first starts it, and it ends when the last is
    gone."""

    def start(folder: Path, users: Path) -> str:
        broker = Broker(folder, installation, users=users)
        broker.start()
        return broker.bootstrap

    with shared(root, "kafka", start) as address:
        yield Kafka(address)


@contextmanager
def shared(root: Path, name: str, start: Callable[[Path, Path], str]) -> Iterator[str]:
    """The address of what `start` starts, for all processes that come with the same `root` and name. `start` gets a
    folder and the users' file."""
    folder, users = root / name, root / f"{name}.users"
    address = folder / "address"
    with one_at_a_time(root / f"{name}.lock"):
        lock = hold_shared(users)
        if not address.exists():
            report = start(folder, users)
            address.write_text(report)
    with lock:
        yield address.read_text()


def prepare() -> Installation:
    """Install Kafka, and start it once to make the class archive, so that every later start takes half the time."""
    installation = install()
    with one_at_a_time(installation.folder / "lock"):
        if not installation.class_archive.exists():
            unfinished = installation.folder / "unfinished.jsa"
            with tempfile.TemporaryDirectory() as folder:
                broker = Broker(Path(folder), installation)
                broker.start(f"-XX:ArchiveClassesAtExit={unfinished}")
                broker.stop()
            unfinished.rename(installation.class_archive)
    return installation


def new_cluster_id() -> str:
    """A random UUID as Kafka writes it: in base64, and without a dash at its head, which tools would take for an
    option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")


def free_port() -> int:
    """A port that nothing listens on. It may be taken before the broker has it, which is unlikely: nobody draws from
    this range by itself."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
