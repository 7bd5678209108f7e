"""A certificate: what one `verify` found of a log, to be kept, read at a glance, and held against the log later.

Rules: pure; it is complete in itself: nothing in it needs the log or the store to be understood. One fact a line, the
sentence first. Its form has a version of its own; a later one adds keys and is refused by an older tradecap only when
its number is greater. From version 2 on it ends with a seal, the sha256 of all the rest (seal.py). From version 3 on it
keeps what was counted of the log (counted.py), from where a later proof may continue (since.py). A log is unchanged
when every segment holds the bytes that were certified (against.py).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tradecap.digits import number
from tradecap.proof.checks import Accounts, Check
from tradecap.proof.counted import Counted
from tradecap.proof.seal import SEAL, Seal, seal_of, state_of

VERSION: Final = 3
"""1: without a seal, numbers in its checks as texts. 2: without what was counted."""
KINDS: Final = ("trades", "duplicates", "conflicts", "quarantined", "ignored", "events")
"""What the records of a log are, as counts name them."""


class Place(msgspec.Struct, frozen=True):
    """A log or a store."""

    id: str
    url: str


class RunRow(msgspec.Struct, frozen=True):
    """One run: its state (ended, open, recovered, torn), its last seq, and its records by what they are."""

    run: str
    state: str
    records: int
    last_seq: int
    valid: int
    quarantined: int
    ignored: int
    events: int


class SegmentRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The uncompressed bytes of one segment; those that were durable if it was still being written. In a topic: a range
    of offsets (`0@0-100`).

    problem: why it couldn't be read on; lost: it was gone. packed: sha256 of the file that holds it compressed.
    """

    segment: str
    records: int
    bytes: int
    sha256: str
    closed: bool = True
    problem: str = ""
    lost: bool = False
    packed: str = ""


class CertifiedSeries(msgspec.Struct, frozen=True):
    """One series, as `verify` shows it."""

    venue: str
    symbol: str
    channel: str
    trades: int
    first_id: int | None
    last_id: int | None
    duplicates: int
    conflicts: int
    coverage: list[tuple[int, int]]
    gaps: list[tuple[int, int]]
    uncovered: list[tuple[int, int]]


class CheckRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check of `verify`."""

    name: str
    ok: bool
    expected: int | str
    actual: int | str
    detail: str = ""
    fix: str = ""


class KlinesRow(msgspec.Struct, frozen=True):
    """A file of the venue's klines that candles were compared with."""

    file: str
    sha256: str
    venue: str
    symbol: str
    channel: str
    interval_s: int
    compared: int
    differing: int
    partial: int
    absent: int


class SinceRow(msgspec.Struct, frozen=True):
    """The certificate from which a proof continued. records: how many were taken from it instead of being counted."""

    seal: str
    made_at: str
    records: int


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, in the order in which it is written.

    asked: the options that narrowed or softened the proof. evidence: whether this kind of log gives sums of its bytes;
    without them `segments` is empty, and only runs, series and counts can be compared later. since: the certificate
    from which it continued. counted: from where a later one may continue, None in that of a failed proof. seal: what
    reading it found; what is written is the sum.
    """

    certificate: int = VERSION
    sentence: str
    ok: bool
    made_at: str
    tradecap: str
    log: Place
    store: Place
    asked: dict[str, object]
    counts: dict[str, int]
    quarantined: dict[str, int]
    checks: list[CheckRow]
    runs: list[RunRow]
    series: list[CertifiedSeries]
    segments: list[SegmentRow]
    evidence: bool = True
    klines: list[KlinesRow] = []
    since: SinceRow | None = None
    counted: Counted | None = None
    seal: Seal = Seal.WHOLE

    @property
    def is_narrowed(self) -> bool:
        """Whether its series are only a part of the log's."""
        return any(self.asked.get(name) for name in ("symbol", "from", "to"))


class _CertificateHead(msgspec.Struct, frozen=True):
    certificate: int


def sentence(counts: Accounts, checks: Sequence[Check]) -> tuple[str, str]:
    """PROVEN or NOT PROVEN, and what of: the equation of all records."""
    return sentence_of(
        {"records": counts.records, **{kind: getattr(counts, kind) for kind in KINDS}}, [check.ok for check in checks]
    )


def sentence_of(counts: Mapping[str, int], passed: Sequence[bool]) -> tuple[str, str]:
    """The same, of counts and of what became of each check."""
    equation = (f"{number(counts.get('records', 0))} records = ") + " + ".join(
        f"{number(counts.get(kind, 0))} {kind}" for kind in KINDS
    )
    failed = passed.count(False)
    if failed:
        return "NOT PROVEN", f"{number(failed)} of {len(passed)} checks failed: {equation}."
    return "PROVEN", f"every record is accounted for, every trade is there exactly once: {equation}."


# ---- as a text -------------------------------------------------------------------------------------------------------


def written(certificate: Certificate) -> bytes:
    """JSON for eyes: a line for each run, series, segment and check."""
    members = _members(certificate)
    return _lines({**members, SEAL: seal_of(json.loads(_lines(members)))})


def sealed_as(certificate: Certificate) -> str:
    """The seal with which a certificate is written."""
    return seal_of(json.loads(_lines(_members(certificate))))


def _members(certificate: Certificate) -> dict[str, object]:
    return {name: value for name, value in msgspec.to_builtins(certificate).items() if name != SEAL}


def _lines(members: Mapping[str, object]) -> bytes:
    return f"{_object(members, '')}\n".encode(errors="replace")


def _object(members: Mapping[str, object], indent: str) -> str:
    lines = (f"{indent}  {json.dumps(name)}: {_value(value, indent + '  ')}" for name, value in members.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _value(value: object, indent: str) -> str:
    if isinstance(value, list) and value:
        return (
            "[\n" + ",\n".join(f"{indent}  {json.dumps(item, ensure_ascii=False)}" for item in value) + f"\n{indent}]"
        )
    if isinstance(value, dict) and any(isinstance(item, list) for item in value.values()):
        return _object(value, indent)
    return json.dumps(value, ensure_ascii=False)


def read(text: bytes) -> Certificate | str:
    """A certificate, or what is wrong with it, to follow on its name."""
    try:
        head = msgspec.json.decode(text, type=_CertificateHead)
        if head.certificate > VERSION:
            return f"is of version {head.certificate}, this tradecap knows version {VERSION}"
        return msgspec.structs.replace(
            msgspec.convert(_without_seal(text), Certificate), seal=state_of(text, is_due=head.certificate > 1)
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"isn't a certificate of tradecap, or a damaged one ({error})"


def _without_seal(text: bytes) -> dict[str, object]:
    members = msgspec.json.decode(text, type=dict[str, object])
    members.pop(SEAL, None)
    return members
