"""Asks the store in a thread while the log is counted.

Rules: a question asked here needs nothing of the log, and nobody else can change the store meanwhile: a shared one
would answer for a time before the log was cut. One thread at a time uses the store. When counting ends, the question
that is running is waited for, and the others are dropped: they are asked where their answers are needed. An answer is
used once, so a second look asks again. An error is raised where the answer is needed.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, TypeVarTuple, cast

Question = tuple[Callable[..., object], *tuple[object, ...]]
"""What to call, and with which arguments."""
Returned = TypeVar("Returned")
Arguments = TypeVarTuple("Arguments")


class Ahead:
    """Calls a question, or takes the answer that is there already."""

    def __init__(self) -> None:
        self._answers: dict[Question, Future[Any]] = {}

    @contextmanager
    def asking(self, questions: Iterable[Question]) -> Iterator[None]:
        """Ask these in a thread, one after the other, which has ended when the context is left."""
        asked: dict[Question, Future[Any]] = {}
        # Leaving this context waits too: a second Ctrl-C ends the wait below.
        with ThreadPoolExecutor(1, "ahead") as thread:
            try:
                with suppress(RuntimeError):  # a machine without room for a thread asks afterwards
                    for question in questions:
                        asked[question] = thread.submit(_answer, question)
                yield
            finally:
                thread.shutdown(wait=False, cancel_futures=True)
                self._answers = {question: answer for question, answer in asked.items() if not answer.cancelled()}
                wait(self._answers.values())

    def __call__(self, question: Callable[[*Arguments], Returned], *arguments: *Arguments) -> Returned:
        """The answer to a question."""
        asked = self._answers.pop((question, *arguments), None)
        return question(*arguments) if asked is None else cast(Returned, asked.result())


def _answer(question: Question) -> object:
    call, *arguments = question
    return call(*arguments)
