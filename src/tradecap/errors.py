"""The one exception a person is meant to see.

Raise it only for what somebody must act on; bad data is a value (`market.records.Rejected`), never an exception. Its
text goes into records, reports and pages, so secrets are masked in it from the beginning.
"""

from enum import IntEnum

from tradecap.urls import mask


class Exit(IntEnum):
    """Exit codes, as promised in docs/cli.md."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNDELIVERED = 4


class TradecapError(Exception):
    """What went wrong and where, in one sentence, and what to do about it."""

    def __init__(self, message: str, hint: str, exit_code: Exit = Exit.USAGE) -> None:
        self.message, self.hint = mask(message), mask(hint)
        super().__init__(self.message)
        self.exit_code = exit_code
