"""Tables of any width on a page: nothing is cut, and what does not fit goes on below."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from memorywall.report.wide_table import print_table


def printed(width: int, *arguments: object, **options: object) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False, markup=False, emoji=False)
    print_table(console, *arguments, **options)  # type: ignore[arg-type]
    return [line.rstrip() for line in file.getvalue().splitlines()]


TITLES = ("series", "n", "years", "growth")
ROWS = [("peak", "12", "2007-2024", "2.34"), None, ("bandwidth", "7", "2012-2026", "1.67")]


def test_what_fits_is_one_table() -> None:
    # Columns of 9, 2, 9 and 6 with 2 between them: 32.
    lines = printed(32, TITLES, ROWS)
    assert lines[0] == "series      n      years  growth"
    assert lines[2] == "peak       12  2007-2024    2.34"
    assert lines[3] == ""  # None: a line between rows
    assert len(lines) == 5


def test_what_does_not_goes_below_with_its_keys() -> None:
    lines = printed(31, TITLES, ROWS)
    assert lines[0] == "series      n      years"
    at = lines.index("")  # the empty line between rows, then the one between pieces
    second = lines.index("series     growth")
    assert second > at
    assert lines[second + 2] == "peak         2.34"
    assert lines[-1] == "bandwidth    1.67"


def test_joined_columns_stay_together() -> None:
    titles = ("of", "ours", "printed", "", "ours", "printed", "")
    row = ("a", "1.0000", "1.00", "=", "2.0000", "2.00", "+0.1%")
    joined = (2, 3, 5, 6)
    lines = printed(30, titles, [row], joined=joined)
    # Columns of 2, 6, 7 and 5 with 2 between them are 26 wide, and the next three no longer fit.
    assert [line.split() for line in lines if line.startswith("a")] == [
        ["a", "1.0000", "1.00", "="],
        ["a", "2.0000", "2.00", "+0.1%"],
    ]


def test_sentences_wrap() -> None:
    why = "a reason of many words that is longer than any page is wide, and so it wraps"
    lines = printed(40, ("series", "why"), [("peak", why)], sentences=(1,))
    assert " ".join(" ".join(lines[2:]).split()) == f"peak {why}"
    assert max(map(len, lines)) <= 40


@given(
    st.lists(st.lists(st.integers(0, 10**9), min_size=6, max_size=6), min_size=1, max_size=4),
    st.integers(24, 90),
)
def test_every_number_is_printed_whole(rows: list[list[int]], width: int) -> None:
    cells = [[f"r{index}", *map(str, row)] for index, row in enumerate(rows)]
    lines = printed(width, ("row", *"abcdef"), cells)
    assert max(map(len, lines)) <= width
    for name, *numbers in cells:
        found = [word for line in lines if line.split()[:1] == [name] for word in line.split()[1:]]
        assert found == numbers
