"""Which rooms name a venue. Imports are held by import-linter; here it is the word itself."""

import ast
import re
from pathlib import Path

import pytest

import tradecap

PACKAGE = Path(tradecap.__file__).parent
NAMELESS = [PACKAGE / room for room in ("flows", "recordings", "market", "proof", "venues/feed")]
FILES = [path for room in NAMELESS for path in sorted(room.rglob("*.py"))]
FILES += [path for path in sorted((PACKAGE / "venues").glob("*.py")) if path.name != "api.py"]
NAME = re.compile("binance|usd-?m", re.IGNORECASE)


def code_without_documentation(text: str) -> str:
    """What runs: comments gone, and strings that are a statement (they may cite a venue's documents as the source of a
    fact)."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            runs = [each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
            node.body = runs or [ast.Pass()]  # type: ignore[attr-defined]  # each node with a body
    return ast.unparse(tree)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_code_names_a_venue(path: Path) -> None:
    """A second venue would work up to the line that asks for the first by its name."""
    assert not NAME.search(code_without_documentation(path.read_text()))
