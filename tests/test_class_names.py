"""A class name means one thing in the whole package: whoever reads it in one file may go on reading it in the next."""

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[1] / "src/tradecap"


def classes() -> Mapping[str, list[str]]:
    """Where the classes of each name are defined. `_Row` and `Row` are one name; generated code keeps its own names."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        if name.startswith("serve/proto/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_").lower()].append(f"{name}: {node.name}")
    return found


def test_no_two_classes_have_one_name() -> None:
    """A reader would take the Place of a feed for the place of a record in the log."""
    twice = {name: where for name, where in classes().items() if len(where) > 1}
    assert twice == {}
