"""Other people's clients, unchanged, in environments of their own: trades with a reconnect in between, and what REST
tells of them.

The environments are kept in TRADECAP_CLIENTS (else in the user's cache) and made when they aren't there, which needs a
package index.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tradecap.simulate import Exchange, Fault, Generated
from tradecap.simulate.market_data import History
from tradecap.simulate.messages import agg_trade_row, decimal, trade_row

pytestmark = pytest.mark.clients

CLIENTS = {
    "python_binance": "python-binance==1.0.37",
    "ccxt": "ccxt==4.5.90",
    "binance_sdk_spot": "binance-sdk-spot==13.2.0",
}
HERE = Path(__file__).parent / "clients"
COUNT = 150
RECONNECT_AT = 60
PATIENCE_S = 90


def an_environment(package: str) -> tuple[Path | None, str]:
    """A Python that has the package; None and the reason where it can't be had."""
    cache = Path(os.environ.get("TRADECAP_CLIENTS") or Path.home() / ".cache/tradecap/clients")
    folder = cache / f"{package.replace('==', '-')}-py{sys.version_info.major}{sys.version_info.minor}"
    python, ready = folder / "bin/python", folder / "ready"
    if ready.exists():
        return python, ""
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, capture_output=True, timeout=120)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
        subprocess.run(install, check=True, capture_output=True, timeout=400)
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"{package} ({error})"
    ready.touch()
    return python, ""


@pytest.mark.parametrize("name", sorted(CLIENTS))
@pytest.mark.parametrize("ending", [Fault("close", code=1001), Fault("abort")], ids=["close", "abort"])
def test_a_real_client_gets_what_was_traded(
    name: str, ending: Fault, outside_part: Callable[[bool, str], None]
) -> None:
    """People would have to change their client to test it here, and then test another client."""
    python, problem = an_environment(CLIENTS[name])
    outside_part(python is not None, problem)
    assert python is not None
    asyncio.run(asyncio.wait_for(hold_against(python, HERE / f"with_{name}.py", ending), PATIENCE_S))


async def hold_against(python: Path, script: Path, ending: Fault) -> None:
    begin_ms = time.time_ns() // 1_000_000 - 180_000
    async with Exchange(
        Generated(["BTCUSDT", "ETHUSDT"], begin_ms=begin_ms, rate=60, seed=7), history_s=180
    ) as exchange:
        arguments = (script, exchange.url, exchange.rest_url, "BTCUSDT", str(COUNT))
        client = await asyncio.create_subprocess_exec(
            python, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=2**22
        )
        assert client.stdout is not None
        answer: list[dict[str, Any]] = []
        async for line in client.stdout:
            answer.append(json.loads(line))
            if len(answer) == RECONNECT_AT:
                exchange.fire(ending)
        _, errors = await client.communicate()
        assert client.returncode == 0, errors.decode()[-2_000:]
        *trades, found = answer
        check_trades(exchange, trades)
        check_rest(exchange, found["rest"])
        assert exchange.counts["connections"] >= 2


def history(exchange: Exchange, channel: str) -> History:
    known = exchange.market.history("BTCUSDT", channel)
    assert known is not None
    return known


def check_trades(exchange: Exchange, trades: list[dict[str, Any]]) -> None:
    """Each trade is one of the exchange, none comes twice, and only the reconnect left a hole."""
    ids = [trade["id"] for trade in trades]
    assert len(ids) >= COUNT  # ccxt hands them out by the armful
    holes = [after - before - 1 for before, after in pairwise(ids)]
    assert min(holes) >= 0
    assert sum(hole > 0 for hole in holes) <= 1
    real = {trade.id: trade for trade in history(exchange, "trade").from_id(ids[0], ids[-1] - ids[0] + 1)}
    for answer in trades:
        trade = real[answer["id"]]
        assert (answer["price"], answer["qty"], answer["time"]) == (
            decimal(trade.price),
            decimal(trade.qty),
            trade.trade_time_us // 1000,
        )


def check_rest(exchange: Exchange, found: dict[str, Any]) -> None:
    assert set(found["symbols"]) == {"BTCUSDT", "ETHUSDT"}
    for name, channel, key, row in (
        ("agg_trades", "aggTrade", "a", agg_trade_row),
        ("historical", "trade", "id", trade_row),
    ):
        rows = found[name]
        assert len(rows) == 50
        real = [row(trade, False) for trade in history(exchange, channel).from_id(int(rows[0][key]), 50)]
        assert [{name: str(each[name]) for name in one} for each, one in zip(rows, real, strict=True)] == [
            {name: str(value) for name, value in one.items()} for one in real
        ]
    klines = found["klines"]
    assert len(klines) >= 4
    assert all(after[0] - before[0] == 60_000 for before, after in pairwise(klines))
