"""Paths mean themselves: whatever signs a name holds, for log, store, inputs and outputs, by the real commands."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.flows.builders import a_message, some_messages
from tradecap.cli import COMMANDS, load_command
from tradecap.cli.options import FILE, FILE_NAME
from tradecap.flows.records import read_lines
from tradecap.log.folder.log import FileLog
from tradecap.market.records import Trade
from tradecap.store.clickhouse.plain_names import PlainNames

from .conftest import Program
from .test_wrong_input import ran, report, without_rights

NAMES = (
    "g{1,2}*",
    "q?x=1&y[ab]#z%20%",
    "quo'te\"back\\slash :: a.zip",
    "é 😀\nnew line",
    os.fsdecode(b"not-utf-8-\xff"),
)


def recorded(path: Path | str, *trade_ids: int) -> Path:
    """A recording of trades."""
    Path(path).write_bytes(b"".join(message + b"\n" for message in some_messages(trade_ids)))
    return Path(path)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_means_itself(name: str) -> None:
    """Braces in a log's name loaded nothing and moved its position on; a `?` put the database next to its lock."""
    Path(name).mkdir()
    urls = ("--log", f"file:{name}/{name}", "--store", f"chdb:{name}/{name}.db", "--json")
    recording = str(recorded(f"{name}/{name}.ndjson", *range(1, 41)))
    certificate, junit = f"{name}/{name}.json", f"{name}/{name}.xml"
    ran("init-db", *urls)
    ran("replay", recording, *urls)
    ran("inject-bad", "--from-file", recording, *urls)
    loaded = json.loads(ran("load", *urls).stdout)
    assert (loaded["records"], loaded["valid"], loaded["redelivered"]) == (84, 80, 0)
    ran("verify", "--certificate", certificate, "--junit", junit, *urls)
    ran("verify", "--against", certificate, *urls)
    assert sorted(Path(name).iterdir()) == sorted(
        Path(name, f"{name}{end}") for end in ("", ".db", ".json", ".ndjson", ".xml")
    )
    assert Path(name, f"{name}.db", "store").is_dir(), "the database is where its lock is"
    assert [path.name for path in Path().iterdir()] == [name]


def test_siblings_that_a_pattern_would_match_are_left_alone() -> None:
    """With `g*` next to `g1`, the other log's records would be loaded as well, or instead."""
    ran("init-db", "-q")
    for name, ids in (("g1", (1, 2)), ("g{1,2}", (6,)), ("g*", (7, 8, 9)), ("g?", (10, 11))):
        ran("replay", str(recorded("some.ndjson", *ids)), "--log", f"file:{name}", "-q")
        assert json.loads(ran("load", "--log", f"file:{name}", "--json", "-q").stdout)["valid"] == len(ids)


def test_no_link_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of links for each command would fill up /tmp."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for command in ("init-db", "replay sample: --load", "candles BTCUSDT"):
        ran(*command.split(), "--log", "file:a b*", "--store", "chdb:a ?", "-q")
    assert not list(temporary.iterdir())


def test_a_temporary_folder_with_odd_signs_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link in `{a,b}` has the trouble it was made to avoid."""
    temporary = tmp_path / "{a,b}"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    names = PlainNames()
    name = Path(names.of(Path("a ?")))
    assert name.is_symlink()
    assert "{" not in str(name)
    names.close()
    assert not name.parent.exists()


# ---- the home --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["option", "variable", "file", "slashes"])
def test_a_tilde_is_the_home(how: str, monkeypatch: pytest.MonkeyPatch, lonely: Path) -> None:
    """The shell doesn't expand it inside of a word, so records went into a folder named `~`."""
    recorded("some.ndjson", 1)
    options = {"option": ["--log", "file:~/log"], "slashes": ["--log", "file://~/log"]}.get(how, [])
    if how == "variable":
        monkeypatch.setenv("TRADECAP_LOG", "file:~/log")
    if how == "file":
        Path("tradecap.toml").write_text('log = "file:~/log"')
    ran("replay", "some.ndjson", *options, "-q")
    assert (Path(os.environ["HOME"]) / "log/log.json").exists()
    assert not (lonely / "~").exists()


def test_a_tilde_of_an_option_that_names_a_file() -> None:
    """`--faults=~/x` is left as it is by bash."""
    home = Path(os.environ["HOME"])
    assert (FILE.convert("~/x", None, None), FILE_NAME.convert("~/y", None, None)) == (home / "x", f"{home}/y")
    for plain in ("./~/x", "a/~", "~x", "x~"):
        assert FILE_NAME.convert(plain, None, None) == plain


def test_every_option_that_names_a_file_knows_the_home() -> None:
    """An option with a type of its own would make a folder named `~`."""
    options = [
        param
        for name in COMMANDS
        for param in load_command(name).params
        if param.metavar in ("FILE", "CERTIFICATE") and param.name != "config"
    ]
    assert len(options) >= 5
    assert {type(option.type) for option in options} == {type(FILE)}


# ---- nothing, and nothing that can be entered ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        ("replay x --log ''", "--log is empty"),
        ("replay x --log file:", "'file:' isn't a log URL"),
        ("replay x --log file://", "'file://' isn't a log URL"),
        ("init-db --store chdb:", "'chdb:' is not a store URL"),
        ("init-db --store chdb://", "'chdb://' is not a store URL"),
        ("config --config ''", "--config is empty"),
        ("replay ''", "The name of a file to read is empty"),
        ("inject-bad --from-file ''", "Invalid value for '--from-file': the name of a file is empty"),
        ("verify --certificate ''", "Invalid value for '--certificate': the name of a file is empty"),
        ("verify --junit ''", "Invalid value for '--junit': the name of a file is empty"),
        ("verify --against ''", "Invalid value for '--against': the name of a file is empty"),
        ("verify --klines ''", "Invalid value for '--klines': the name of a file is empty"),
        ("simulate --faults ''", "Invalid value for '--faults': the name of a file is empty"),
        ("simulate ''", "The name of a file to read is empty"),
    ],
)
def test_an_empty_name_gets_a_sentence(args: str, answer: str, lonely: Path) -> None:
    """`--log "file:$UNSET"` must not make the folder that one is in a log."""
    recorded("x", 1)
    assert report(*shlex.split(args)).startswith(answer)
    assert [path.name for path in lonely.iterdir()] == ["x"]


@pytest.mark.skipif(sys.platform != "linux", reason="root has rights everywhere else")
@pytest.mark.parametrize("home", ["closed", "", None])
def test_a_home_that_can_not_be_entered_stops_nothing(tmp_path: Path, home: str | None, tradecap: Program) -> None:
    """After sudo, or in a container, HOME is often that of somebody else."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CONFIG_HOME")}
    if home is not None:
        environment["HOME"] = str(closed) if home else ""
    recorded("x", 1)
    for command in (
        "replay x --log file:l",
        "init-db --store chdb:d",
        "load --log file:l --store chdb:d",
        "verify --log file:l --store chdb:d",
    ):
        finished = tradecap(*command.split(), env=environment, preexec_fn=without_rights)
        assert finished.returncode == 0, finished.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["d", "l", "x"]


@pytest.mark.skipif(sys.platform != "linux", reason="root has rights everywhere else")
@pytest.mark.parametrize("closed", ["db", "db/tradecap.lock", "db/status"])
def test_a_store_that_can_not_be_written_says_how_to_copy_it(closed: str, tradecap: Program) -> None:
    """A reader doesn't expect to need the right to write, and the copy of a folder without it lacks it too."""
    recorded("x", 1)
    urls = ("--log", "file:l", "--store", "chdb:db")
    ran("init-db", "-q", *urls)
    ran("replay", "x", "--load", "-q", *urls)
    if not Path(closed).exists():
        Path(closed).touch()
    Path(closed).chmod(0o555 if closed == "db" else 0o444)
    refused = tradecap("candles", "BTCUSDT", *urls, preexec_fn=without_rights)
    message, hint = refused.stderr.splitlines()[-2:]
    assert (refused.returncode, message) == (
        2,
        "Store db can't be written (Permission denied), and the embedded engine must write, also to read.",
    )
    subprocess.run(
        hint.partition(": ")[2].partition(": ")[2].partition(";")[0], shell=True, check=True, preexec_fn=without_rights
    )
    assert (
        tradecap(
            "candles", "BTCUSDT", "--log", "file:l", "--store", hint.rpartition(" ")[2], preexec_fn=without_rights
        ).returncode
        == 0
    )


def test_an_odd_name_in_a_message_is_still_json(tradecap: Program) -> None:
    """A name that isn't UTF-8 ended in a traceback where the message is JSON."""
    answer = tradecap("replay", os.fsdecode(b"no\xff.gz"), "--log-format", "json").stderr.splitlines()
    assert json.loads(answer[-1])["message"] == "no\ufffd.gz can't be read: No such file or directory."


def test_the_record_of_an_odd_name_is_utf_8() -> None:
    """The name of the recording is in every record: one that isn't UTF-8 broke the run off after its first."""
    Path(os.fsdecode(b"\xff.ndjson")).write_bytes(a_message(1) + b"\n")
    ran("replay", os.fsdecode(b"\xff.ndjson"), "--log", "file:l", "-q")
    sources = [
        envelope.src
        for envelope, reading, _ in read_lines(FileLog(Path("l"), create=False))
        if isinstance(reading, Trade)
    ]
    assert sources == ["\ufffd.ndjson:1"]
