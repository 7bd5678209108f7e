"""The quick way of a replay at full speed: records are made and appended many at a time.

Rules: the log is the same as by the plain way, byte for byte, and so is every count. Where numpy is installed, lines
that differ in nothing but the digits of their numbers are read together (together.py). All others are framed, read and
counted one by one, in their place.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from tradecap.flows.replay.inputs import Input
from tradecap.flows.replay.intake import Intake
from tradecap.flows.replay.one_by_one import OneByOne, Sink
from tradecap.market.records import json_text
from tradecap.recordings.reading import Frame, Text


class Together(Protocol):
    """Writes lines of a text together where that can be done."""

    def write(self, text: Text, one_by_one: "OneByOne") -> bool:
        """Write the lines of a text, those that it can't by one_by_one; False where the input has ended."""


class QuickReplay:
    """Writes inputs in the quick way."""

    def __init__(self, intake: Intake, sink: Sink, stop: Callable[[], bool]) -> None:
        self._intake, self._sink, self._stop = intake, sink, stop

    def write(self, inputs: Iterable[Input]) -> None:
        """Write the inputs one after another, until stop() is true or the limit is reached."""
        replayed, choice = self._intake.replayed, self._intake.choice
        for entry in inputs:
            name = json_text(entry.source.name.rpartition("/")[2])
            one_by_one = OneByOne(entry, name, self._intake, self._sink)
            together = _together(name, self._intake, self._sink)
            is_stopped = False
            for part in entry.parts:
                if is_stopped := self._stop():
                    break
                if isinstance(part, Frame):
                    goes_on = one_by_one.write_frame(part)
                elif together is None or (
                    choice.limit is not None and choice.limit - replayed.valid <= part.raw.count(b"\n")
                ):
                    goes_on = one_by_one.write_lines(part.raw.split(b"\n")[:-1], part.before + 1, part.known)
                else:
                    goes_on = together.write(part, one_by_one)
                if not goes_on:
                    break
            self._sink.hand_over()
            if one_by_one.is_full:
                return
            # a pipe ends when it is asked to
            replayed.stopped = is_stopped or (entry.source.stream is not None and self._stop())
            if is_stopped:
                return


def _together(name: bytes, intake: Intake, sink: Sink) -> Together | None:
    """What reads lines together: None without numpy, which comes with the extra `embedded`."""
    try:
        from tradecap.flows.replay.together import TemplateReplay
    except ModuleNotFoundError:
        return None
    return TemplateReplay(name, intake, sink)
