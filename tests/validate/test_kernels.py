"""The errors of kernels, as promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from memorywall.core.errors import InvalidInputError
from memorywall.validate.kernels import LIMITS, validate_kernels
from tests.validate.test_streams import ground_truth


def test_a_folder_without_tables(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="gemm"):
        validate_kernels(tmp_path)


@pytest.mark.slow
def test_the_promised_errors() -> None:
    folder = ground_truth()
    if folder is None:
        pytest.skip("the measurements are not here")
    found = validate_kernels(folder)
    assert found.limits == LIMITS
    assert not found.failures
