"""A pytest fixture for anybody's tests: `tradecap_exchange`, a local exchange for the length of one test.

    @pytest.mark.tradecap_exchange("sample:", now=True, faults=["close trades=100 code=1001"])
    def test_my_client_reconnects(tradecap_exchange):
        run_my_client(tradecap_exchange.url)

Rules: the exchange runs in a thread with a loop of its own, on a free port of 127.0.0.1. The marker sets options, named
like those of `tradecap simulate`. A marker on a class or module holds for its tests, and the closest one wins, option
by option. Nothing is imported until a test uses the fixture: pytest loads this module in every run.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from tradecap.simulate import Exchange, Fault, Generated, Recording
    from tradecap.simulate.exchange_thread import ExchangeThread
    from tradecap.simulate.recordings import Opener

MARK: Final = "tradecap_exchange"
OPTIONS: Final = {
    "symbols": ("of a recording: only these; of the generator: these", ("BTCUSDT", "ETHUSDT")),
    "rate": ("generator: trades a second of each symbol; None: about 9", None),
    "seed": ("generator and faults: the same seed makes the same", 1),
    "speed": ("1 = as recorded, 'max' = as fast as clients read", 1.0),
    "loop": ("play the recording again and again", False),
    "now": ("shift times so that the first trade is now", False),
    "wait": ("begin when this many streams are subscribed; 0: at once", 1),
    "manual": ("play only what `play(count)` asks for", False),
    "history_s": ("seconds of trading that have happened already", 0.0),
    "faults": ("what goes wrong: texts as --fault takes them, or Fault", ()),
    "tls": ("wss and https; `ca` is the file to trust", False),
    "limits": ("the venue's limits of weight, connections and messages", True),
    "time_scale": ("the venue's clocks run this many times as fast", 1.0),
}
"""What the marker takes in addition to paths of recordings: the meaning, and the default."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARK}(*recordings, {', '.join(OPTIONS)}): the exchange that the fixture {MARK} starts"
    )


class ServedExchange:
    """A running exchange, to be used from the test's own thread."""

    def __init__(self, served: "ExchangeThread") -> None:
        self._served = served
        exchange = served.exchange
        self.url: str = exchange.url
        """The base of WebSocket addresses, without a path: ws://127.0.0.1:40123."""
        self.rest_url: str = exchange.rest_url
        """The base of REST addresses, without a path."""
        self.ca: str | None = exchange.ca
        """With tls=True the file of the authority to trust."""

    def fire(self, fault: "str | Fault") -> None:
        """Let a fault happen now: `close code=1001`, as `tradecap simulate --fault` takes it."""
        each = _fault(fault)
        self._served.call(lambda: self._served.exchange.fire(each))

    def play(self, count: int) -> int:
        """With manual=True: send the next `count` messages; how many there were."""
        return self._served.do(self._served.exchange.play(count))

    @property
    def reports(self) -> list[dict[str, object]]:
        """What faults have done so far, with the ids they touched."""
        return self._served.call(lambda: self._served.exchange.reports)

    @property
    def summary(self) -> dict[str, object]:
        """Counts so far: trades, messages, connections, requests, connections cut and why."""
        return self._served.call(self._served.exchange.summary)


@pytest.fixture
def tradecap_exchange(request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[ServedExchange]":
    """A local exchange on a free port, as the marker `tradecap_exchange` wants it."""
    from tradecap.simulate.exchange_thread import ExchangeThread

    recordings, options = _wanted(request)
    with ExitStack() as stack:
        make = _maker(recordings, options, request.path.parent, tmp_path)
        yield ServedExchange(stack.enter_context(ExchangeThread(make)))


def _wanted(request: pytest.FixtureRequest) -> tuple[tuple[str, ...], dict[str, Any]]:
    recordings: tuple[str, ...] = ()
    options = {name: default for name, (_, default) in OPTIONS.items()}
    given: set[str] = set()
    for mark in reversed([*request.node.iter_markers(MARK)]):  # the closest one last
        unknown = sorted(mark.kwargs.keys() - OPTIONS.keys())
        if unknown:
            raise pytest.UsageError(f"the marker {MARK} has no option {unknown[0]!r}; it has {', '.join(OPTIONS)}")
        options |= mark.kwargs
        given |= mark.kwargs.keys()
        recordings = tuple(str(path) for path in mark.args) or recordings
    if recordings and "symbols" not in given:
        options["symbols"] = ()
    return recordings, options


def _maker(
    recordings: tuple[str, ...], options: Mapping[str, Any], folder: Path, tmp_path: Path
) -> "Callable[[], Exchange]":
    from tradecap.simulate import Exchange, ExchangeSettings, Rules
    from tradecap.simulate.limits import NO_LIMITS
    from tradecap.simulate.tls import throw_away

    context, ca = throw_away("127.0.0.1", tmp_path) if options["tls"] else (None, None)
    settings = ExchangeSettings(
        tls=context,
        ca=str(ca) if ca else None,
        speed=None if options["speed"] == "max" else float(options["speed"]),
        loop=options["loop"] and bool(recordings),
        now=options["now"],
        history_s=options["history_s"],
        start="manual" if options["manual"] else "subscriber" if options["wait"] else "now",
        streams=int(options["wait"]),
        rules=Rules() if options["limits"] else NO_LIMITS,
        time_scale=options["time_scale"],
        faults=[_fault(each) for each in options["faults"]],
        seed=options["seed"],
    )
    return lambda: Exchange(_source(recordings, options, folder), settings)


def _source(recordings: tuple[str, ...], options: Mapping[str, Any], folder: Path) -> "Recording | Generated":
    from tradecap.simulate import Generated, Recording

    symbols = [str(symbol).upper() for symbol in options["symbols"]]
    if recordings:
        return Recording([_opener(each, folder) for each in recordings], symbols)
    begin_ms = (time.time_ns() - int(options["history_s"] * 10**9)) // 1_000_000
    return Generated(symbols, begin_ms=begin_ms, rate=options["rate"], seed=options["seed"])


def _opener(path: str, folder: Path) -> "Opener":
    from tradecap import sample
    from tradecap.recordings.reading import Source
    from tradecap.simulate.recordings import opener

    if path == "sample:":
        return lambda: Source("sample:", stream=sample.open_sample())
    return opener(str(folder / path))  # next to the test's own file, unless it is absolute


def _fault(fault: "str | Fault") -> "Fault":
    from tradecap.simulate.faults import short_fault

    return short_fault(fault) if isinstance(fault, str) else fault
