"""Files that a user named are written through: they stay what they are."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tradecap.durable import write_through


def test_a_link_leads_where_it_led(tmp_path: Path) -> None:
    """The link was replaced by a file, and what it led to stayed old."""
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    for text in (b"first", b"second"):  # at first the link leads to nothing
        write_through(link, text)
        assert link.is_symlink()
        assert real.read_bytes() == text


def test_a_mode_is_kept(tmp_path: Path) -> None:
    """A report that only its owner may read would be readable by all."""
    report = tmp_path / "report"
    report.touch(0o640)
    write_through(report, b"text")
    assert stat.S_IMODE(report.stat().st_mode) == 0o640


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    """The reader of a FIFO would wait forever, and the pipe would be gone."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    answer: list[bytes] = []
    reader = threading.Thread(target=lambda: answer.append(pipe.read_bytes()))
    reader.start()
    write_through(pipe, b"text")
    reader.join(10)
    assert answer == [b"text"]
    assert pipe.is_fifo()


def test_a_device_stays_a_device() -> None:
    """As root, a device became a file. It is a terminal of the test's own: a broken version must not harm the
    machine."""
    reader, writer = os.openpty()
    terminal = Path(os.ttyname(writer))
    write_through(terminal, b"text")
    assert terminal.is_char_device()
    assert os.read(reader, 100) == b"text"
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize(
    "name", [name for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1") if Path(name).exists()]
)
def test_standard_output_comes_after_what_was_printed(name: str, tmp_path: Path) -> None:
    """A file that stdout was redirected to would be cut off, or replaced."""
    imports = "from pathlib import Path; from tradecap.durable import write_through"
    program = f"{imports}; print('before'); write_through(Path({name!r}), b'text\\n'); print('after')"
    out = tmp_path / "out"
    with out.open("wb") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True, timeout=60)
    assert out.read_text() == "before\ntext\nafter\n"


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder allows replacing it, its owner doesn't. Root may write anything, so the answer of the system is given
    here."""
    report = tmp_path / "report"
    report.write_bytes(b"kept")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != report)
    with pytest.raises(PermissionError):
        write_through(report, b"text")
    assert report.read_bytes() == b"kept"
