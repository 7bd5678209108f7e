"""A topic processed into topics of a real broker: each trade once, each minute right, whatever is read, repeated or
restarted."""

import hashlib
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition

from tests.builders import NOON_S
from tests.flows.builders import a_message, never, replayed, some_messages, spoilt
from tests.kafka.client import Kafka
from tests.processing import committed, hold_exactly, topics_of
from tradecap.errors import Exit, TradecapError
from tradecap.flows.process import Processed, ProcessStatus, process
from tradecap.log import open_log, topic_of
from tradecap.log.kafka.exactly_once import ExactlyOnce
from tradecap.log.kafka.murmur2 import partition_of
from tradecap.log.kafka.outputs import OutputTopics, output_topics
from tradecap.log.kafka.processing_member import Produced
from tradecap.market.faults import FAULTS

pytestmark = pytest.mark.kafka
QUICK = {"session.timeout.ms": "6000", "transaction.timeout.ms": "6000"}


class Setup:
    """A log in a topic, with the topics of process."""

    def __init__(self, kafka: Kafka, topic: str) -> None:
        self.kafka, self.topic, self.url = kafka, topic, kafka.url(topic)
        self.names = topics_of(self.url)
        self.log = open_log(self.url, kafka=QUICK)

    def process(self, **how: Any) -> Processed:
        """Process to the end."""
        with self.transactions() as topic:
            return process(topic, self.log.id, topic.partition_of, **{"stop": never, **how})

    def transactions(self, instance: str = "", **properties: str) -> ExactlyOnce:
        return topic_of(open_log(self.url, kafka={**QUICK, **properties})).exactly_once({}, instance)

    def is_exact(self) -> Any:
        return hold_exactly(self.kafka.bootstrap, self.log, self.names)

    def messages(self, topic: str) -> list[Any]:
        return [message.value for message in committed(self.kafka.bootstrap, topic)]

    def produce(self, *values: bytes, key: bytes | None = None, partition: int = -1, topic: str = "") -> None:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, "partitioner": "murmur2_random"})
        for value in values:
            producer.produce(topic or self.topic, value, key, partition=partition)
        producer.flush()


@pytest.fixture
def setup(kafka: Kafka, topic: str) -> Setup:
    return Setup(kafka, topic)


def test_each_trade_once_and_each_minute_right(setup: Setup) -> None:
    """The topics would say something else than the log."""
    replayed(setup.log, some_messages(range(300)))
    replayed(setup.log, some_messages(range(200), symbol="ETHUSDT"))
    spoilt(setup.log, dict.fromkeys(FAULTS, 3))
    done = setup.process()
    wanted = setup.is_exact()
    assert (done.trades, done.duplicates, done.conflicts) == (500, 3, 3)
    assert done.quarantined == len(wanted.quarantined) > 20
    assert done.records == done.valid + done.quarantined + done.ignored + done.events == wanted.counts["records"]
    assert done.valid == done.trades + done.duplicates + done.conflicts
    assert setup.process().records == 0


def test_a_repeat_is_known_forever(setup: Setup) -> None:
    """A window of deduplication lets a trade through that is replayed the next day; a restart would forget all of
    them."""
    replayed(setup.log, some_messages(range(100)))
    setup.process()
    replayed(setup.log, some_messages(range(1000, 1100), trade_time_us=(NOON_S + 86_400) * 10**6))
    setup.process()
    replayed(setup.log, some_messages(range(150)))
    done = setup.process()
    assert (done.trades, done.too_late, done.duplicates, done.conflicts) == (50, 50, 100, 0)
    setup.is_exact()


def test_messages_are_as_their_schemas_say(setup: Setup) -> None:
    """A consumer that was generated from the schema would fail on what comes."""
    import jsonschema_rs  # of the extra `dev`: `make versions` collects without it

    replayed(setup.log, some_messages(range(50)))
    replayed(setup.log, [a_message(5, at_s=7200 + n * 0.1, symbol="SOLUSDT") for n in range(3)])
    spoilt(setup.log, dict.fromkeys(FAULTS, 2))
    setup.produce(b"\x00\xff", b"", b'{"e":"trade"}')
    setup.process()
    folder = Path(__file__).parents[2] / "src/tradecap/schemas"
    for name, topic in (
        ("enriched", setup.names.enriched),
        ("candle", setup.names.candles),
        ("quarantined", setup.names.quarantine),
    ):
        schema = json.loads((folder / f"{name}.schema.json").read_text())
        validator = jsonschema_rs.Draft202012Validator(schema)
        messages = setup.messages(topic)
        assert messages
        for message in messages:
            validator.validate(message)
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == set(schema["properties"])


def test_an_enriched_trade_says_what_follows_from_it(setup: Setup) -> None:
    """Each consumer would compute notional, session and lateness by itself, and differently."""
    replayed(setup.log, [a_message(7, at_s=4 * 3600, price=250_050_000_000, qty=150_000_000)])
    setup.process()
    (trade,) = setup.messages(setup.names.enriched)
    begin_ms = (NOON_S + 4 * 3600) * 1000
    assert trade == {
        "event_time": begin_ms + 1,
        "symbol": "BTCUSDT",
        "price": "2500.5",
        "qty": "1.5",
        "trade_id": 7,
        "is_buyer_maker": False,
        "source": "binance",
        "ingest_ts": trade["ingest_ts"],
        "venue": "binance",
        "channel": "trade",
        "trade_time": begin_ms,
        "base": "BTC",
        "quote": "USDT",
        "notional": "3750.75",
        "session": "US",
        "lateness_ms": trade["lateness_ms"],
        "run": trade["run"],
        "seq": 1,
        "too_late": False,
    }


def test_only_closed_minutes_are_sent_where_that_is_wanted(setup: Setup) -> None:
    """A client that asked for final candles would trade on half of one."""
    replayed(setup.log, some_messages(range(60)))
    done = setup.process(only_closed=True)
    messages = setup.messages(setup.names.candles)
    assert [(message["closed"], message["revision"]) for message in messages] == [(True, 12)] * 4
    assert done.candles == 4
    replayed(setup.log, [a_message(1000, at_s=30)])
    setup.process(only_closed=True)
    late = setup.messages(setup.names.candles)[4]
    assert (late["open_time"], late["revision"], late["closed"]) == ("2024-08-09T12:00:00Z", 13, True)


def test_a_symbol_stays_in_its_partition(setup: Setup) -> None:
    """A consumer of one partition would see half of a symbol."""
    symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "XRPUSDT"]
    for symbol in symbols:
        replayed(setup.log, some_messages(range(20), symbol=symbol))
    setup.process()
    for topic in setup.names[:2]:
        for message in committed(setup.kafka.bootstrap, topic):
            assert message.partition == partition_of(message.value["symbol"].encode(), 4)
    assert {message.key for message in committed(setup.kafka.bootstrap, setup.names.enriched)} == set(symbols)
    assert "binance|BTCUSDT|trade|2024-08-09T12:00:00Z" in {
        message.key for message in committed(setup.kafka.bootstrap, setup.names.candles)
    }


def test_a_misplaced_trade_is_counted_and_left_out(setup: Setup) -> None:
    """Two instances would send the same minute, each with half of its trades; after a restart nobody would know."""
    replayed(setup.log, some_messages(range(10)))
    home = partition_of(b"BTCUSDT", 4)
    for number, key in enumerate([b"BTCUSDT", b"anything", None]):
        setup.produce(a_message(500 + number), key=key, partition=(home + 1) % 4)
        setup.produce(a_message(10 + number, at_s=50), key=key, partition=home)
    done = setup.process()
    assert (done.misplaced, done.trades) == (3, 13)
    setup.is_exact()
    status, misplaced = ProcessStatus(), []
    replayed(setup.log, some_messages(range(20, 30)))
    again = setup.process(
        status=status, progress=lambda _: misplaced.append(sum(each.misplaced for each in status.partitions.values()))
    )
    assert (again.misplaced, misplaced[-1]) == (0, 3)


def test_a_rejected_record_can_be_looked_into(setup: Setup) -> None:
    """The reason alone doesn't tell what the venue sent."""
    long = b'{"e":"trade","x":"' + b"y" * 300_000 + b'"}'
    setup.produce(b"\xff\xfe", long)
    setup.process()
    short, cut = sorted(setup.messages(setup.names.quarantine), key=lambda message: message["size"])
    assert (b64decode(short["b64"]), short["size"], short["reason"]) == (b"\xff\xfe", 2, "malformed_json")
    assert (cut["reason"], cut["size"], cut["sha256"]) == ("oversize", len(long), hashlib.sha256(long).hexdigest())
    assert b64decode(cut["b64"]) == long[: 64 * 1024]
    assert set(cut["source"]) == {"run", "seq", "partition", "offset"}


def test_an_envelope_with_a_huge_symbol_does_not_stop_it(setup: Setup) -> None:
    """A broker refuses a message over 1 MB, and the transaction with it, again and again."""
    run = "0191f0e8-0000-7000-8000-000000000000"
    setup.produce(b'{"run":"%b","seq":0,"recv":1,"symbol":"%b","text":"x"}' % (run.encode(), b"\\u0001" * 140_000))
    done = setup.process()
    assert (done.quarantined, done.aborted) == (1, 0)


def test_a_busy_minute_survives_a_restart(setup: Setup) -> None:
    """100 000 trades of one minute in one value would be refused by the broker."""
    producer = Producer({"bootstrap.servers": setup.kafka.bootstrap, "partitioner": "murmur2_random"})
    for number in range(30_000):
        producer.produce(setup.topic, a_message(number, at_s=number / 1000), b"BTCUSDT")
    producer.flush()
    assert setup.process().trades == 30_000
    replayed(setup.log, [a_message(3, at_s=3 / 1000), a_message(4, at_s=4 / 1000, price=1), a_message(40_000, at_s=59)])
    done = setup.process()
    assert (done.trades, done.duplicates, done.conflicts) == (1, 1, 1)
    setup.is_exact()
    state = [len(msgspec.json.encode(message.value)) for message in committed(setup.kafka.bootstrap, setup.names.state)]
    assert max(state) < 256_000


# ---- what fails ------------------------------------------------------------------------------------------------------


def until(setup: Setup, topic: ExactlyOnce, then: Callable[[], None]) -> Processed:
    """Process, and do something after the first batch was worked on and before it is committed."""
    commit = topic.commit
    did: list[bool] = []

    def committing(produced: Any) -> bool:
        if not did:
            did.append(True)
            then()
        return commit(produced)

    topic.commit = committing  # type: ignore[method-assign]  # the moment that can't be met otherwise
    return process(topic, setup.log.id, topic.partition_of, stop=never)


def test_a_zombie_commits_nothing(setup: Setup) -> None:
    """A process that the group has given up would write its batch after another had done the same."""
    replayed(setup.log, some_messages(range(100)))
    with setup.transactions(**{"max.poll.interval.ms": "6000"}) as zombie:

        def sleep_while_another_works() -> None:
            time.sleep(7)
            assert setup.process().trades == 100

        done = until(setup, zombie, sleep_while_another_works)
    assert done.aborted >= 1
    assert done.trades == 0
    setup.is_exact()


@pytest.mark.parametrize("has_sent_offsets", [False, True])
def test_what_a_dead_process_left_open_is_not_committed(setup: Setup, has_sent_offsets: bool) -> None:
    """Half a batch would be in the topics, or its successor would begin at an offset that is never committed."""
    replayed(setup.log, some_messages(range(100)))
    dead = setup.transactions()

    def die(produced: Any) -> bool:
        """Everything but the commit, and then nothing more, not even an abort: as kill -9 does it."""
        member, dead._member = dead._member, None
        assert member is not None
        member._producer.begin_transaction()
        for each in produced:
            member._send(each)
            offsets = [TopicPartition(setup.topic, each.end.partition, each.end.order)]
            if has_sent_offsets:
                member._producer.send_offsets_to_transaction(offsets, member._consumer.consumer_group_metadata(), 30)
        assert member._producer.flush(30) == 0
        member._consumer.close()
        left.append(member)
        raise KeyboardInterrupt

    left: list[object] = []
    dead.commit = die  # type: ignore[method-assign]  # the moment that can't be met otherwise
    with pytest.raises(KeyboardInterrupt):
        process(dead, setup.log.id, dead.partition_of, stop=never)
    assert setup.process().trades == 100
    setup.is_exact()
    assert left


@pytest.mark.parametrize("is_slow", [False, True], ids=["heard at the end", "heard while it sends"])
def test_a_name_that_is_taken_is_refused(setup: Setup, is_slow: bool) -> None:
    """Two processes of one name would throw each other out forever."""
    replayed(setup.log, some_messages(range(100)))
    # a fence within half of it is another process, and not an impatient broker
    patient = {"transaction.timeout.ms": "120000"}
    with setup.transactions("one", **patient) as first:
        commit = first.commit

        def late(messages: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
            time.sleep(1)  # the client hears that it is fenced, and refuses what is sent after that
            yield from messages

        def slowly(produced: Iterable[Produced]) -> Iterator[Produced]:
            for each in produced:
                yield each._replace(candles=late(each.candles))  # type: ignore[arg-type]  # only iterated over

        first.commit = lambda produced: commit(slowly(produced) if is_slow else produced)  # type: ignore[method-assign]  # the moment that can't be met otherwise

        def begin_another() -> None:
            with setup.transactions("one", **patient) as second:
                second._producer()

        with pytest.raises(TradecapError, match="is taken: another process") as refused:
            until(setup, first, begin_another)
    assert refused.value.exit_code == Exit.UNREACHABLE
    assert setup.process().trades == 100
    setup.is_exact()


def test_it_ends_when_asked(setup: Setup) -> None:
    """SIGTERM would cut a batch, or wait for a topic that never ends."""
    replayed(setup.log, some_messages(range(100)))
    done: list[int] = []
    result = setup.process(follow=lambda: not done, stop=lambda: bool(done), progress=done.append)
    assert result.trades == 100
    setup.is_exact()


# ---- what is refused -------------------------------------------------------------------------------------------------


def refusal(setup: Setup) -> TradecapError:
    with pytest.raises(TradecapError) as refused:
        setup.process()
    assert refused.value.hint
    return refused.value


def test_missing_topics_are_named(kafka: Kafka, topic: str) -> None:
    """An unknown topic would be retried until a time-out, batch after batch."""
    log = open_log(kafka.url(topic))
    with pytest.raises(TradecapError, match=r"There is no topic .*enriched") as refused:
        topic_of(log).exactly_once({}, "")
    assert "tradecap topics --create" in refused.value.hint
    assert refused.value.exit_code == Exit.USAGE


def test_topics_of_another_partition_count_are_refused(setup: Setup) -> None:
    """The trades of a symbol would be in one partition and its state in none."""
    setup.kafka.delete_topic(setup.names.candles)
    setup.kafka.new_topic(setup.names.candles, 3, {"cleanup.policy": "compact,delete"})
    problem = refusal(setup)
    assert "has 3 partitions" in problem.message
    assert problem.exit_code == Exit.USAGE


def test_a_state_that_is_deleted_by_age_is_refused(setup: Setup) -> None:
    """After a week ids would be forgotten, and their repeats be trades."""
    setup.kafka.delete_topic(setup.names.state)
    setup.kafka.new_topic(setup.names.state, 4, {"cleanup.policy": "delete"})
    assert "cleanup.policy is delete" in refusal(setup).message


def test_state_of_a_newer_version_is_refused(setup: Setup) -> None:
    """An old program would misread it, and write on."""
    for partition in range(4):
        setup.produce(
            b'{"version":2,"log":"x","offset":0,"more":1}',
            key=b'["position"]',
            partition=partition,
            topic=setup.names.state,
        )
    assert "holds state of version 2" in refusal(setup).message


def test_state_that_was_lost_is_not_made_up(setup: Setup) -> None:
    """A state topic that was made again would let every repeat through as a new trade."""
    replayed(setup.log, some_messages(range(10)))
    setup.process()
    setup.kafka.delete_topic(setup.names.state)
    setup.kafka.new_topic(setup.names.state, 4, {"cleanup.policy": "compact"})
    replayed(setup.log, some_messages(range(10)))
    assert "the state was lost" in refusal(setup).message


def test_state_of_another_log_is_refused(setup: Setup) -> None:
    """A topic that was made again would be read with the ids of the one before, at its positions."""
    replayed(setup.log, some_messages(range(10)))
    setup.process()
    setup.kafka.delete_topic(setup.topic)
    setup.kafka.new_topic(setup.topic)
    with pytest.raises(TradecapError, match="holds the state of another log"):
        Setup(setup.kafka, setup.topic).process()


def test_two_uses_of_a_topic_are_refused() -> None:
    """Candles in the topic of the trades would be read as trades."""
    with pytest.raises(TradecapError, match="Topic x can't be used for two things"):
        output_topics("trades.raw", {"enriched": "x", "candles": "x"})
    with pytest.raises(TradecapError, match=r"Topic trades\.raw can't be used"):
        output_topics("trades.raw", {"state": "trades.raw"})
    assert output_topics("a", {"candles": "bars"}) == OutputTopics(
        "a.enriched", "bars", "a.quarantine", "a.process.state"
    )
    assert output_topics("trades.raw", {}) == OutputTopics(
        "trades.enriched", "candles.1m", "trades.quarantine", "process.state"
    )


# ---- the command -----------------------------------------------------------------------------------------------------

PROGRAM = str(Path(sys.executable).with_name("tradecap"))
KEYS = {"records", "valid", "duplicates", "conflicts", "quarantined", "candles", "transactions"}


def page(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def waited_for(port: int, path: str, text: str) -> int:
    """The status of a page, once it contains the text."""
    until_s = time.monotonic() + 60
    while text not in (found := page(port, path))[1]:
        assert time.monotonic() < until_s, found
        time.sleep(0.2)
    return found[0]


def test_a_follower_is_watched_and_ended(setup: Setup, tmp_path: Path) -> None:
    """Nobody would see that it stands still, or that trades are left out; SIGTERM would lose its result."""
    replayed(setup.log, some_messages(range(100)))
    command = [
        PROGRAM,
        "process",
        "--log",
        setup.url,
        "--follow",
        "--metrics-port",
        "0",
        "--json",
        "--log-format",
        "json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as running:
        assert running.stderr is not None
        port = next(line["port"] for line in map(json.loads, running.stderr) if "port" in line)
        waited_for(port, "metrics", "tradecap_process_consumed_total 102.0")
        assert page(port, "ready") == (200, "ok\n")
        text = page(port, "metrics")[1]
        for name in (
            "produced_total 1",
            "duplicates_total 0.0",
            "rejected_total 0.0",
            "misplaced 0.0",
            "transaction_seconds ",
            "lag_offsets{",
        ):
            assert f"\ntradecap_process_{name}" in text
        assert page(port, "health") == (200, "ok\n")
        setup.produce(a_message(7), key=b"BTCUSDT", partition=(partition_of(b"BTCUSDT", 4) + 1) % 4)
        assert waited_for(port, "health", "1 trades are in a partition") == 503
        running.send_signal(signal.SIGTERM)
        stdout, stderr = running.communicate(timeout=60)
    done = json.loads(stdout)
    assert set(done) >= KEYS
    assert (running.returncode, done["records"], done["misplaced"], "left out" in stderr) == (1, 103, 1, True)
    setup.is_exact()


def test_topics_shows_and_makes_those_of_process(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """Each user would have to make five topics by hand, and get one setting wrong."""
    (tmp_path / "tradecap.toml").write_text(
        f'[profile.x]\nlog = "{kafka.url(topic)}"\n[profile.x.topics]\ncandles = "{topic}-bars"\n'
    )
    shown = subprocess.run(
        [PROGRAM, "topics", "--json", "--profile", "x"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (shown.returncode, [each["name"] for each in json.loads(shown.stdout)["topics"]]) == (0, [topic])
    made = subprocess.run(
        [PROGRAM, "topics", "--json", "--profile", "x", "--create"], capture_output=True, text=True, cwd=tmp_path
    )
    rows = {each["name"]: each for each in json.loads(made.stdout)["topics"]}
    policies = {name: set(row["config"]["cleanup.policy"].split(",")) for name, row in rows.items()}
    assert policies == {
        topic: {"delete"},
        f"{topic}.enriched": {"delete"},
        f"{topic}-bars": {"compact", "delete"},
        f"{topic}.quarantine": {"delete"},
        f"{topic}.process.state": {"compact"},
    }
    assert all((row["partitions"], row["drift"]) == (4, []) for row in rows.values())
    replayed(open_log(kafka.url(topic)), some_messages(range(10)))
    done = subprocess.run(
        [PROGRAM, "process", "--json", "--profile", "x"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, json.loads(done.stdout)["candles"]) == (0, 1)
    assert len(committed(kafka.bootstrap, f"{topic}-bars")) == 1
