"""Text of data, paths and peers on a terminal, and where lines break."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tradecap.cli.escaping import folded, visible, visible_json

pytestmark = pytest.mark.core


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_is_left_that_a_terminal_would_act_on(text: str) -> None:
    """A recorded escape sequence would paint over a verdict, a change of direction reorder a path."""
    assert all(sign.isprintable() or sign == "\u202f" for sign in visible(text))
    assert visible(visible(text)) == visible(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_json_is_the_same_value(text: str) -> None:
    """Someone who looks at --json on a terminal and copies it would copy something else."""
    line = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(visible_json(line)) == {"text": text}
    assert all(sign.isprintable() or sign == "\u202f" for sign in visible_json(line))


@example(["words"] * 4 + ["a", "words", "binance", "binance", ""], 23)
@given(st.lists(st.sampled_from(["a", "words", "9\u202f705", "binance", "", "漢字"])), st.integers(1, 30))
def test_lines_break_between_words_alone(words: list[str], width: int) -> None:
    """`9 / 705 records` is another number."""
    lines = folded(" ".join(words), width)
    assert [word for line in lines for word in line.split(" ") if word] == [word for word in words if word]
    assert all(len(line) <= width or " " not in line.strip(" ") for line in lines)


def test_spaces_at_the_beginning_stay() -> None:
    """Text that is indented would lose its form."""
    assert folded("   two words", 9) == ["   two", "words"]
