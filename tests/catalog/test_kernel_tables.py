"""The tables of constants that the package ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from memorywall.catalog.kernel_tables import FOLDER
from memorywall.catalog.table_files import read_tables
from memorywall.core.errors import InvalidInputError
from memorywall.cost.kernels import find_kernel

FILES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_constants_are_within_their_bounds(path: Path) -> None:
    tables = read_tables(path)
    assert tables
    for table in tables:
        bounds = {one.name: one for one in find_kernel(table.kind).constants}
        for name, value in table.constants.items():
            assert bounds[name].low * (1 - 1e-3) <= value <= bounds[name].high * (1 + 1e-3), name
        assert 0 < table.low <= 1 <= table.high
        assert table.median_error is None or 0 < table.median_error <= (table.p90_error or 0)
        assert table.dataset


def test_all_calibrations_fit_in_300_kb() -> None:
    files = list(FOLDER.parent.rglob("*.toml"))
    assert 0 < sum(path.stat().st_size for path in files) < 300_000


@pytest.mark.parametrize("text", ["", "kind = 3", "[[table]]\nkind = 'gemm'\n", "\x00"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError):
        read_tables(path)
