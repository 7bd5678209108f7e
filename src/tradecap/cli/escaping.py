"""Text for a terminal: what would move its cursor, hide or reorder text is written out, and lines break between words.

Rules: text from data, paths and peers passes `visible` where it is printed; a recorded escape sequence must not paint
over a verdict. Breaks are at plain spaces alone: digits are grouped with a narrow no-break space, which Python and rich
take for a space.
"""

from tradecap.digits import GROUP_SIGN


def visible(text: str) -> str:
    """The text in signs that can be seen: controls, changes of direction and other spaces as escapes, like \\x1b."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == GROUP_SIGN else repr(sign)[1:-1] for sign in text)


def visible_json(text: str) -> str:
    """A line of JSON with the same signs as JSON's own escapes: it stays the same value."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign == GROUP_SIGN else _json_escape(sign) for sign in text)


def _json_escape(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def folded(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns, broken at spaces; a longer word has a line of its own."""
    lines: list[str] = []
    start = 0
    for end in breaks(text, width):
        lines.append(text[start:end].rstrip(" "))
        start = end
    return [*lines, text[start:].rstrip(" ")]


def breaks(text: str, width: int) -> list[int]:
    """Where the lines after the first one begin."""
    from rich.cells import cell_len  # not before something is drawn

    places: list[int] = []
    used = at = 0
    for word in _words(text):
        size = cell_len(word.rstrip(" "))
        if used and used + size > width:
            places.append(at)
            used = 0
        used += cell_len(word)
        at += len(word)
    return places


def _words(text: str) -> list[str]:
    """The words, each with the spaces after it; spaces at the beginning belong to the first."""
    words: list[str] = []
    for piece in text.split(" "):
        if words and not words[-1].strip(" "):
            words[-1] += f"{piece} "
        elif piece or not words:
            words.append(f"{piece} ")
        else:
            words[-1] += " "
    if words:
        words[-1] = words[-1][:-1]
    return words
