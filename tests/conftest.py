"""Settings of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.tiers import FAST, files_with_fast_tests, mark_beyond_the_sample

# Machines are shared: no test has a time limit.
settings.register_profile("memorywall", deadline=None)
settings.load_profile("memorywall")

# Each of pytest's workers has a core, so more threads of PyTorch would only wait for each other.
# PyTorch and what tests start read this when they are loaded.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(tryfirst=True)  # before -m deselects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mark_beyond_the_sample(items)
    config.stash[FAST] = files_with_fast_tests(items)


@pytest.fixture(scope="session", autouse=True)
def _no_measurements_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep measured machines in a folder of this run: those of the user change no test."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("data")
        patch.setenv("MEMORYWALL_DATA", str(folder))
        yield folder
