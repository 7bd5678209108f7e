"""A candle chart in characters: one column a candle, two pixels a line.

Rules: a rising candle is filled and green, a falling one is hollow and red, so the picture reads without colour; the
scale is on the left, times below; it fits the width it is given.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tradecap.flows.candles import ShownCandle

if TYPE_CHECKING:
    from rich.text import Text

ROWS: Final = 18
WIDTH: Final = 80
RISING, FALLING, WICK = "█", "░", "│"


def plot(candles: Sequence[ShownCandle], width: int = WIDTH) -> "Text":
    """The newest candles that fit into width columns."""
    from rich.text import Text

    if not candles:
        return Text("no candles in this range")
    label = max(len(c.high) for c in candles)
    room = width - label - 2
    gap = 1 if len(candles) * 2 <= room else 0
    shown = candles[-(room // (1 + gap)) :]
    low, high = min(float(c.low) for c in shown), max(float(c.high) for c in shown)
    text = Text()
    for row in range(ROWS):
        top = high - (high - low) * row / ROWS
        bottom = high - (high - low) * (row + 1) / ROWS
        text.append(
            f"{_label(row, low, high, shown):>{label}} ┤" if row % 4 == 0 or row == ROWS - 1 else f"{'':>{label}} │"
        )
        for candle in shown:
            sign, style = _cell(candle, bottom, top)
            text.append(sign, style=style)
            text.append(" " * gap)
        text.append("\n")
    text.append(f"{'':>{label}} └{'─' * (len(shown) * (1 + gap))}\n")
    first, last = f"{shown[0].open_time:%Y-%m-%d %H:%M}", f"{shown[-1].open_time:%Y-%m-%d %H:%M}"
    text.append(f"{'':>{label + 2}}{first}{'→ ' + last:>{max(len(shown) * (1 + gap) - len(first), len(last) + 4)}}\n")
    text.append(f"{'':>{label + 2}}{RISING} up  {FALLING} down  {WICK} high and low")
    if len(shown) < len(candles):
        text.append(f" · the newest {len(shown)} of {len(candles)}")
    return text


def _label(row: int, low: float, high: float, shown: Sequence[ShownCandle]) -> str:
    decimals = max(len(c.close.partition(".")[2]) for c in shown)
    return f"{high - (high - low) * row / (ROWS - 1):.{decimals}f}"


def _cell(candle: ShownCandle, bottom: float, top: float) -> tuple[str, str]:
    """What of a candle falls into one cell. A body is never invisible, however flat."""
    opened, closed = float(candle.open), float(candle.close)
    body_low, body_high = min(opened, closed), max(opened, closed)
    rising = closed >= opened
    style = "green" if rising else "red"
    if body_low <= top and body_high >= bottom:
        return (RISING if rising else FALLING), style
    if float(candle.low) <= top and float(candle.high) >= bottom:
        return WICK, style
    return " ", ""
