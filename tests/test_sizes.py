"""Sizes that several modules hold, because they can't import each other, are one size."""

import re
from pathlib import Path

import tradecap
from tradecap.cli import load_command
from tradecap.log.folder.log import SEGMENT_AGE_S, SEGMENT_BYTES
from tradecap.proof.tally import BLOCK_BITS, ID_BLOCK_BITS
from tradecap.store.clickhouse import questions

QUERIES = sorted((Path(tradecap.__file__).parent / "store/clickhouse/queries").glob("*.sql"))


def shifts(text: str, pattern: str) -> set[int]:
    """By how many bits the SQL shifts what the pattern names."""
    return {int(bits) for bits in re.findall(rf"bitShiftRight\({pattern}, (\d+)\)", text)}


def test_store_and_proof_have_the_same_blocks() -> None:
    """The proof would compare the sums of one block with those of another."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in QUERIES)
    assert shifts(text, r"(?:\w+\.)?seq") <= {BLOCK_BITS}
    assert shifts(text, r"(?:\w+\.)?(?:trade_)?id") <= {ID_BLOCK_BITS}
    assert questions.ID_BLOCK_BITS == ID_BLOCK_BITS


def test_a_capture_and_a_copy_close_segments_at_the_same_size() -> None:
    """`ship` would cut a log into other segments than `stream` does without options."""
    defaults = {param.name: param.default for param in load_command("stream").params}
    assert (defaults["segment_bytes"], defaults["segment_age_s"]) == ("64MB", "10m")
    assert (SEGMENT_BYTES, SEGMENT_AGE_S) == (64_000_000, 600.0)
