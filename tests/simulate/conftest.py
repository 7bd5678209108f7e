"""Tests of the exchange with other people's clients have a mark of their own: they need packages, and the time of a
real reconnect."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "clients: runs somebody else's client library, installed into an environment of its own"
    )
