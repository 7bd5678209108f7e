"""Ctrl-C, SIGTERM and SIGHUP: the first asks for the end, the second takes it."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tradecap.cli.output import Output
from tradecap.cli.signals import SIGNALS, STOPPING, die_softly, end_in_peace, interruptible


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The handlers of the tests' own process come back. Under nohup a hangup would be ignored from the beginning."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    """A capture would be torn by the first Ctrl-C, or could not be stopped at all."""
    with interruptible(Output()) as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        assert STOPPING in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_a_terminal_that_closes_may_say_so_twice() -> None:
    """The kernel and the shell both send it: the end record would never be written."""
    with interruptible(Output()) as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stop()


def test_a_hangup_that_was_ignored_stays_ignored() -> None:
    """`nohup tradecap stream` would end with its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible(Output()) as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop()
    die_softly()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_the_handlers_are_given_back_and_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """The second part of a command would take Ctrl-C for a question that nobody reads."""
    before = [signal.getsignal(number) for number in SIGNALS]
    out = Output()
    out.quiet = True
    with interruptible(out):
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert capfd.readouterr().err == ""


def test_outside_of_a_flow_a_signal_raises_and_at_the_very_end_it_does_nothing() -> None:
    """A killed command would leave its lock and its files, or a finished one exit as if it had been killed."""
    die_softly()
    for number in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    end_in_peace()
    for number in SIGNALS:
        signal.raise_signal(number)


INPUT_THAT_WAITS = """
import os
from tradecap.cli.signals import StoppableInput
from tradecap.flows.stop import Stop

reading, writing = os.pipe()
stop = Stop()
with StoppableInput(reading) as intake:
    intake.stop = stop
    os.write(writing, b"one")
    assert intake.read(100) == b"one"
    stop.ask()
    os.write(writing, b"two")
    assert intake.read(100) == b""
"""


def test_an_input_that_waits_ends_with_the_request() -> None:
    """`tail -f | tradecap replay -` would wait for one more line after Ctrl-C.

    In a process of its own: select() takes descriptors up to 1023, and this one may hold more (standard input is 0).
    """
    subprocess.run([sys.executable, "-c", INPUT_THAT_WAITS], check=True, timeout=60)
