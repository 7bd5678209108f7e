"""A topic as the log, each figure next to its alternative in the same run:
`.venv/bin/python bench/kafka.py [--trades 1000000] [write load memory]`.

It starts an Apache Kafka of its own (Java and Maven are needed). Whole-machine figures move with the machine: quote the
ratios.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.run import never, recording, unseen
from confluent_kafka import Producer
from tests.kafka.broker import Broker, prepare

from tradecap.flows.load import load
from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.log import open_log
from tradecap.recordings.reading import expand
from tradecap.store import create_store, open_store

PLAIN: Final = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "zstd",
    "linger.ms": 5,
    "batch.size": 512 * 1024,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 64 * 1024,
}
PROGRAM: Final = str(Path(sys.executable).with_name("tradecap"))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time, and CPU time of this process with all its threads."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def plain_loop(bootstrap: str, topic: str, path: Path) -> None:
    """The script that someone writes to get the lines of a file into a topic, in order by symbol, acknowledged."""
    producer = Producer({"bootstrap.servers": bootstrap, **PLAIN})
    with path.open("rb") as lines:
        for line in lines:
            while True:
                try:
                    producer.produce(topic, line[:-1], b"BTCUSDT")
                    break
                except BufferError:
                    producer.poll(0.05)
    producer.flush()


def replayed(url: str, path: Path) -> None:
    """The file as a run in a log."""
    inputs = look_at(expand([str(path)], sys.stdin.buffer, lambda _: None), Choice())  # type: ignore[arg-type, return-value]  # no log is read
    with open_log(url, create=True).writer() as writer:
        replay(inputs, writer, Choice(), stop=never, progress=unseen)


def kcat(bootstrap: str, topic: str, path: Path) -> None:
    """The usual tool, in C: without keys it may spread a symbol over partitions."""
    options = ["-X", "enable.idempotence=true", "-X", "linger.ms=5", "-X", "queue.buffering.max.messages=500000"]
    subprocess.run(["kcat", "-P", "-b", bootstrap, "-t", topic, "-z", "zstd", *options, "-l", str(path)], check=True)


def loaded(url: str, folder: Path) -> int:
    """A log in a new embedded store."""
    store_url = f"chdb:{folder / uuid.uuid4().hex}"
    create_store(store_url)
    with open_store(store_url) as store:
        return load(open_log(url), store, stop=never, progress=unseen).records


def peak_mb(command: list[str], folder: Path, meanwhile: Callable[[], object]) -> float:
    """The greatest resident size of a process."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        threading.Thread(target=meanwhile, daemon=True).start()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return usage.ru_maxrss / 1024


def paused(broker: Broker, url: str) -> None:
    """The broker stands still for 20 s, once 10 000 records are in the topic."""
    log = open_log(url)
    while sum(log.behind({}).values()) < 10_000:
        time.sleep(0.2)
    broker.pause()
    time.sleep(20)
    broker.resume()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("what", nargs="*", default=["write", "load", "memory"])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tradecap-bench-"))
    broker = Broker(folder / "kafka", prepare())
    broker.start()
    try:
        measure(broker, folder, options.trades, options.what)
    finally:
        broker.kill()
        shutil.rmtree(folder)


def measure(broker: Broker, folder: Path, trades: int, what: list[str]) -> None:
    """Print each figure."""
    path = folder / "recording"
    recording(path, trades)
    kafka = broker.kafka
    ours = kafka.url(kafka.new_topic("ours"))
    if "write" in what:
        for turn in range(3):  # in turns: what else the machine does moves both
            topics = [kafka.new_topic(f"{way}-{turn}") for way in ("plain", "own", "kcat")]
            plain, plain_cpu = seconds(partial(plain_loop, kafka.bootstrap, topics[0], path))
            own, own_cpu = seconds(partial(replayed, kafka.url(topics[1]), path))
            tool, _ = seconds(partial(kcat, kafka.bootstrap, topics[2], path))
            rates = f"plain loop {trades / plain:,.0f}/s, replay {trades / own:,.0f}/s, kcat {trades / tool:,.0f}/s"
            each = f"CPU of the client {plain_cpu / trades * 1e6:.1f} and {own_cpu / trades * 1e6:.1f} µs a record"
            print(f"write: {rates}; replay is {plain / own:.2f}x the plain loop; {each}", flush=True)
    if "load" in what:
        replayed(ours, path)
        replayed(f"file:{folder / 'log'}", path)
        for _ in range(3):
            of_folder, folder_cpu = seconds(lambda: loaded(f"file:{folder / 'log'}", folder))
            of_topic, topic_cpu = seconds(lambda: loaded(ours, folder))
            rates = f"from a folder {trades / of_folder:,.0f}/s, from a topic {trades / of_topic:,.0f}/s"
            each = f"CPU {folder_cpu / trades * 1e6:.1f} and {topic_cpu / trades * 1e6:.1f} µs a record"
            print(f"load: {rates}; the topic is {of_folder / of_topic:.2f}x the folder; {each}", flush=True)
    if "memory" in what:
        topic = kafka.url(kafka.new_topic("memory"))
        peak = peak_mb([PROGRAM, "replay", str(path), "-q", "--log", topic], folder, lambda: paused(broker, topic))
        print(f"memory: replay of {trades:,} trades, the broker paused for 20 s: {peak:,.0f} MB at most", flush=True)


if __name__ == "__main__":
    main()
