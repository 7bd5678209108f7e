"""Who may write a log's folder."""

import errno
import os
from pathlib import Path

import pytest

from tradecap.errors import Exit, TradecapError
from tradecap.log.folder.lock import Holder, Lock, cannot_write, holder, read_holder


def test_the_lock_names_its_process_and_run_while_it_is_held(tmp_path: Path) -> None:
    """Somebody who wants to write would not know which process to stop."""
    assert holder(tmp_path) is None
    lock = Lock(tmp_path)
    assert holder(tmp_path) == Holder(os.getpid(), "")
    lock.name_run("0191-a-run")
    assert holder(tmp_path) == Holder(os.getpid(), "0191-a-run")
    lock.name_run("r")
    assert read_holder(tmp_path / "lock") == Holder(os.getpid(), "r")
    lock.release()
    assert holder(tmp_path) is None
    assert read_holder(tmp_path / "lock") is None


def test_a_second_lock_is_refused_with_the_holder_and_leaves_the_first_one_held(tmp_path: Path) -> None:
    """Two logs of one process would write one folder."""
    first = Lock(tmp_path)
    with pytest.raises(TradecapError, match=rf"is being written by process {os.getpid()}\.") as refused:
        Lock(tmp_path)
    assert refused.value.exit_code is Exit.UNREACHABLE
    assert holder(tmp_path) == Holder(os.getpid(), "")
    first.release()
    first.release()
    Lock(tmp_path).release()


@pytest.mark.parametrize("text", [b"", b"{", b'{"pid":"x"}', b"\xff" * 80], ids=["empty", "cut", "wrong", "noise"])
def test_a_lock_file_that_says_nothing_still_locks(tmp_path: Path, text: bytes) -> None:
    """A holder that died while it wrote its name, or a foreign file, would decide who may write."""
    (tmp_path / "lock").write_bytes(text)
    assert holder(tmp_path) is None
    lock = Lock(tmp_path)
    (tmp_path / "lock").write_bytes(text)
    assert holder(tmp_path) == Holder(0, "")
    with pytest.raises(TradecapError, match="is being written by another process"):
        Lock(tmp_path)
    lock.release()


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    """A traceback would hide that nothing was lost."""
    with pytest.raises(TradecapError, match="the records of earlier runs are safe") as error:
        Lock(tmp_path / "none")
    assert error.value.exit_code is Exit.UNDELIVERED


@pytest.mark.parametrize(
    ("code", "exit_code", "text"),
    [
        (errno.EACCES, Exit.USAGE, "can't be written: Permission denied."),
        (errno.EROFS, Exit.USAGE, "can't be written: Read-only file system."),
        (errno.ENOSPC, Exit.UNDELIVERED, "The disk is full: 5 records are safe in"),
        (errno.EDQUOT, Exit.UNDELIVERED, "The disk is full: 5 records are safe in"),
        (errno.EIO, Exit.UNDELIVERED, "can't be written (Input/output error): 5 records are safe in"),
    ],
)
def test_each_failure_of_a_disk_has_its_sentence_and_code(code: int, exit_code: Exit, text: str) -> None:
    """A full disk that exits with "wrong usage" would not be retried by a supervisor."""
    error = cannot_write(Path("/log"), OSError(code, os.strerror(code)), "5 records are safe")
    assert error.exit_code is exit_code
    assert text in error.message
    assert error.hint
