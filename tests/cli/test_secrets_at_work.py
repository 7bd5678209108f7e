"""Secrets that work: a pipeline that succeeds with them shows them nowhere, neither in what it writes nor to those who
look at it."""

import contextlib
import json
import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import PROGRAM
from tests.cli.test_kafka_security import variables
from tests.cli.test_secrets import ENDS, contents
from tests.cli.test_stream import ended, started
from tests.exchange import running, until
from tests.kafka.secured import Secured
from tests.store.conftest import server as server
from tests.test_urls import HALVES, is_leaked
from tradecap.cli import cli

pytestmark = pytest.mark.kafka
SIGNS = st.text("#/?[]@:%&=+ '\"\\üA\n\t$`{}€😀", max_size=4)
NASTY = f"'{HALVES[0]}%41\n\"\\${HALVES[1]} ü"
COMMANDS = (
    "topics --json",
    "replay sample: --limit 20 -vv",
    "init-db -vv",
    "load -vv --log-format json",
    "verify --certificate certificate.json --junit report.xml -vv --log-format json",
    "config --json",
)


@st.composite
def passwords(draw: st.DrawFn) -> str:
    """As those of URLs, with more signs that mean something somewhere. White space in front, and line ends at the end
    of a file, can't be used."""
    return (draw(SIGNS) + HALVES[0] + draw(SIGNS) + HALVES[1] + draw(SIGNS)).lstrip().rstrip("\r\n")


def environment(
    secured: Secured, topic: str, server: str, password: str, *, end: str, from_file: bool
) -> dict[str, str]:
    """A log and a store that both take this password alone."""
    secured.add_user("keeper", password)
    login = secured.login("keeper") | {"client.id": "keeper"}
    Path("secret").write_bytes(f"{password}{end}".encode())
    own = ("TRADECAP_STORE_PASSWORD", "TRADECAP_KAFKA_SASL_PASSWORD")
    known = {f"{name}_FILE": "secret" for name in own} if from_file else dict.fromkeys(own, password)
    database = re.sub("[^a-z0-9]", "_", topic.lower())
    store = f"clickhouse://{password.encode().hex()}@127.0.0.1:{server.rpartition(':')[2]}/{database}"
    return variables(login) | known | {"TRADECAP_LOG": secured.url(topic), "TRADECAP_STORE": store}


@pytest.fixture
def its_topic(secured: Secured, topic_name: str) -> str:
    """A topic of one partition with all rights for the user `keeper`."""
    secured.allow(
        "keeper", secured.kafka.new_topic(topic_name, partitions=1), "READ", "WRITE", "DESCRIBE_CONFIGS", group=True
    )
    return topic_name


@settings(deadline=None, max_examples=1, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=passwords(), end=ENDS, from_file=st.booleans())
@example(password=NASTY, end="\n", from_file=True)
@example(password=NASTY, end="", from_file=False)
def test_a_password_opens_log_and_store_and_is_shown_nowhere(
    secured: Secured, its_topic: str, server: str, password: str, end: str, from_file: bool
) -> None:
    """A certificate is handed to others, and a report of CI is read by everyone."""
    environ = environment(secured, its_topic, server, password, end=end, from_file=from_file)
    report = [CliRunner().invoke(cli, command.split(), env=environ) for command in COMMANDS]
    assert [each.stderr for each in report if each.exit_code != 0] == []
    assert json.loads(Path("certificate.json").read_bytes())["store"]["url"].endswith(
        its_topic.lower().replace("-", "_")
    )
    files = {path.name: contents(path) for path in Path().rglob("*") if path.is_file() and path.name != "secret"}
    assert {"certificate.json", "report.xml"} <= set(files)
    assert [name for name, text in files.items() if is_leaked(text)] == []
    assert [each.stdout + each.stderr for each in report if is_leaked(each.stdout + each.stderr)] == []


@contextlib.contextmanager
def process_list() -> Iterator[set[str]]:
    """The command lines of all processes that there are meanwhile, as far as this machine shows them."""
    seen: set[str] = set()
    ends = threading.Event()

    def look() -> None:
        while not ends.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ends.set()
        thread.join()


def page(port: int, name: str) -> str:
    """A page of --metrics-port, whatever its status is, with its headers."""
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/{name}", timeout=60) as answer:
            return f"{answer.headers}{answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.headers}{error.read().decode()}"


def pages(process: "subprocess.Popen[str]", figure: str) -> str:
    """All pages of a process that was started with --metrics-port, once it serves a figure, and the lines that it
    writes until it names the port."""
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line)
        if port := re.search(r"localhost:(\d+)/metrics", line):
            until(lambda: figure in page(int(port[1]), "metrics"), 60)
            return "".join([*lines, *(page(int(port[1]), name) for name in ("metrics", "health", "ready", "nothing"))])
    raise AssertionError("".join(lines))


def test_what_runs_shows_its_passwords_on_no_page_and_in_no_process_list(
    secured: Secured, its_topic: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everyone on the machine sees the process list, and everyone in the network the page of the metrics."""
    for name, value in environment(secured, its_topic, server, NASTY, end="\n", from_file=True).items():
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(cli, ["init-db"]).exit_code == 0
    with running() as exchange, process_list() as processes:
        capture = started(exchange, "--load", "--metrics-port", "0", "-vv")
        exchange.play(20)
        report = [pages(capture, "tradecap_records_total"), *ended(capture)[1:]]
        load = subprocess.Popen(
            [PROGRAM, "load", "--follow", "--metrics-port", "0", "-vv"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        report += [pages(load, "tradecap_load_lag_offsets"), *ended(load)[1:]]
        report.append(CliRunner().invoke(cli, ["load"]).output)
        verified = CliRunner().invoke(cli, ["verify"])
    assert (capture.returncode, load.returncode, verified.exit_code) == (0, 0, 0), (report, verified.output)
    assert len([each for each in processes if "--metrics-port" in each]) >= 2 or not Path("/proc").is_dir()
    assert not is_leaked("\n".join([*report, *processes]))
