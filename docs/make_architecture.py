"""Writes docs/pictures/architecture.svg: the pipeline with its quality checkpoints.

The one source is the lists below; `python docs/make_architecture.py` draws them, and a test compares. Rules: colours
are set by classes, with a second set for dark systems, and the page behind the text is part of the picture, because an
image can't know the colours of the page around it; a checkpoint is a letter in a circle, so colour is never the only
sign; no fonts are loaded.
"""

from html import escape
from pathlib import Path
from typing import Final, NamedTuple

PICTURE: Final = Path(__file__).parent / "pictures/architecture.svg"
WIDTH, HEIGHT = 1000, 510
STYLE: Final = """\
text { font: 14px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; }
.title { font-weight: 600; } .small, .note { font-size: 12px; fill: #59636e; } .note { text-anchor: start; }
rect { fill: #f6f8fa; stroke: #818b98; rx: 6; }
.ours { fill: #ddf4ff; stroke: #0969da; }
.group { fill: none; stroke-dasharray: 4 4; }
.page { fill: #ffffff; stroke: none; }
path { fill: none; stroke: #59636e; stroke-width: 1.5; marker-end: url(#tip); }
#tip path { fill: #59636e; stroke: none; marker-end: none; }
circle { fill: #1a7f37; } .letter { fill: #ffffff; font-weight: 700; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small, .note { fill: #9198a1; }
  rect { fill: #151b23; stroke: #656c76; }
  .ours { fill: #0d2d4f; stroke: #4493f8; }
  .group { fill: none; } .page { fill: #0d1117; stroke: none; }
  path { stroke: #9198a1; } #tip path { fill: #9198a1; } circle { fill: #2ea043; } .letter { fill: #ffffff; }
}"""


class Box(NamedTuple):
    """A part of the picture: its name and a line about it. `kind`: ours (a command), or another's."""

    x: int
    y: int
    name: str
    about: str
    kind: str = "other"
    width: int = 150


class Check(NamedTuple):
    """A quality checkpoint: its letter, where it is, and what it does."""

    letter: str
    x: int
    y: int
    about: str


BOXES: Final = (
    Box(20, 40, "venue", "WebSocket, REST"),
    Box(20, 130, "recordings", "files of any maker"),
    Box(20, 220, "faults", "bad on purpose"),
    Box(220, 40, "stream", "spool, repair", "ours", 130),
    Box(220, 130, "replay", "", "ours", 130),
    Box(220, 220, "inject-bad", "", "ours", 130),
    Box(410, 130, "LOG", "Redpanda, or a folder"),
    Box(600, 60, "load", "", "ours", 120),
    Box(600, 200, "Kafka engine", "of ClickHouse", "other", 120),
    Box(780, 40, "trades", "the winner of each id", "other", 190),
    Box(780, 100, "quarantine", "whole, with a reason", "other", 190),
    Box(780, 160, "ledger", "a row for each record", "other", 190),
    Box(780, 240, "candles_1m", "swept from trades", "other", 190),
    Box(410, 320, "verify", "log = store, record by record", "ours", 560),
)
GROUPS: Final = ((765, 10, 220, 290, "STORE: ClickHouse"),)
ARROWS: Final = (
    "M170 60 H216",
    "M170 150 H216",
    "M170 240 H216",
    "M350 60 C385 60 380 140 406 145",
    "M350 150 H406",
    "M350 240 C385 240 380 160 406 155",
    "M560 145 C585 140 570 82 596 80",
    "M560 155 C585 160 570 218 596 220",
    "M720 80 H761",
    "M720 220 C745 220 735 160 761 158",
    "M485 170 V316",
    "M875 300 V316",
    "M690 360 V374",
)
CHECKS: Final = (
    Check("A", 350, 40, "every message is decoded as it is captured; the book of ids finds gaps"),
    Check("B", 765, 80, "the store reads every line again, in SQL, trusting nobody"),
    Check("C", 560, 130, "checksums, numbered records, runs with an end"),
    Check("D", 410, 320, "log against store, record by record; candles recomputed"),
)
TIP: Final = """\
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 L8 4 L0 8 z"/>
</marker></defs>"""
OUTCOME: Final = "records = trades + duplicates + conflicts + quarantined + ignored + events"


def svg() -> str:
    """The picture."""
    parts = [f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>']
    parts += [
        f'<rect class="group" x="{x}" y="{y}" width="{w}" height="{h}"/><text class="small" x="{x + w // 2}" '
        f'y="{y + 18}">{escape(name)}</text>'
        for x, y, w, h, name in GROUPS
    ]
    parts += [f'<path d="{arrow}"/>' for arrow in ARROWS]
    parts += [_box(box) for box in BOXES]
    parts += [_circle(check) for check in CHECKS]
    parts += [
        f'<text class="note" x="44" y="{424 + 24 * i}">{escape(check.about)}</text>' for i, check in enumerate(CHECKS)
    ]
    parts += [_circle(check._replace(x=26, y=420 + 24 * i)) for i, check in enumerate(CHECKS)]
    parts.append(f'<text class="title" x="690" y="390">{escape(OUTCOME)}</text>')
    body = "\n".join(parts)
    title = "<title>From the venue through the log into the store, with four quality checkpoints</title>"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
    return f"{head}\n{title}\n<style>\n{STYLE}\n</style>\n{TIP}\n{body}\n</svg>\n"


def _box(box: Box) -> str:
    middle = box.x + box.width // 2
    lines = f'<text class="title" x="{middle}" y="{box.y + (18 if box.about else 25)}">{escape(box.name)}</text>'
    if box.about:
        lines += f'<text class="small" x="{middle}" y="{box.y + 34}">{escape(box.about)}</text>'
    return f'<rect class="{box.kind}" x="{box.x}" y="{box.y}" width="{box.width}" height="40"/>{lines}'


def _circle(check: Check) -> str:
    return (
        f'<circle cx="{check.x}" cy="{check.y}" r="10"/><text class="letter" x="{check.x}" '
        f'y="{check.y + 5}">{check.letter}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
