"""The seam from outside: killed and started again under load, what a client sees is what the log holds."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from tests.flows.builders import begun, replayed, some_messages
from tests.flows.test_live import of_log
from tests.flows.test_watching import bring
from tests.kafka.client import Kafka
from tests.serve.serving import WITHIN_S, Served, command, run, serving
from tests.store.endpoint import PASSWORD, USER
from tradecap.flows.candles import Candles, as_json
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.serve.proto import market_pb2 as pb
from tradecap.serve.proto import market_pb2_grpc

ROUNDS = int(os.environ.get("TRADECAP_SERVE_ROUNDS", "3"))


@contextmanager
def traded(folder: Path, log_url: str, rate: int = 200) -> Iterator["subprocess.Popen[str]"]:
    """Trades of an exchange that come in meanwhile: `stream` against `simulate`."""
    with (
        subprocess.Popen(
            command(
                "simulate",
                "--symbol",
                "BTCUSDT",
                "--rate",
                str(rate),
                "--seed",
                "7",
                "--port",
                "0",
                "--json",
                "--history",
                "2m",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as exchange,
    ):
        assert exchange.stdout
        url = json.loads(exchange.stdout.readline())["url"]
        streaming = command("stream", "BTCUSDT", "--ws-url", url, "--log", log_url, "--segment-age", "2s")
        with (
            (folder / "stream.err").open("w") as err,
            subprocess.Popen(streaming, stdout=subprocess.DEVNULL, stderr=err, cwd=folder, text=True) as stream,
        ):
            try:
                yield stream
            finally:
                for process in (stream, exchange):
                    process.terminate()
                stream.wait(WITHIN_S)


def settled(served: Served, log: Log, symbol: str = "BTCUSDT") -> None:
    """Wait until everything durable is served: nothing is written any more."""
    until_s = time.monotonic() + WITHIN_S
    last_id = of_log(log)[-1].last_id
    while served.get(f"/coverage?symbol={symbol}").json["proven"][-1][1] < last_id:
        assert time.monotonic() < until_s
        time.sleep(0.1)


def expected(log: Log) -> list[Any]:
    """The bars of a log, as the interface shows them."""
    bars: Any = json.loads(json.dumps(as_json(Candles("binance", "BTCUSDT", "trade", of_log(log)), 60)))["candles"]
    return list(bars)


def same(bars: list[Any], others: list[Any]) -> None:
    """Fails where they differ in more than the order in which floats were added."""
    assert [{**bar, "volatility": 0} for bar in bars] == [{**other, "volatility": 0} for other in others]
    for bar, other in zip(bars, others, strict=True):
        assert bar["volatility"] == pytest.approx(other["volatility"], rel=1e-9, abs=1e-15)


def hold(folder: Path, log_url: str, *arguments: str, rounds: int = ROUNDS) -> None:
    """Kill the serving process at random while trades come in; each one that follows goes on, and the last one has
    everything."""
    chance = random.Random(os.environ.get("TRADECAP_SERVE_SEED", "7"))
    places = ("--log", log_url, *arguments)
    newest = 0
    with traded(folder, log_url):
        for _ in range(rounds):
            with serving(folder, *places, "--rate", "0") as served:
                until_s = time.monotonic() + chance.uniform(0.5, 3.0)
                while time.monotonic() < until_s:
                    seen = served.get("/candles?symbol=BTCUSDT&limit=1")
                    if seen.status == 200:
                        (bar,) = seen.json["candles"]
                        assert bar["last_id"] >= newest, "a trade that was seen is gone"
                        newest = bar["last_id"]
                served.process.kill()
    with serving(folder, *places, "--rate", "0") as served:
        log = open_log(log_url)
        settled(served, log)
        bars = served.bars()
        same(bars, expected(log))
        assert newest
        assert bars[-1]["last_id"] >= newest
        assert served.end() == 0


def test_a_folder_with_an_embedded_store_that_it_loads_itself(tmp_path: Path) -> None:
    """The one process that everybody starts with: capture in another one, loading and serving in this one."""
    assert run(tmp_path, "init-db").returncode == 0
    replayed(open_log(f"file:{tmp_path / 'log'}", create=True), some_messages(range(50), symbol="ETHUSDT"))
    hold(tmp_path, f"file:{tmp_path / 'log'}", "--load")
    verified = run(tmp_path, "load", "--log", f"file:{tmp_path / 'log'}")
    assert verified.returncode == 0
    done = run(tmp_path, "verify", "--log", f"file:{tmp_path / 'log'}", "--json")
    assert done.returncode == 0, done.stdout


def test_a_folder_without_a_store(tmp_path: Path) -> None:
    """The log alone must give the same bars."""
    replayed(open_log(f"file:{tmp_path / 'log'}", create=True), some_messages(range(50), symbol="ETHUSDT"))
    hold(tmp_path, f"file:{tmp_path / 'log'}", rounds=1)


@pytest.mark.kafka
def test_a_topic_with_an_embedded_store(tmp_path: Path, kafka: Kafka, topic_name: str) -> None:
    """Partitions, and records that come in another order than they were captured in."""
    url = f"kafka://{kafka.bootstrap}/{topic_name}"
    assert run(tmp_path, "init-db").returncode == 0
    replayed(open_log(url, create=True), some_messages(range(50), symbol="ETHUSDT"))
    hold(tmp_path, url, "--load", rounds=2)


@pytest.mark.kafka
def test_two_instances_on_a_topic_give_the_same_bars(tmp_path: Path, kafka: Kafka, topic_name: str) -> None:
    """Behind a balancer a chart would change with each connection."""
    url = f"kafka://{kafka.bootstrap}/{topic_name}"
    log = open_log(url, create=True)
    messages = [*some_messages(range(600)), *some_messages(range(600), symbol="ETHUSDT")]
    with ExitStack() as stack:
        writer = stack.enter_context(log.writer())
        run = bring(writer, messages[::40])
        served = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            served.append(stack.enter_context(serving(tmp_path / name, "--log", url, "--rate", "0")))
        request = pb.StreamBarsRequest(symbols=["BTCUSDT", "ETHUSDT"], interval="1d")
        streams = [
            market_pb2_grpc.MarketServiceStub(grpc.insecure_channel(each.target)).StreamBars(request) for each in served
        ]
        bring(writer, [each for n, each in enumerate(messages) if n % 40], run)
        for each in served:
            settled(each, log)
            settled(each, log, "ETHUSDT")
        for symbol in ("BTCUSDT", "ETHUSDT"):
            bars = [each.bars(symbol) for each in served]
            same(*bars)
            assert bars[0][-1]["last_id"] == 599
        for stream in streams:
            last = {"BTCUSDT": (0, 0), "ETHUSDT": (0, 0)}
            while any(seen != (599, 600) for seen in last.values()):
                update = next(stream)
                last[update.bar.symbol] = update.bar.last_id, update.revision


def test_a_server_store_that_others_load_goes_away_and_comes_back(tmp_path: Path) -> None:
    """A database that restarts would take the running minute with it, or stay unasked forever."""

    def server(port: int) -> "subprocess.Popen[str]":
        line = [sys.executable, "-m", "tests.store.endpoint", str(tmp_path / "server"), "", str(port)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert process.stdout
        process.stdout.readline()
        return process

    port = free_port()
    process = server(port)
    store = f"clickhouse://{USER}:{quote(PASSWORD)}@127.0.0.1:{port}/market"
    log = open_log(f"file:{tmp_path / 'log'}", create=True)
    messages = some_messages(range(2000))
    replayed(log, messages[:1500])
    places = ("--log", log.url, "--store", store)
    try:
        for step in ("init-db", "load"):
            assert run(tmp_path, step, *(places if step == "load" else places[2:])).returncode == 0
        with serving(tmp_path, *places, "--rate", "0") as served:
            same(served.bars(), expected(log))
            process.kill()
            process.wait()
            with log.writer() as writer:
                begun(writer, messages[1500:])
            settled(served, log)
            assert wait_for_status(served, "/ready", 503)
            newest = served.get("/candles?symbol=BTCUSDT&limit=5").json["candles"]
            same(newest, expected(log)[-5:])
            away = served.get("/candles?symbol=BTCUSDT&from=0&limit=77")
            assert (away.status, away.headers["content-type"]) == (503, "application/problem+json")
            assert away.headers["retry-after"]
            process = server(port)
            assert wait_for_status(served, "/ready", 200)
            same(served.bars(), expected(log))
            assert run(tmp_path, "load", *places).returncode == 0
            same(served.bars(), expected(log))
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_for_status(served: Served, path: str, status: int) -> bool:
    """Whether a route comes to answer with a status."""
    until_s = time.monotonic() + WITHIN_S
    while served.get(path).status != status:
        if time.monotonic() > until_s:
            return False
        time.sleep(0.1)
    return True
