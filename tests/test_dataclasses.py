"""A dataclass of more than four fields is keyword-only: a swapped pair of numbers would pass every type check."""

import ast
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[1] / "src/tradecap"
FEW: Final = 4
OPEN: Final = {
    "Accounts",
    "Audit",
    "BarRow",
    "SeqBlock",
    "CandleRow",
    "Captured",
    "Check",
    "Choice",
    "Comparison",
    "Extras",
    "Fault",
    "LedgerSide",
    "Listing",
    "Loaded",
    "Plan",
    "Published",
    "Replayed",
    "Rules",
    "RunTally",
    "Shipped",
    "Spoiling",
    "TopicsFound",
    "Verdict",
    "Wanted",
    "_Account",
    "_Due",
    "_Route",
}
"""Those that are still made by position. Take a name out here as soon as it is keyword-only; put none in."""


def is_positional(node: ast.ClassDef) -> bool:
    """Whether it is a dataclass of many fields that may be made by position."""
    decorators = [ast.unparse(each) for each in node.decorator_list]
    is_open = any(each.startswith("dataclass") and "kw_only=True" not in each for each in decorators)
    return is_open and sum(isinstance(each, ast.AnnAssign) for each in node.body) > FEW


def test_dataclasses_of_many_fields_are_keyword_only() -> None:
    """Venue and symbol, or two counts, would change places without a word."""
    found = {
        node.name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and is_positional(node)
    }
    assert found - OPEN == set()
