"""The check `topics.equal`: what `process` produced against the store.

Rules: pure. The topics keep the first record of an id in its partition, the store the first by (run, seq); so minutes
with a conflict may differ, and are listed. So may minutes with a trade that came too late for its candle. Everything
else that differs fails, and so does having nothing to compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tradecap.digits import counted
from tradecap.proof.checks import SHOWN, Check


@dataclass(kw_only=True)
class TopicsFound:
    """The comparison. Each list names places: trades missing in the topics, in them alone, there twice; minutes that
    differ, by reason."""

    trades: int = 0
    minutes: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    open: int = 0
    """Minutes that were still changing, and weren't compared."""
    expired: int = 0
    """Trades and minutes that retention removed from the topics."""
    problem: str = ""
    """Why nothing can be compared."""

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs that needn't."""
        return (
            not (self.problem or self.missing or self.extra or self.repeated or self.differing)
            and self.trades + self.minutes > 0
        )


def topics_equal(found: TopicsFound) -> Check:
    """The topics of `process` hold the store's trades, each once, and its minutes."""
    wrong = len(found.missing) + len(found.extra) + len(found.repeated) + len(found.differing)
    parts = [
        found.problem,
        "" if found.problem or found.trades + found.minutes else "the topics hold nothing",
        _named("not in the topic", found.missing),
        _named("not in the store", found.extra),
        _named("there twice", found.repeated),
        _named("candles that differ", found.differing),
        _named("candles that differ because of a conflict", found.conflicts),
        _named("candles without a trade that came too late", found.late),
        f"{counted(found.open, 'minute')} still changing" if found.open else "",
        f"{counted(found.expired, 'trade or minute', 'trades and minutes')} removed by retention"
        if found.expired
        else "",
        f"{counted(found.trades, 'trade')} and {counted(found.minutes, 'minute')} compared" if found.is_equal else "",
    ]
    fix = (
        "tradecap process"
        if found.missing and not (found.repeated or found.extra)
        else "# docs/processing.md, 'Starting over'"
    )
    detail = "; ".join(filter(None, parts))
    return Check(
        name="topics.equal",
        ok=found.is_equal,
        expected=0,
        actual=wrong,
        detail=detail,
        fix="" if found.is_equal else fix,
        unit="differences",
    )


def _named(what: str, places: Sequence[str]) -> str:
    if not places:
        return ""
    more = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    return f"{what}: {', '.join(places[:SHOWN])}{more}"
