"""Generated command lines, run in this process: no traceback, no secret, no sign that moves a cursor, and the exit code
that the line must have.

`make fuzz` runs ten thousand: FUZZ_COMMANDS=10000. Commands that go on until they are stopped (simulate, stream,
--follow) and those that need a broker are only given lines that they must refuse, and questions for help.
"""

import io
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from tests.flows.builders import some_messages
from tradecap.cli import COMMANDS, load_command, run
from tradecap.cli.contradictions import CONTRADICTIONS
from tradecap.cli.options import SharedOption

COUNT = int(os.environ.get("FUZZ_COMMANDS", "400"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
PASSWORD = "hunter2-is-secret"
EVIL = "\x1b]0;evil\x07\x1b[2J"
ENDLESS = ("simulate", "stream", "demo", "topics", "ship", "attest", "completion")
"""Not run to the end here: they wait, need a broker, or print a script."""
STRICT = ("count", "duration", "size", "port", "factor", "speed", "interval", "time", "offset", "expectation", "choice")
"""Types that take no text of any other kind."""
WORDS = [
    *(
        "",
        " ",
        "-",
        "--",
        "0",
        "1",
        "-1",
        "5",
        "1.5",
        "max",
        "10m",
        "-10m",
        "64MB",
        "1e9",
        "99999999999999999999",
        "٣",
        "NaN",
        "inf",
    ),
    *(
        "2024-08-09",
        "2024-08-09T12:00:00Z",
        "2024-02-30",
        "9999-12-31",
        "1m",
        "7m",
        "BTCUSDT",
        "btcusdt",
        "ETHUSDT",
        "binance:BTCUSDT",
        "nowhere:X",
    ),
    *(
        "recording",
        "empty",
        "a folder",
        "there/is/none",
        "/dev/null",
        "sample:",
        "~/x",
        "file:x",
        "x" * 3000,
        "é\u202e漢",
        EVIL,
        "\udcff\udc80",
        "a\nb",
    ),
    *(
        "records=5",
        "records",
        "=",
        "%s %d {0}",
        "$(id)",
        "'; DROP TABLE trades; --",
        "SELECT 1",
        "runs",
        "--csv",
        "trade",
        "aggTrade",
        "kafka",
        "loader",
    ),
]
FITTING = {
    **{
        "count": ["0", "1", "5"],
        "duration": ["0s", "10m"],
        "size": ["64MB"],
        "speed": ["max", "1000000"],
        "time": ["2024-08-09", "-10m"],
        "symbol": ["btcusdt"],
    },
    **{
        "series": ["binance:BTCUSDT"],
        "interval": ["5m"],
        "expectation": ["records=22"],
        "offset": ["+01:00"],
        "file": ["out"],
    },
}
"""Values by the name of their type."""
LOGS = [
    "file:tradecap-data/log",
    "file:none",
    "file:",
    "x",
    "kafka:",
    "http://h/x",
    f"file:{EVIL}",
    "file:a folder",
    "\udcff",
]
STORES = [
    *(
        "chdb:recording/there",
        "chdb:",
        "x",
        "mysql://h/x",
        f"clickhouse://me:{PASSWORD}@127.0.0.1:1/market",
        f"clickhouse://127.0.0.1:1/m?password={PASSWORD}",
    ),
    *(f"clickhouse://me:{PASSWORD}@[::1", f"postgresql://me:{PASSWORD}@h/x", f"chdb:{EVIL}", "chdb:recording"),
]


class Line(NamedTuple):
    """A command line. wanted: the exit codes that are right for it; None: any of the contract's."""

    words: list[str]
    wanted: set[int] | None


class Screen(io.StringIO):
    """A terminal, or none."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def lines(rng: random.Random) -> Iterator[Line]:
    """One after another, without an end."""
    while True:
        name = rng.choice(list(COMMANDS))
        kind = rng.choice([_any, _any, _any, _unknown_option, _unknown_command, _wrong_value, _contradiction, _help])
        yield kind(rng, name)


def _any(rng: random.Random, name: str) -> Line:
    """Options and arguments of the command, with any values."""
    if name in ENDLESS:
        name = rng.choice(["replay", "replay", "config", "inject-bad"])
    words = [name, *_place(rng, name)]
    for param in rng.sample(_params(name), k=min(rng.randint(0, 4), len(_params(name)))):
        if param.name == "follow":
            continue
        words += _given(rng, param)
    if name in ("replay", "query", "candles"):
        good = {"replay": "recording", "query": "runs", "candles": "BTCUSDT"}[name]
        words.append(good if rng.random() < 0.7 else rng.choice(WORDS))
    return Line(words, None)


def _place(rng: random.Random, name: str) -> list[str]:
    """Where log and store are: seldom where a store is, since opening one takes a second."""
    if name == "config":
        return []
    stores = STORES if rng.random() > 0.01 else ["chdb:tradecap-data/db"]
    logs = LOGS if rng.random() < 0.3 else ["file:tradecap-data/log"]
    return ["--log", rng.choice(logs), "--store", rng.choice(stores)]


def _given(rng: random.Random, param: click.Option) -> list[str]:
    opt = rng.choice(param.opts)
    if param.is_flag or param.count:
        return [opt]
    fitting = FITTING.get(
        param.type.name, param.type.choices if isinstance(param.type, click.Choice) else ["there/is/none"]
    )
    value = rng.choice(fitting if rng.random() < 0.8 else WORDS)
    return [f"{opt}={value}"] if opt.startswith("--") and rng.random() < 0.5 else [opt, str(value)]


def _params(name: str) -> list[click.Option]:
    own = [param for param in load_command(name).params if isinstance(param, click.Option)]
    return [param for param in own if not (isinstance(param, SharedOption) and param.name in ("log", "store"))]


def _unknown_option(rng: random.Random, name: str) -> Line:
    return Line(
        [
            name,
            f"--{rng.choice(['nonsense', 'nö', EVIL, 'x' * 500])}",
            *([] if rng.random() < 0.5 else [rng.choice(WORDS)]),
        ],
        {2},
    )


def _unknown_command(rng: random.Random, name: str) -> Line:
    word = rng.choice([name + "x", name.upper() + "!", "serve-up", EVIL, "\udcff", f"clickhouse://me:{PASSWORD}@h/x"])
    return Line([word, *([rng.choice(WORDS)] if rng.random() < 0.5 else [])], {2})


def _wrong_value(rng: random.Random, name: str) -> Line:
    """An option whose type takes no such value."""
    typed = [param for param in _params(name) if param.type.name in STRICT]
    if not typed:
        return _unknown_option(rng, name)
    return Line(
        [name, f"{rng.choice(rng.choice(typed).opts)}={rng.choice(['~!', EVIL, 'no such value', chr(0x202E)])}"], {2}
    )


def _contradiction(rng: random.Random, _: str) -> Line:
    table = [(command, pair) for command, pairs in CONTRADICTIONS.items() for pair in pairs]
    command, pair = rng.choice(table)
    flags = {
        opt
        for param in load_command(command).params
        if isinstance(param, click.Option) and param.is_flag
        for opt in param.opts
    }
    return Line([command, "x", *(word for opt in pair for word in ([opt] if opt in flags else [opt, "5"]))], {2})


def _help(rng: random.Random, name: str) -> Line:
    return Line(rng.choice([[name, "--help"], [name, "-h"], ["--help"], ["--version"], []]), {0})


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[random.Random, pytest.MonkeyPatch], None]:
    """A folder with a recording, an empty file and a folder; secrets in the environment; and another terminal each time
    it is called."""
    for name in [name for name in os.environ if name.startswith(("TRADECAP_", "_TRADECAP"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRADECAP_STORE_PASSWORD", PASSWORD)
    monkeypatch.setenv("TRADECAP_KAFKA_SASL_PASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)
    Path("recording").write_bytes(b"".join(message + b"\n" for message in some_messages(range(20))))
    Path("empty").touch()
    Path("a folder").mkdir()

    def another(rng: random.Random, patched: pytest.MonkeyPatch) -> None:
        patched.setenv("COLUMNS", rng.choice(["80", "20", "1", "300"]))
        patched.setenv("TERM", rng.choice(["xterm", "dumb", "vt100", ""]))
        patched.setenv("NO_COLOR", rng.choice(["", "1"]))
        patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        for name in ("stdout", "stderr"):
            patched.setattr(sys, name, Screen(is_terminal=rng.random() < 0.5))

    return another


def test_no_line_ends_in_a_traceback_a_secret_or_another_exit_code(
    environment: Callable[[random.Random, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one line that nobody thought of is what a newcomer types; a traceback, a password in a log, or exit 0 for
    nonsense follows."""
    codes: Counter[int] = Counter()
    made = lines(random.Random(SEED))
    for number in range(COUNT):
        line, rng = next(made), random.Random(f"{SEED}-{number}")
        with monkeypatch.context() as patched:
            environment(rng, patched)
            code = run(line.words)
            out, err = (stream.getvalue() for stream in (sys.stdout, sys.stderr) if isinstance(stream, Screen))
        codes[code] += 1
        assert not wrong(line, code, out, err), f"{number}: {line.words!r} gave {code}\n{out[-500:]}\n{err[-1500:]}"
    print({"lines": COUNT, **{f"exit {code}": count for code, count in sorted(codes.items())}})


def wrong(line: Line, code: int, out: str, err: str) -> list[Any]:
    """What is wrong with an end."""
    answer = re.sub(r"\x1b\[[0-9;]*m", "", out + err)
    return [
        *(["exit code"] if code not in (line.wanted or {0, 1, 2, 3, 4}) else []),
        *(
            ["traceback"]
            if "Traceback" in answer and "-vv" not in line.words and "verbose" not in str(line.words)
            else []
        ),
        *(["internal error"] if "Internal error" in answer else []),
        *(["secret"] if PASSWORD in answer else []),
        *(["escape sequence"] if EVIL[:4] in answer or "\u202e" in err else []),
        *(["no hint"] if code > 1 and "hint" not in err else []),  # the fix of a failed check comes with the result
    ]
