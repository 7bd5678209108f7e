"""The files of `verify`: what can't be read or written is reported before the work."""

from pathlib import Path

import pytest

from tradecap.cli.reports import read_certificate, refuse_unreadable, refuse_unwritable
from tradecap.errors import Exit, TradecapError


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"version":1}', b"\xff", b"<junit/>"])
def test_a_file_that_is_not_a_certificate_is_named(tmp_path: Path, text: bytes) -> None:
    """`--against` a JUnit report would pass as "nothing was certified"."""
    path = tmp_path / "some.json"
    path.write_bytes(text)
    with pytest.raises(TradecapError) as error:
        read_certificate(path)
    assert error.value.message.startswith(f"{path} ")
    assert "tradecap verify --certificate FILE" in error.value.hint
    assert error.value.exit_code is Exit.USAGE


def test_a_certificate_that_is_missing_is_named(tmp_path: Path) -> None:
    """A mistyped name would end in a traceback."""
    with pytest.raises(TradecapError, match=r"none\.json can't be read: No such file or directory\.") as error:
        read_certificate(tmp_path / "none.json")
    assert error.value.exit_code is Exit.USAGE


def test_a_file_of_klines_that_is_missing_is_not_a_symbol(tmp_path: Path) -> None:
    """`--klines btc.csv` with a typo would search the store for a symbol of that name."""
    with pytest.raises(TradecapError, match=r"btc\.csv can't be read: No such file"):
        refuse_unreadable(str(tmp_path / "btc.csv"))
    (tmp_path / "btc.csv").touch()
    refuse_unreadable(str(tmp_path / "btc.csv"))


def test_a_report_that_cannot_be_written_is_refused_before_the_pass(tmp_path: Path) -> None:
    """An hour of proving would end without its certificate."""
    refuse_unwritable(tmp_path / "new.json")
    with pytest.raises(TradecapError, match="it is a folder"):
        refuse_unwritable(tmp_path)
    with pytest.raises(TradecapError, match="there is no folder"):
        refuse_unwritable(tmp_path / "none" / "new.json")
