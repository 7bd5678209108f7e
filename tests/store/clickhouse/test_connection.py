"""What ClickHouse's own ways to fail look like to a person."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.proxy import proxying
from tests.store.endpoint import PASSWORD
from tradecap.errors import Exit, TradecapError
from tradecap.store import create_store, open_store


def test_a_wrong_password_is_reported_without_the_password(server: str) -> None:
    """Passwords end up in logs of CI."""
    with pytest.raises(TradecapError) as error:
        open_store(server.replace(quote(PASSWORD), "wr0ng"))
    assert error.value.exit_code == Exit.UNREACHABLE
    assert "wr0ng" not in error.value.message


def test_a_server_that_isnt_there_is_reported() -> None:
    """A traceback of urllib3 helps nobody."""
    with pytest.raises(TradecapError, match="can't be reached") as error:
        open_store("clickhouse://user:secret@127.0.0.1:9/market")
    assert error.value.exit_code == Exit.UNREACHABLE
    assert "secret" not in error.value.message


def test_the_process_that_holds_an_embedded_store_is_named_to_a_second_one(tmp_path: Path) -> None:
    """One process owns the folder; without a name nobody knows which."""
    url = f"chdb:{tmp_path}/db"
    create_store(url)
    code = (
        f"import time; from tradecap.store import open_store; store = open_store({url!r}); print('held', "
        "flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TradecapError, match=f"process {holder.pid}") as error:
            open_store(url)
        assert error.value.exit_code == Exit.UNREACHABLE
        holder.kill()
        holder.wait()
    open_store(url).close()


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_a_server_is_reached_through_a_proxy(scheme: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy with a login a capture would be written that no store can be filled from."""
    port = int(server.rpartition(":")[2])
    with proxying("me:se/same") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"{scheme}://me:se/same@127.0.0.1:{proxy.port}/")
        monkeypatch.delenv("NO_PROXY", raising=False)
        create_store(f"{server.replace('127.0.0.1', 'store.test')}/through_{scheme}")
        asked = {each.partition("?")[0] for each in proxy.asked}
    assert asked == {f"SOCKS store.test:{port}"} if scheme == "socks5h" else {f"POST http://store.test:{port}/"}


@pytest.mark.parametrize(
    ("scheme", "proxy", "status", "says"),
    [
        (
            "clickhouse",
            "http://me:sesame@127.0.0.1:1/x",
            0,
            "the proxy 127.0.0.1:1 can't be reached: the connection was refused",
        ),
        ("clickhouse", "http://me:sesame@127.0.0.1:{}", 0, "refuses the user or the password (HTTP 407)"),
        ("clickhouses", "127.0.0.1:{}", 0, "wants a user and a password (HTTP 407)"),
        (
            "clickhouse",
            "127.0.0.1:{}",
            502,
            "the proxy 127.0.0.1:{} doesn't connect to the store: HTTP 502 (Bad Gateway)",
        ),
    ],
)
def test_a_failure_at_a_proxy_names_it(
    scheme: str, proxy: str, status: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store would be looked at, which is well; and the login of the proxy would be printed."""
    with proxying("me:other", status) as running:
        monkeypatch.setenv("ALL_PROXY", proxy.format(running.port))
        with pytest.raises(TradecapError, match="can't be reached") as caught:
            open_store(f"{scheme}://u:s3cr3t@store.test:1")
    assert says.format(running.port) in caught.value.message
    assert "ALL_PROXY" in caught.value.hint
    assert "sesame" not in caught.value.message
    assert "s3cr3t" not in caught.value.message


@pytest.mark.parametrize(
    "password", ["se/same", "se#same", "se?same", "se[same", "se@same", "se:same", "se%2Fsame", "pass word"]
)
def test_a_password_may_be_written_as_it_is(password: str, server: str) -> None:
    """A raw sign in it would end in a traceback that shows half of it."""
    with pytest.raises(TradecapError) as caught:
        open_store(f"clickhouse://user:{password}@127.0.0.1:{server.rpartition(':')[2]}/nothing")
    is_right = password == "pass word"
    assert ("Authentication failed" in caught.value.message) is not is_right
    assert "same" not in caught.value.message
    assert "user:***@127.0.0.1" in caught.value.message
