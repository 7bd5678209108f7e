"""docs/cli.md says what the commands say."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def generated() -> str:
    page = runpy.run_path(str(ROOT / "docs/make_cli.py"))["page"]()
    assert isinstance(page, str)
    return page


def test_the_page_is_what_the_commands_say(generated: str) -> None:
    """A page that is behind tells people of options that aren't there; `make docs` writes it again."""
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == generated


def test_the_page_tells_of_every_command(generated: str) -> None:
    """A command that isn't in the page doesn't exist for its readers."""
    for module in (ROOT / "src/tradecap/cli").glob("*.py"):
        if "@command" in module.read_text(encoding="utf-8"):
            assert f"\n## tradecap {module.stem.replace('_', '-')}\n" in generated
