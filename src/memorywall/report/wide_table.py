"""Tables of any width on a page of any width: what does not fit beside goes below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

# The least width of a column of sentences, which wraps.
_SENTENCE = 24
# Between two columns: the padding of the first, and the space that divides them.
_GAP = 2


def print_table(
    console: Console,
    titles: Sequence[str],
    rows: Sequence[Sequence[str] | None],
    *,
    keys: int = 1,
    words: Sequence[int] = (0,),
    sentences: Sequence[int] = (),
    joined: Sequence[int] = (),
) -> None:
    """Print a table; where it is wider than the page, in pieces, one below the other.

    No number is cut or broken. A column that is wider than the page by itself is folded.

    Args:
        console: the page.
        titles: of the columns.
        rows: the cells of each row; None for a line between rows.
        keys: the number of first columns that every piece repeats.
        words: the columns of words, which stand left; others stand right.
        sentences: the columns of sentences, which wrap within the page.
        joined: the columns that stay in one piece with the column before them.
    """
    pieces = list(_pieces(console, titles, rows, keys, sentences, joined))
    for number, piece in enumerate(pieces):
        if number:
            console.print()
        fits = _width(titles, rows, piece, sentences) <= console.width
        console.print(_table(titles, rows, piece, words, sentences, fits=fits))


def _pieces(
    console: Console,
    titles: Sequence[str],
    rows: Sequence[Sequence[str] | None],
    keys: int,
    sentences: Sequence[int],
    joined: Sequence[int],
) -> Iterator[list[int]]:
    """Yield the columns of each piece: the keys, and as many others as fit beside them."""
    first = list(range(keys))
    groups: list[list[int]] = []
    for column in range(keys, len(titles)):
        if column in joined and groups:
            groups[-1].append(column)
        else:
            groups.append([column])
    piece = list(first)
    for group in groups:
        width = _width(titles, rows, [*piece, *group], sentences)
        if width > console.width and len(piece) > keys:
            yield piece
            piece = list(first)
        piece += group
    yield piece


def _table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str] | None],
    chosen: Sequence[int],
    words: Sequence[int],
    sentences: Sequence[int],
    *,
    fits: bool,
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in chosen:
        wraps = column in sentences
        table.add_column(
            titles[column],
            justify="left" if wraps or column in words else "right",
            no_wrap=fits and not wraps,
            min_width=_least(titles, rows, column, sentences) if fits else None,
            overflow="fold",
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*(row[column] for column in chosen))
    return table


def _width(
    titles: Sequence[str],
    rows: Sequence[Sequence[str] | None],
    chosen: Sequence[int],
    sentences: Sequence[int],
) -> int:
    """Return the least width of some columns side by side."""
    return sum(_least(titles, rows, column, sentences) + _GAP for column in chosen) - _GAP


def _least(
    titles: Sequence[str],
    rows: Sequence[Sequence[str] | None],
    column: int,
    sentences: Sequence[int],
) -> int:
    """Return the least width of a column: of its widest cell, of sentences not more than 24."""
    cells = (titles[column], *(row[column] for row in rows if row is not None))
    widest = max(cell_len(line) for cell in cells for line in cell.split("\n"))
    return min(_SENTENCE, widest) if column in sentences else widest
