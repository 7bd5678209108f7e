"""Whole numbers in texts for people: the one way in which digits are grouped. JSON holds numbers."""

from typing import Final

GROUP_SIGN: Final = "\u202f"
"""A narrow no-break space: groups digits without looking like two numbers."""


def number(value: int) -> str:
    """18 204, the way people read it."""
    return f"{value:,}".replace(",", GROUP_SIGN)


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 run, 2 runs."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {plural or noun + 's'}"
