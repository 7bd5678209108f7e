"""The one exception that a person sees."""

import pytest

from tradecap.errors import Exit, TradecapError
from tradecap.urls import learn


def test_exit_codes_are_the_documented_numbers() -> None:
    """A script that tests for 1 (a failed check) would take an unreachable store for lost trades."""
    assert {code.name: int(code) for code in Exit} == {
        "OK": 0,
        "CHECK_FAILED": 1,
        "USAGE": 2,
        "UNREACHABLE": 3,
        "UNDELIVERED": 4,
    }
    assert TradecapError("It failed.", "try again.").exit_code is Exit.USAGE


@pytest.mark.parametrize("secret", ["kafka://me:sesame@host:1/t", "http://host/?token=sesame"])
def test_a_secret_is_in_neither_sentence(secret: str) -> None:
    """Errors end up in records, reports and pages: a password there is a password published."""
    error = TradecapError(f"{secret} can't be reached.", f"try {secret} again.", Exit.UNREACHABLE)
    assert "sesame" not in f"{error} {error.message} {error.hint} {error.args}"
    assert error.message.endswith("can't be reached.")


def test_a_secret_of_this_process_is_masked_without_a_url() -> None:
    """A library that quotes the password by itself would publish it."""
    learn("open-sesame")
    assert str(TradecapError("The login open-sesame failed.", "check it.")) == "The login *** failed."
