"""Lines and tables that fit a terminal, for rich; imported where something is drawn.

Rules: nothing is broken inside a number or a word. A table that is too wide first breaks the texts of columns that may
be (`wrap`), then leaves columns out, in the order of `drop`, and names them. Where no terminal is, nothing is broken or
left out.
"""

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderResult
from rich.containers import Lines
from rich.table import Table
from rich.text import Text

from tradecap.cli.escaping import breaks, visible

GAP = 2
"""Blanks between two columns."""


class TerminalLine(Text):
    """A text that is broken at plain spaces only, and not at all where no terminal is."""

    def wrap(
        self,
        console: Console,
        width: int,
        *,
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,  # noqa: ARG002 -- rich's signature; a word that is too long stays whole
        tab_size: int = 8,  # noqa: ARG002 -- rich's signature; there are no tabs
        no_wrap: bool | None = None,
    ) -> Lines:
        whole = no_wrap or not console.is_terminal
        lines = Lines()
        for each in self.split("\n", allow_blank=True):
            lines.extend(Lines([each]) if whole else each.divide(breaks(each.plain, width)))
        for line in lines:
            line.rstrip()
        if (how := justify or self.justify) in ("right", "center"):
            lines.justify(console, width, justify=how, overflow="ignore")
        return lines


def line(text: "str | Text") -> Text:
    """The text of a cell or a line, made visible. What is drawn already (a picture, a styled text) stays as it is."""
    return text if isinstance(text, Text) else TerminalLine(visible(text), overflow="ignore")


class Fitted:
    """A table for the width it is drawn in. wrap: the columns whose texts may be broken; drop: those that may be left
    out, first one first."""

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Text]],
        *,
        is_right: Sequence[bool],
        has_lines: bool,
        wrap: Sequence[str] = (),
        drop: Sequence[str | int] = (),
    ) -> None:
        self.columns = [visible(name) for name in columns]
        self._rows, self._is_right, self._has_lines = rows, is_right, has_lines
        self._drop = [self.columns.index(each) if isinstance(each, str) else each for each in drop]
        self._natural = [max(cell_len(part) for part in parts) for parts in self._parts()]
        wraps = {*wrap}
        self._least = [
            max(cell_len(word) for part in parts for word in part.split(" ")) if name in wraps else width
            for name, width, parts in zip(self.columns, self._natural, self._parts(), strict=True)
        ]

    def _parts(self) -> list[list[str]]:
        """The texts of each column, its name included."""
        return [[name, *(row[index].plain for row in self._rows)] for index, name in enumerate(self.columns)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width if console.is_terminal else 1 << 30
        shown = [*range(len(self.columns))]
        hidden = []
        for index in self._drop:
            if self._width(self._least, shown) <= room or len(shown) == 1:
                break
            shown.remove(index)
            hidden.append(self.columns[index])
        widths = self._widths(shown, room)
        table = self._draw(shown, widths)
        # else rich would cut a table that is wider than the terminal
        table.width = sum(widths) + GAP * (len(shown) - 1) + 2 * self._has_lines
        yield table
        if hidden:
            yield line(f"left out at {room} columns: {', '.join(hidden)}; --json has all")

    def _width(self, widths: Sequence[int], shown: Sequence[int]) -> int:
        return sum(widths[index] for index in shown) + GAP * (len(shown) - 1) + 2 * self._has_lines

    def _widths(self, shown: Sequence[int], room: int) -> list[int]:
        """The widths of the shown columns: at least the longest word, and what is left is given where it is needed, one
        by one."""
        widths = [*self._least]
        left = room - self._width(widths, shown)
        for index in sorted(shown, key=lambda each: self._natural[each] - widths[each]):
            needs = self._natural[index] - widths[index]
            rest = [each for each in shown if self._natural[each] > widths[each]]
            given = max(0, min(needs, left // max(1, len(rest))))
            widths[index] += given
            left -= given
        return [widths[index] for index in shown]

    def _draw(self, shown: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD if self._has_lines else None, pad_edge=False, collapse_padding=self._has_lines
        )
        for index, width in zip(shown, widths, strict=True):
            table.add_column(
                TerminalLine(self.columns[index]),
                justify="right" if self._is_right[index] else "left",
                width=width,
                overflow="ignore",
            )
        for row in self._rows:
            table.add_row(*(row[index] for index in shown))
        return table
