"""What ClickHouse's own ways to fail look like to a person."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.store.endpoint import PASSWORD
from tradecap.errors import Exit, TradecapError
from tradecap.store import create_store, open_store


def test_a_wrong_password_is_told_without_the_password(server: str) -> None:
    """Passwords end up in logs of CI."""
    with pytest.raises(TradecapError) as error:
        open_store(server.replace(quote(PASSWORD), "wr0ng"))
    assert error.value.exit_code == Exit.UNREACHABLE
    assert "wr0ng" not in error.value.message


def test_a_server_that_isnt_there_is_told() -> None:
    """A traceback of urllib3 helps nobody."""
    with pytest.raises(TradecapError, match="can't be reached") as error:
        open_store("clickhouse://user:secret@127.0.0.1:9/market")
    assert error.value.exit_code == Exit.UNREACHABLE
    assert "secret" not in error.value.message


def test_a_second_process_is_told_who_holds_an_embedded_store(tmp_path: Path) -> None:
    """One process owns the folder; without a name nobody knows which."""
    url = f"chdb:{tmp_path}/db"
    create_store(url)
    code = f"import time; from tradecap.store import open_store; store = open_store({url!r}); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TradecapError, match=f"process {holder.pid}") as error:
            open_store(url)
        assert error.value.exit_code == Exit.UNREACHABLE
        holder.kill()
        holder.wait()
    open_store(url).close()
