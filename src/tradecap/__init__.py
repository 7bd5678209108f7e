"""tradecap: replayable market capture. Every trade exactly once, and the proof."""

__version__ = "0.1.0"
