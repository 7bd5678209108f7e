"""Writes docs/pictures/*.svg: what a terminal of 100 columns shows of real runs.

Run by hand, `python docs/make_pictures.py`, when what a command says has changed; it takes about ten seconds and needs
the embedded store. Rules: each picture is the whole output of the installed program in an empty folder, taken from a
pseudo-terminal and drawn by rich; no line is written by hand. Sample and seeds are fixed, so only durations and ids of
runs differ from one time to the next. The pictures load no fonts from anywhere.
"""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

PICTURES: Final = Path(__file__).parent / "pictures"
COLUMNS: Final = 100
DEMO: Final = "tradecap demo"
VERIFY: Final = "tradecap verify --log file:tradecap-demo/log --store chdb:tradecap-demo/db"
LOSE_A_TRADE: Final = """
from chdb.session import Session
with Session("tradecap-demo/db") as store:
    store.query(
        "ALTER TABLE market.trades DELETE WHERE symbol = 'BTCUSDT' AND trade_id = 3722410500 "
        "SETTINGS mutations_sync = 2"
    )
"""
FONTS: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def seen(command: str, folder: str, *, stderr: bool) -> str:
    """What the command shows in a terminal, escape sequences included; without stderr where a progress bar would be
    drawn over it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TRADECAP_") and name not in ("NO_COLOR", "COLUMNS")
    }
    here = {
        "TERM": "xterm-256color",
        "HOME": folder,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with subprocess.Popen(
        shlex.split(command),
        cwd=folder,
        env=plain | here,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs if stderr else subprocess.DEVNULL,
    ):
        os.close(theirs)
        return b"".join(_chunks(ours)).decode().replace("\r\n", "\n")


def _chunks(terminal: int) -> list[bytes]:
    """All that comes until the other side is closed, which Linux tells as an error and macOS as an empty read."""
    chunks: list[bytes] = []
    try:
        while chunk := os.read(terminal, 65_536):
            chunks.append(chunk)
    except OSError:
        pass
    os.close(terminal)
    return chunks


def picture(name: str, command: str, shown: str) -> None:
    """Draw one picture."""
    console = Console(
        record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="standard", legacy_windows=False
    )
    console.print(Text(f"$ {command}", style="bold"))
    for line in shown.rstrip().split("\n"):
        text = Text.from_ansi(line)
        text.rstrip()
        for part in text.divide(range(COLUMNS, len(text), COLUMNS)):  # where a terminal would go on in the next line
            console.print(part, soft_wrap=True)
    svg = console.export_svg(title="tradecap", unique_id=f"tradecap-{name}")
    fontless = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    local = re.sub(r"font-family: (?:Fira Code, monospace|arial);?", f"font-family: {FONTS};", fontless)
    tidy = "\n".join(line.rstrip() for line in local.splitlines())
    (PICTURES / f"{name}.svg").write_text(f"{tidy}\n", encoding="utf-8")
    print(f"wrote pictures/{name}.svg, {len(tidy):,} characters")


def main() -> None:
    """The demo, and a proof that fails."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        picture("demo", DEMO, seen(DEMO, folder, stderr=True))
        subprocess.run([sys.executable, "-c", LOSE_A_TRADE], cwd=folder, check=True)
        picture("not-proven", VERIFY, seen(VERIFY, folder, stderr=False))


if __name__ == "__main__":
    main()
