"""stream with a topic as its log: the spool and its shipper, over real sockets, with a real broker that fails."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.exchange import NO_LIMITS, Running, running, until
from tests.kafka.broker import Broker
from tests.kafka.client import Kafka
from tradecap.errors import Exit
from tradecap.flows.records import read_lines
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.spool import Spool, Target
from tradecap.simulate import Exchange
from tradecap.simulate.generator import Generated

pytestmark = pytest.mark.kafka
PROGRAM = str(Path(sys.executable).with_name("tradecap"))
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
OUTAGE_S = float(os.environ.get("TRADECAP_OUTAGE", "20"))
"""`make chaos` sets ten minutes."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def trading(rate: float) -> Iterator[Running]:
    """An exchange that trades by itself."""
    source = Generated(SYMBOLS, begin_ms=int(time.time() * 1000), rate=rate, seed=5)
    with Running(lambda: Exchange(source, rules=NO_LIMITS)) as exchange:
        yield exchange


@contextmanager
def capturing(
    exchange: Running, url: str, *args: str, symbols: tuple[str, ...] = SYMBOLS
) -> "Iterator[subprocess.Popen[str]]":
    """A capture into a topic; not left behind."""
    words = [
        PROGRAM,
        "stream",
        *symbols,
        "--ws-url",
        exchange.url,
        "--log",
        url,
        "--spool",
        "spool",
        "--min-free",
        "1KB",
        "--json",
        *args,
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: "subprocess.Popen[str]") -> tuple[int, dict[str, Any], str]:
    """Ask it to end; exit code, result, stderr."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    return process.returncode, json.loads(out or "{}"), err


def spooled() -> int:
    """Durable bytes in the spool that the topic hasn't acknowledged; 0 before there is a spool."""
    if not (Path("spool") / "shipped.json").exists():
        return 0
    spool = Spool(FileLog(Path("spool"), create=False))
    return spool.waiting_bytes(spool.position(spool.target.id)) if spool.target else 0


def shipped() -> bool:
    """Whether a part of the spool has been acknowledged."""
    file = Path("spool") / "shipped.json"
    return file.exists() and bool(json.loads(file.read_bytes())["positions"])


def is_heard(exchange: Running) -> bool:
    """Whether a capture is subscribed. On a busy machine its start takes longer than `until_heard` waits."""
    return any(socket.session.streams for socket in [*exchange.exchange.sockets])


def in_topic(url: str) -> dict[str, list[int]]:
    """By run, the seqs in a topic, in the order of first appearance by partition. Fails where a series isn't in
    order."""
    runs: dict[str, dict[int, None]] = {}
    newest: dict[tuple[str, str], int] = {}
    for envelope, _, _ in read_lines(open_log(url)):
        seqs = runs.setdefault(envelope.run, {})
        if envelope.seq in seqs:
            continue
        seqs[envelope.seq] = None
        series = (envelope.run, "" if envelope.event else envelope.symbol)
        assert envelope.seq > newest.get(series, -1), f"{series} isn't in order at seq {envelope.seq}"
        newest[series] = envelope.seq
    return {run: sorted(seqs) for run, seqs in runs.items()}


def test_an_outage_of_the_broker_costs_nothing(killable_broker: Broker, topic_name: str) -> None:
    """A capture would end with its broker, or what came meanwhile would be missing, twice or out of order."""
    kafka = killable_broker.kafka
    url = kafka.url(kafka.new_topic(topic_name))
    with trading(5000 / len(SYMBOLS)) as exchange, capturing(exchange, url, "--segment-size", "5MB") as process:
        until(shipped, 60)
        killable_broker.pause()
        time.sleep(OUTAGE_S)
        assert process.poll() is None, "the capture goes on"
        assert spooled() > 1_000 * 300 * OUTAGE_S, "it captures what it can't ship"
        killable_broker.resume()
        resumed = time.monotonic()
        until(lambda: spooled() < 2_000_000, 60)
        print(f"caught up within {time.monotonic() - resumed:.1f} s after an outage of {OUTAGE_S:.0f} s")
        code, result, err = ended(process)
    assert (code, result["undelivered"]) == (0, 0), err
    print(f"{result['valid']:,} trades")
    assert result["valid"] > 2_000 * OUTAGE_S
    assert in_topic(url) == {result["run"]: list(range(result["records"]))}


def test_a_killed_capture_leaves_a_spool_that_the_next_one_ships(killable_broker: Broker, topic_name: str) -> None:
    """kill -9 with the broker away: what was durable in the spool would never arrive, and its run would never be
    attested."""
    kafka = killable_broker.kafka
    url = kafka.url(kafka.new_topic(topic_name))
    with trading(500) as exchange:
        with capturing(exchange, url) as process:
            until(shipped, 60)
            killable_broker.pause()
            time.sleep(2)
            process.kill()
        assert spooled() > 100_000
        killable_broker.resume()
        until(lambda: not is_heard(exchange), 60)  # the one that was killed
        with capturing(exchange, url) as process:
            until(lambda: is_heard(exchange), 60)
            code, result, err = ended(process)
    assert (code, result["undelivered"], result["gaps_open"]) == (0, 0, []), err
    runs = in_topic(url)
    assert all(seqs == list(range(len(seqs))) for seqs in runs.values())
    assert len(runs) == 2
    events = {
        (envelope.run, envelope.event): json.loads(bytes(envelope.detail))
        for envelope, _, _ in read_lines(open_log(url))
        if envelope.event
    }
    dead = min(runs)
    assert events[result["run"], "recovered"] == {"run": dead, "last_seq": runs[dead][-1]}
    assert events[dead, "started"]["spool"] == FileLog(Path("spool"), create=False).id


def test_a_capture_starts_while_the_broker_is_away() -> None:
    """A service that is restarted in an outage would miss all of the outage."""
    url = "kafka://127.0.0.1:1/trades.raw"
    with running() as exchange:
        with capturing(exchange, url, "--duration", "1s", symbols=("BTCUSDT",)) as process:
            process.communicate(timeout=60)
        assert process.returncode == Exit.UNREACHABLE, "a new spool must know its topic first"
        Spool(FileLog(Path("spool"), create=False)).belong_to(Target("01a22180-b0dd-57f3-86ce-c57a65cc5652", url))
        with capturing(exchange, url, "--duration", "3s", symbols=("BTCUSDT",)) as process:
            out, err = process.communicate(timeout=60)
    result = json.loads(out)
    assert (process.returncode, result["undelivered"]) == (Exit.UNDELIVERED, result["records"]), err
    assert result["records"] >= 3
    assert "they are safe in spool" in err
    assert f"tradecap ship spool --log {url}" in err


def test_a_spool_is_for_one_topic_and_one_capture(kafka: Kafka, topic: str) -> None:
    """Records would go to a topic that nobody asked for, or two captures would write over each other."""
    url = kafka.url(topic)
    with running() as exchange, capturing(exchange, url, symbols=("BTCUSDT",)) as process:
        until(lambda: is_heard(exchange), 60)
        with capturing(exchange, url, symbols=("BTCUSDT",)) as second:
            _, err = second.communicate(timeout=60)
            assert second.returncode == Exit.UNREACHABLE
            assert "--spool DIR" in err
        assert ended(process)[0] == 0
        other = kafka.url(kafka.new_topic(f"{topic}-b"))
        with capturing(exchange, other, symbols=("BTCUSDT",)) as third:
            _, err = third.communicate(timeout=60)
        assert third.returncode == Exit.USAGE
        assert f"tradecap ship spool --log {other}" in err


def test_a_full_spool_ends_the_capture_and_drops_nothing(killable_broker: Broker, topic_name: str) -> None:
    """The disk would fill up, or records would be dropped to prevent it."""
    kafka = killable_broker.kafka
    url = kafka.url(kafka.new_topic(topic_name))
    with trading(2000) as exchange, capturing(exchange, url, "--spool-max", "1MB") as process:
        until(shipped, 60)
        killable_broker.pause()
        time.sleep(1)
        until(lambda: Spool(FileLog(Path("spool"), create=False)).size() > 1_000_000, 60)
        out, err = process.communicate(timeout=90)
    killable_broker.resume()
    result = json.loads(out)
    assert process.returncode == Exit.UNDELIVERED
    assert "--spool-max allows 1.0 MB" in err
    assert f"tradecap ship spool --log {url}" in err
    kept = sum(
        1 for envelope, _, _ in read_lines(FileLog(Path("spool"), create=False)) if envelope.run == result["run"]
    )
    assert kept == result["records"]


def test_what_the_topic_has_is_removed_from_the_spool_and_still_known(kafka: Kafka, topic: str) -> None:
    """The spool would grow forever, or a capture that goes on with a trimmed one would fetch again what it had."""
    url = kafka.url(topic)
    with trading(400) as exchange:
        with capturing(exchange, url, "--segment-age", "500ms", "--duration", "4s") as process:
            out, err = process.communicate(timeout=60)
        first = json.loads(out)
        assert process.returncode == 0, err
        assert len(list(Path("spool").glob("*.ndjson.zst"))) < 3 < len(list(Path("spool").glob("*.json")))
        with capturing(exchange, url, "--duration", "2s") as process:
            out, err = process.communicate(timeout=60)
    second = json.loads(out)
    assert (process.returncode, second["gaps_open"]) == (0, [])
    ends = {each["symbol"]: each["last_id"] for each in first["series"]}
    assert all(each["first_id"] == ends[each["symbol"]] + 1 for each in second["series"]), (
        "it goes on after the last id of the trimmed segments"
    )
    assert in_topic(url) == {each["run"]: list(range(each["records"])) for each in (first, second)}


def test_load_in_the_same_process_reads_the_topic(kafka: Kafka, topic: str) -> None:
    """A store would be fed from the spool, and know nothing of the log that verify is asked about."""
    url = kafka.url(topic)
    assert subprocess.run([PROGRAM, "init-db", "-q"], check=False).returncode == 0
    with trading(200) as exchange, capturing(exchange, url, "--load", "--duration", "3s") as process:
        out, err = process.communicate(timeout=60)
    result = json.loads(out)
    assert (process.returncode, result["load"]["records"]) == (0, result["records"]), err
    done = subprocess.run(
        [PROGRAM, "verify", "--log", url, "--json", "-q"], capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["ok"], done.stdout


def test_monitoring_sees_what_waits_and_whether_the_broker_answers(killable_broker: Broker, topic_name: str) -> None:
    """An outage would show only once the disk is full."""
    kafka = killable_broker.kafka
    url = kafka.url(kafka.new_topic(topic_name))
    with trading(300) as exchange, capturing(exchange, url, "--metrics-port", "0") as process:
        assert process.stderr is not None
        port = next(json.loads(line)["port"] for line in process.stderr if '"port"' in line)
        until(shipped, 60)
        until(lambda: page(port, "ready")[0] == 200, 60)
        killable_broker.pause()
        until(lambda: page(port, "ready")[0] == 503, 60)
        assert "no acknowledgement comes" in page(port, "ready")[1]
        assert page(port, "health")[0] == 200, "a restart would repair nothing"
        assert "broker away" in page(port, "health")[1]
        lines = [
            line.split()
            for line in page(port, "metrics")[1].splitlines()
            if line.startswith("tradecap_") and "{" not in line
        ]
        metrics = {name: float(value) for name, value in lines}
        assert metrics["tradecap_broker_up"] == 0
        assert metrics["tradecap_unacknowledged_bytes"] > 100_000
        assert metrics["tradecap_unacknowledged_seconds"] > 2.5
        assert metrics["tradecap_shipped_records_total"] > 0
        killable_broker.resume()
        until(lambda: page(port, "ready")[0] == 200, 60)
        process.terminate()
        process.communicate(timeout=60)


def page(port: int, name: str) -> tuple[int, str]:
    """Status and text of what monitoring asks for."""
    request = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with request.open(f"http://localhost:{port}/{name}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(
    "args",
    [
        ["--spool", "elsewhere"],
        ["--no-spool"],
        ["--spool-max", "1GB"],
        ["--no-spool", "--spool", "x", "--log", "kafka://localhost/x"],
    ],
)
def test_contradicting_options_of_the_spool_are_refused(args: list[str]) -> None:
    """A person would believe in a spool that isn't there."""
    with running() as exchange:
        words = [PROGRAM, "stream", "BTCUSDT", "--ws-url", exchange.url, *args]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == Exit.USAGE
    assert "spool" in done.stderr
