"""`make smoke`: the stack does its whole job once, as a person would try it. The last line is PROVEN.

With a container engine it starts the stack of compose.yaml. Without one it runs tradecap's own services as plain
processes: their profiles, commands, environment, health checks, dependencies and restarts are read from compose.yaml,
so a mistake there fails here. What stands in for the rest: Apache Kafka for Redpanda, and an HTTP endpoint around the
embedded engine for ClickHouse (both from tests/). Redpanda Console is left out, and no image is built.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

HERE: Final = Path(__file__).resolve().parent
OFFLINE: Final = {"TRADECAP_WS_URL": "ws://simulate:9443", "TRADECAP_REST_URL": "http://simulate:9443"}
FEEDS: Final = {"loader": "load", "engine": "engine"}
"""What fills the store: the profile, and its service."""
STARTED_S: Final = 60.0
"""How long a service may take to become healthy; the file's own times are for slower machines."""
LOOK_S: Final = 0.3
AGAIN_S: Final = 0.5
"""How long an ended service rests before it is started again."""
BEGAN: Final = time.monotonic()
ASK: Final = (
    "import json, urllib.request as u; "
    "assert json.load(u.urlopen('http://localhost:8000/candles?symbol=BTCUSDT&limit=1', "
    "timeout=30))['candles'][0]['trades'] > 0"
)
"""Asks the service api for the newest bar."""
ASK_GRPC: Final = (
    "import grpc; from tradecap.serve.proto import market_pb2 as pb, market_pb2_grpc as rpc; "
    "stub = rpc.MarketServiceStub(grpc.insecure_channel('localhost:50051')); "
    "update = next(stub.StreamBars(pb.StreamBarsRequest(symbols=['BTCUSDT']), timeout=30, wait_for_ready=True)); "
    "assert update.sequence == 1 and update.bar.trades > 0"
)
"""The same over gRPC."""
READ: Final = """
import json, os, time
from confluent_kafka import Consumer
from tradecap.log.kafka.outputs import output_topics
_, _, brokers, raw = os.environ["TRADECAP_LOG"].split("/")
for topic, key in zip(output_topics(raw, {}), ("trade_id", "revision")):
    settings = {"bootstrap.servers": brokers, "group.id": "smoke"}
    settings |= {"isolation.level": "read_committed", "auto.offset.reset": "earliest"}
    reader = Consumer(settings)
    reader.subscribe([topic])
    until_s, message = time.monotonic() + 60, None
    while message is None or message.error():
        message = reader.poll(1)
        assert time.monotonic() < until_s, topic
    assert key in json.loads(message.value())
    reader.close()
"""
"""Reads a message of each topic of the service processor, as any consumer would."""
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?:(:[-+])((?:[^{}$]|\$\{\w+\})*))?\}")


class SmokeError(Exception):
    """The stack didn't do its job."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Compose's ${NAME}, ${NAME:-default}, ${NAME:+instead} and $$."""

    def value(match: re.Match[str]) -> str:
        name, how, other = match[1], match[2], match[3] or ""
        there = variables.get(name, "")
        if how == ":+":
            return interpolated(other, variables) if there else ""
        return there or interpolated(other, variables)

    return _VARIABLE.sub(value, text).replace("$$", "$")


class Where(NamedTuple):
    """Where services run: the file's variables, what its names are on this machine, a folder, and how long one may take
    to become healthy."""

    variables: Mapping[str, str]
    places: Mapping[str, str]
    folder: Path
    within_s: float = STARTED_S


class Service:
    """One of tradecap's services as a process. Restarted as its policy says, until it is stopped."""

    def __init__(self, name: str, declared: Mapping[str, Any], where: "Where") -> None:
        self.name, self.declared, self.within_s = name, declared, where.within_s
        variables, places, folder = where.variables, where.places, where.folder
        self._variables, self._places = variables, {**places, "/data/": f"{folder}/{name}/", ":8080": f":{free_port()}"}
        self._places[":8000"] = f":{free_port()}"
        self._places[":50051"] = f":{free_port()}"
        self._places["--grpc-port=50051"] = f"--grpc-port={self._places[':50051'][1:]}"
        self._places["--port=8000"] = f"--port={self._places[':8000'][1:]}"
        self._places["--metrics-port=8080"] = f"--metrics-port={self._places[':8080'][1:]}"
        (folder / name).mkdir()
        self._log = (folder / f"{name}.log").open("ab")
        self.log_path = folder / f"{name}.log"
        self._is_wanted = True
        self._looking = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def placed(self, text: str) -> str:
        """A text of the file as it holds on this machine."""
        text = interpolated(text, self._variables)
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def command(self) -> list[str]:
        """What the container would run."""
        given = self.declared["command"]
        words = shlex.split(self.placed(given)) if isinstance(given, str) else [self.placed(word) for word in given]
        return [*self.declared.get("entrypoint", ["tradecap"]), *words]

    def environment(self) -> dict[str, str]:
        """What the container would see, and where this Python's programs are."""
        own = {name: self.placed(str(value)) for name, value in (self.declared.get("environment") or {}).items()}
        return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.log_path.parent), **own}

    def run(self, *words: str) -> int:
        """Another command in this service's environment (`docker compose run`)."""
        return subprocess.run(
            list(words) or self.command(), env=self.environment(), cwd=self.log_path.parent / self.name, check=False
        ).returncode

    def start(self) -> None:
        """Begin, in the background."""
        self.starts += 1
        self.process = subprocess.Popen(
            self.command(),
            env=self.environment(),
            cwd=self.log_path.parent / self.name,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def look_after(self) -> None:
        """Start it again if it ended by itself and its policy asks for it."""
        with self._looking:  # two threads would start it twice
            if (
                self._is_wanted
                and self.process
                and (code := self.process.poll()) is not None
                and self._is_started_again(code)
            ):
                time.sleep(AGAIN_S)
                self.start()

    def _is_started_again(self, code: int) -> bool:
        policy, _, at_most = str(self.declared.get("restart", "no")).partition(":")
        if policy == "on-failure":
            return code != 0 and (not at_most or self.starts <= int(at_most))
        if policy not in ("no", "always", "unless-stopped"):
            raise SmokeError(f"{self.name}: {policy!r} isn't a restart policy")
        return policy != "no"

    def is_healthy(self) -> bool:
        """What its health check says."""
        kind, *words = self.declared["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            words = ["/bin/sh", "-c", *words]
        elif kind != "CMD":
            raise SmokeError(f"{self.name}: a health check begins with CMD or CMD-SHELL, not {kind}")
        return (
            subprocess.run(
                [self.placed(word) for word in words], env=self.environment(), capture_output=True, check=False
            ).returncode
            == 0
        )

    def wait_until(self, condition: str) -> None:
        """As depends_on has it. Raises SmokeError where that doesn't come."""
        deadline = time.monotonic() + self.within_s
        while time.monotonic() < deadline and not self._has_failed(condition):
            if self._is(condition):
                return
            time.sleep(LOOK_S)
            self.look_after()
        raise SmokeError(
            f"{self.name} isn't {condition}; the end of its "
            f"output:\n{self.log_path.read_text(errors='replace')[-2_000:]}"
        )

    def _is(self, condition: str) -> bool:
        assert self.process
        if condition == "service_completed_successfully":
            return self.process.poll() == 0
        return self.process.poll() is None and (condition == "service_started" or self.is_healthy())

    def _has_failed(self, condition: str) -> bool:
        """Whether it ended, and isn't started again."""
        assert self.process
        code = self.process.poll()
        return (
            code is not None
            and not self._is_started_again(code)
            and not (condition == "service_completed_successfully" and code == 0)
        )

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        with self._looking:
            self._is_wanted = False
        if self.process is None or self.process.poll() is not None:
            return self.process.poll() or 0 if self.process else 0
        self.process.terminate()
        try:
            return self.process.wait(timeout=seconds(self.declared.get("stop_grace_period", "10s")))
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SmokeError(f"{self.name} didn't end within its stop_grace_period") from None


def seconds(duration: str) -> float:
    """30s, 2m."""
    return float(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def free_port() -> int:
    """A port below those of outgoing connections."""
    from tests.kafka.broker import free_port as free

    return free()


class Stack:
    """tradecap's services of a compose file, as its profiles have it, started in the order of their dependencies."""

    def __init__(self, file: Path, where: Where, feed: str = "loader") -> None:
        declared = yaml.safe_load(file.read_text())["services"]
        self.services = {
            name: Service(name, service, where) for name, service in declared.items() if "build" in service
        }
        self.feed = self.services[FEEDS[feed]]
        self._active = [
            each.name
            for each in self.services.values()
            if not (wanted := each.declared.get("profiles")) or {feed, "offline"} & {*wanted}
        ]
        self._is_over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def up(self) -> None:
        """Start what the profiles have. Raises SmokeError for what doesn't become healthy."""
        for name in self._active:
            self.start(name)
        for name in self._active:
            if not self.services[name].declared["healthcheck"].get("disable"):
                self.services[name].wait_until("service_healthy")
        self._keeper.start()

    def start(self, name: str) -> None:
        """Start a service, and first what it depends on."""
        service = self.services[name]
        if service.process:
            return
        needed = {
            other: how["condition"]
            for other, how in service.declared.get("depends_on", {}).items()
            if other in self._active
        }
        for other in needed:
            self.start(other)
        for other, condition in needed.items():
            self.services[other].wait_until(condition)
        service.start()

    def _keep(self) -> None:
        while not self._is_over.wait(0.5):
            for service in self.services.values():
                service.look_after()

    def stop(self) -> None:
        """End everything."""
        self._is_over.set()
        if self._keeper.is_alive():
            self._keeper.join()  # it would start again what is ended here
        for service in self.services.values():
            if service.process and service.process.poll() is None:
                service.process.kill()


def placed(bootstrap: str, store: str, secret: Path) -> dict[str, str]:
    """What the names of the compose file are on this machine."""
    exchange = free_port()
    return {
        "redpanda:9092": bootstrap,
        "default@clickhouse:8123/market": store,
        "/run/secrets/clickhouse_password": str(secret),
        "simulate:9443": f"127.0.0.1:{exchange}",
        "localhost:9443": f"127.0.0.1:{exchange}",
        "9443": str(exchange),
        "0.0.0.0": "127.0.0.1",
    }


@contextmanager
def stand_ins(folder: Path) -> Iterator[dict[str, str]]:
    """A broker and a store, and where on this machine the names of the compose file are."""
    from tests.kafka.broker import Broker, prepare
    from tests.store.endpoint import PASSWORD, USER

    secret = folder / "secret"
    secret.write_text(PASSWORD + "\n")
    endpoint = subprocess.Popen(
        [sys.executable, "-m", "tests.store.endpoint", str(folder / "clickhouse")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parent,
    )
    broker = Broker(folder / "kafka", prepare())
    try:
        broker.start()
        assert endpoint.stdout
        address = f"{USER}@127.0.0.1:{int(endpoint.stdout.readline())}"
        yield placed(broker.bootstrap, f"{address}/market", secret)
    finally:
        endpoint.kill()
        broker.kill()


def as_processes(file: Path, variables: Mapping[str, str], feed: str) -> None:
    """The job, with plain processes."""
    print(
        "no container engine here: tradecap's services run as processes, with Apache Kafka for Redpanda and a test "
        "endpoint for ClickHouse",
        flush=True,
    )
    sys.path.insert(0, str(HERE.parent))
    with tempfile.TemporaryDirectory(prefix="tradecap-smoke-") as name:
        folder = Path(name)
        with stand_ins(folder) as places:
            step("broker and store run", 0)
            stack = Stack(file, Where({**OFFLINE, **variables}, places, folder), feed)
            try:
                stack.up()
                step("everything is healthy", 0)
                job(stack)
            finally:
                stack.stop()


def job(stack: Stack) -> None:
    """Produce, inject, kill, prove during the live capture, end the capture, show, prove again."""
    tool, feed, stream = stack.services["init"], stack.feed, stack.services["stream"]
    step(
        "produce: a recording during the live capture",
        tool.run("tradecap", "replay", "sample:", "--limit", "2000", "-q"),
    )
    step(
        "inject: 100 duplicates, 20 nulls",
        tool.run("tradecap", "inject-bad", "--dupes", "100", "--nulls", "20", "--seed", "7", "--yes", "-q"),
    )
    assert feed.process
    feed.process.send_signal(signal.SIGKILL)
    step(f"killed `{feed.name}` (SIGKILL)", 0)
    feed.wait_until("service_healthy")
    if feed.starts < 2:
        raise SmokeError(f"`{feed.name}` wasn't started again")
    step(f"`{feed.name}` is healthy again", 0)
    expected = ("--run", "last", "--expect", "duplicates=100", "--expect", "quarantined.null_field=20")
    proof = tool.run("tradecap", "verify", "--wait", "60s", "-q", *expected)
    step(f"verify finds what was injected, while `stream` captures and `{feed.name}` loads", proof)
    step("stream ends (SIGTERM)", stream.stop())
    for what, question in (("the API answers over HTTP", ASK), ("the API answers over gRPC", ASK_GRPC)):
        step(what, asked(stack.services["api"], question))
    step("both topics of `processor` are read", tool.run("python", "-c", READ))
    step("candles", tool.run("tradecap", "candles", "BTCUSDT", "--limit", "5", "-q"))
    step("query", tool.run("tradecap", "query", "symbols", "-q"))
    step("verify", stack.services["verify"].run())
    step("the topics of `processor` are the store's", tool.run("tradecap", "verify", "--topics", "--wait", "60s", "-q"))


def asked(api: Service, question: str) -> int:
    """0 where the newest bar comes from `api`."""
    words = [api.placed(word) for word in ("python", "-c", question)]
    return subprocess.run(words, env=api.environment(), check=False).returncode


def step(what: str, code: int) -> None:
    """Say what was done. Raises SmokeError where it didn't end well."""
    if code:
        raise SmokeError(f"{what}: exit {code}")
    print(f"ok  {time.monotonic() - BEGAN:5.1f} s  {what}", flush=True)


def in_containers(file: Path, feed: str) -> None:
    """The same job in the stack itself."""
    compose = ["docker", "compose", "--file", str(file)]
    tool = [*compose, "run", "--rm", "--no-deps", "--entrypoint", "tradecap", "init"]
    environment = {**os.environ, **OFFLINE, "COMPOSE_PROFILES": f"{feed},offline"}
    others = [service for profile, service in FEEDS.items() if profile != feed]
    for words in (
        [*compose, "--profile", "*", "rm", "--force", "--stop", *others],
        [*compose, "up", "--detach", "--build", "--wait"],
        [*tool, "replay", "sample:", "--limit", "2000", "-q"],
        [*tool, "inject-bad", "--dupes", "100", "--nulls", "20", "--seed", "7", "--yes", "-q"],
        [*compose, "kill", "--signal", "SIGKILL", FEEDS[feed]],
        [*compose, "up", "--detach", "--wait", FEEDS[feed]],
        [
            *tool,
            "verify",
            "--wait",
            "60s",
            "-q",
            "--run",
            "last",
            "--expect",
            "duplicates=100",
            "--expect",
            "quarantined.null_field=20",
        ],
        [*compose, "stop", "stream"],
        [*compose, "exec", "-T", "api", "python", "-c", ASK],
        [*compose, "exec", "-T", "api", "python", "-c", ASK_GRPC],
        [*tool, "candles", "BTCUSDT", "--limit", "5", "-q"],
        [*tool, "query", "symbols", "-q"],
        [*compose, "run", "--rm", "--no-deps", "--entrypoint", "python", "init", "-c", READ],
        [*compose, "run", "--rm", "verify"],
        [*tool, "verify", "--topics", "--wait", "60s", "-q"],
    ):
        step(" ".join(words[len(compose) :]), subprocess.run(words, env=environment, check=False).returncode)


def has_engine() -> bool:
    """Whether containers can be started here."""
    return (
        shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )


def main() -> None:
    """Run it; exit 1 with one sentence where it fails."""
    parser = argparse.ArgumentParser(prog="make smoke", description=__doc__)
    parser.add_argument("--file", type=Path, default=HERE / "compose.yaml", help="another compose file")
    parser.add_argument(
        "--processes", action="store_true", help="plain processes, also where there is a container engine"
    )
    parser.add_argument(
        "--profile",
        choices=FEEDS,
        default="loader",
        help="what fills the store: the service load, or ClickHouse's Kafka engine",
    )
    options = parser.parse_args()
    try:
        if options.processes or not has_engine():
            as_processes(options.file, {}, options.profile)
        else:
            in_containers(options.file, options.profile)
    except SmokeError as error:
        sys.exit(f"smoke: {error}")
    print(f"PROVEN, {time.monotonic() - BEGAN:.0f} s after the first process", flush=True)


if __name__ == "__main__":
    main()
