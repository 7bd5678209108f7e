"""A dataclass of more than four fields is keyword-only: a swapped pair of numbers would pass every type check."""

import ast
from itertools import takewhile
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[1] / "src/tradecap"
FEW: Final = 4


def is_positional(node: ast.ClassDef) -> bool:
    """Whether it is a dataclass that takes more than a few fields by position."""
    decorators = [ast.unparse(each) for each in node.decorator_list]
    if not any(each.startswith("dataclass") and "kw_only=True" not in each for each in decorators):
        return False
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
    by_position = takewhile(lambda each: ast.unparse(each.annotation) != "KW_ONLY", fields)
    return sum(1 for _ in by_position) > FEW


def test_dataclasses_of_many_fields_are_keyword_only() -> None:
    """Venue and symbol, or two counts, would change places without a word."""
    found = {
        node.name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and is_positional(node)
    }
    assert found == set()
