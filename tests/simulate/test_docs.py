"""docs/simulate.md says what there is."""

import re
from pathlib import Path

from tradecap.simulate.faults import KINDS, read_faults, short_fault

PAGE = (Path(__file__).parents[2] / "docs/simulate.md").read_text()


def test_the_example_of_a_file_is_understood() -> None:
    """Someone who begins with the page's example would begin with an error."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    faults, seed = read_faults(example, "the page")
    assert seed == 7
    assert [fault.kind for fault in faults] == ["close", "drop", "http"]
    for short in re.findall(r'--fault "([^"]+)"', PAGE):
        short_fault(short)


def test_every_fault_is_in_the_table() -> None:
    """A fault that isn't written down doesn't exist."""
    table = PAGE[PAGE.index("| kind |") :]
    assert {kind for kind in KINDS if not re.search(rf"^\| [^|]*\b{kind}\b[^|]*\|", table, re.MULTILINE)} == set()
