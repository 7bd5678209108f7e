"""The two feeds of a topic against each other: `load`, and ClickHouse's Kafka engine, into the same views of an
embedded store.

    make kafka ARGS='--port 19171'
    .venv/bin/python bench/feeds.py localhost:19171 rate|latency|kill [--records 500000]

rate: records a second once records come, and the seconds in all, alternating; also with 2 and 4 consumers of the
engine. latency: from publishing to visible, at 5 000 trades a second, while sweeps run.
kill: kill -9 while the engine catches up; how long the partitions stand still, and how many records come into the
tables again.
"""

import argparse
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import clickhouse_connect

from tradecap.flows.load import Loaded, load
from tradecap.flows.load_topic import load_topic, reader_of, use_topic
from tradecap.flows.records import read_record
from tradecap.log import open_log, topic_of
from tradecap.log.kafka.log import KafkaLog
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.store import create_store, open_store
from tradecap.store.api import TopicAccess, TopicFeed
from tradecap.store.clickhouse import configuration, connection, topics
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import synthetic
from tradecap.venues.binance.synthetic import SPOT

NOON_MS = 1_723_204_800_000
RATE = 5_000
STATEMENTS = topics.feed_statements
CONFIGURATION = configuration.configuration


def filled(servers: str, records: int) -> KafkaLog:
    """A new topic of four partitions with this many trades."""
    log = topic_of(open_log(f"kafka://{servers}/feeds-{time.time_ns()}", create=True))
    with log.writer() as writer:
        made = RunWriter(writer.run)
        for head, payload in islice(payloads(*SPOT), records):
            writer.append(made.record(time.time_ns(), head, payload))
    return log


def payloads(*symbols: str) -> Iterator[tuple[bytes, bytes]]:
    """(head of the record, message) of synthetic trades, symbol by symbol in turn."""
    series = [synthetic.trades(SPOT[symbol], 1, NOON_MS, NOON_MS + 400 * 86_400_000) for symbol in symbols]
    for trades in zip(*series, strict=False):
        yield from (
            (series_head("binance", trade.symbol, "trade", "ws"), frame(synthetic.message(trade))) for trade in trades
        )


def opened(log: KafkaLog, url: str) -> Any:
    """A store that may read the topic by itself."""
    create_store(url)
    return open_store(url, read=read_record, topic=TopicAccess(lambda group: log.group(group).committed(), {}))


def by_engine(log: KafkaLog, store: ClickHouseStore, **how: Any) -> Loaded:
    """As load --feed kafka."""
    group = log.group(store.topics.group(log.id))
    use_topic(log, group, store, TopicFeed(log.id, log.topic, log.servers), {}, lambda _: None)
    return load_topic(log, group, store, {}, **how)


def measured(log: KafkaLog, run: Callable[..., Loaded]) -> tuple[float, float]:
    """(records a second from the first that came to the last, seconds in all) of one load."""
    seen: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder, opened(log, f"chdb:{folder}/db") as store:
        done = run(log, store, stop=lambda: False, progress=lambda n: seen.append((time.monotonic(), n)))
    span = seen[-1][0] - seen[0][0]
    return sum(n for _, n in seen[1:]) / span if span else 0.0, done.seconds


def with_consumers(count: int) -> None:
    """The engine's table with this many consumers from now on. Only one of them may have a name (group.instance.id)."""
    topics.feed_statements = lambda *args, **options: [
        text.replace("kafka_num_consumers = 1", f"kafka_num_consumers = {count}")
        for text in STATEMENTS(*args, **options)
    ]
    without_instance(count == 1)


def without_instance(is_named: bool) -> None:
    """Static membership, or none."""
    vars(connection)["configuration"] = CONFIGURATION if is_named else _unnamed


@contextmanager
def _unnamed(properties: Mapping[str, str], instance: str) -> Iterator[str]:
    with CONFIGURATION(properties, instance) as file:
        path = Path(file)
        path.write_text(re.sub("<group_instance_id>.*?</group_instance_id>", "", path.read_text()))
        yield file


def rate(servers: str, records: int) -> None:
    """Both feeds, alternating."""
    log = filled(servers, records)
    rates: dict[str, list[float]] = {}
    for _ in range(3):
        for name, run, consumers in (
            ("load", load, 1),
            ("engine", by_engine, 1),
            ("engine, 2 consumers", by_engine, 2),
            ("engine, 4", by_engine, 4),
        ):
            with_consumers(consumers)
            a_second, seconds = measured(log, run)
            rates.setdefault(name, []).append(a_second)
            print(f"{name}: {a_second:,.0f}/s, {seconds:.1f} s in all", flush=True)
    for name, each in rates.items():
        print(f"median {name}: {statistics.median(each):,.0f}/s")
    print(f"load / engine: {statistics.median(rates['load']) / statistics.median(rates['engine']):.2f}")


def latency(servers: str, seconds: int = 20) -> None:
    """Both feeds at a steady rate."""
    for name, run in (("load --follow", load), ("engine --follow", by_engine)):
        log = topic_of(open_log(f"kafka://{servers}/feeds-{time.time_ns()}", create=True))
        with tempfile.TemporaryDirectory() as folder, opened(log, f"chdb:{folder}/db") as store:
            is_over = threading.Event()
            how = {
                "follow": lambda is_over=is_over: not is_over.is_set(),
                "stop": is_over.is_set,
                "progress": lambda _: None,
            }
            feed = threading.Thread(target=run, args=(log, store), kwargs=how)
            feed.start()
            time.sleep(8)
            published, visible = published_and_visible(log, f"{folder}/db", seconds)
            is_over.set()
            feed.join()
        late = sorted(visible[seq] - at for seq, at in enumerate(published) if seq in visible)
        print(
            f"{name}: {len(late):,} records, p50 {late[len(late) // 2]:.2f} s, p99 "
            f"{late[len(late) * 99 // 100]:.2f} s, max {late[-1]:.2f} s",
            flush=True,
        )


def published_and_visible(log: KafkaLog, path: str, seconds: int) -> tuple[list[float], dict[int, float]]:
    """When each record was acknowledged to be sent, and when it was first seen in the ledger."""
    published: list[float] = []
    visible: dict[int, float] = {}
    client = clickhouse_connect.get_client(interface="chdb", path=f"file:{path}")
    is_sent = threading.Event()

    def watch() -> None:
        last, until_s = -1, 0.0
        while not is_sent.is_set() or (last < len(published) - 1 and time.monotonic() < until_s):
            until_s = until_s if is_sent.is_set() and until_s else time.monotonic() + 20
            newest = int(client.query("SELECT max(seq) FROM market.ledger").result_rows[0][0])
            now_s = time.monotonic()
            visible.update(dict.fromkeys(range(last + 1, newest + 1), now_s))
            last = max(last, newest)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with log.writer() as writer:
        made = RunWriter(writer.run)
        started_s = time.monotonic()
        # one symbol is one partition: seq tells what has come
        for n, (head, payload) in enumerate(islice(payloads("BTCUSDT"), RATE * seconds)):
            if (ahead_s := started_s + n / RATE - time.monotonic()) > 0:
                time.sleep(ahead_s)
            writer.append(made.record(time.time_ns(), head, payload))
            published.append(time.monotonic())
    is_sent.set()
    watcher.join()
    return published, visible


def kill(servers: str, records: int) -> None:
    """kill -9 while catching up, three times."""
    log = filled(servers, records)
    for session, instance in (("45000", False), ("6000", False), ("6000", True)):
        with tempfile.TemporaryDirectory() as folder:
            url = f"chdb:{folder}/db"
            with opened(log, url) as store:
                group = log.group(store.topics.group(log.id))
                use_topic(log, group, store, TopicFeed(log.id, log.topic, log.servers), {}, lambda _: None)
            command = [sys.executable, __file__, servers, "engine", log.url, url, session, str(int(instance))]
            with subprocess.Popen(command) as engine:
                while (at := sum(map(int, group.committed().values()))) < records // 4:
                    time.sleep(0.02)
                time.sleep(random.random())  # the moment after a commit is the one at which nothing comes again
                engine.send_signal(signal.SIGKILL)
            killed_s, at = time.monotonic(), sum(map(int, group.committed().values()))
            with opened(log, url) as store:
                again = sum(store.outcomes().values()) - at
            with subprocess.Popen(command) as engine:
                while sum(map(int, group.committed().values())) <= at:
                    time.sleep(0.02)
                stopped_s = time.monotonic() - killed_s
                engine.wait()
            with opened(log, url) as store:
                found = sum(store.outcomes().values())
            report = f"stopped {stopped_s:.1f} s, {found:,} of {records:,} records, {again:,} delivered again"
            print(f"session {session} ms, instance id {instance}: {report}", flush=True)


def engine(url: str, store_url: str, session: str, instance: str) -> None:
    """One load by the engine, to be killed."""
    without_instance(bool(int(instance)))
    log = topic_of(open_log(url))
    access = TopicAccess(lambda group: log.group(group).committed(), {"session.timeout.ms": session})
    with open_store(store_url, read=read_record, topic=access) as store:
        load_topic(
            log, log.group(reader_of(store).group(log.id)), store, {}, stop=lambda: False, progress=lambda _: None
        )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers")
    parser.add_argument("what", choices=["rate", "latency", "kill", "engine"])
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--records", type=int, default=500_000)
    asked = parser.parse_args()
    if asked.what == "engine":
        engine(*asked.rest)
    elif asked.what == "latency":
        latency(asked.servers)
    else:
        (rate if asked.what == "rate" else kill)(asked.servers, asked.records)


if __name__ == "__main__":
    main()
