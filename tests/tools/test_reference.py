"""The generated pages are what the program would write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_generated_pages_are_up_to_date() -> None:
    tool = Path(__file__).parents[2] / "tools" / "reference.py"
    run = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + "\nRun: make reference"


@pytest.mark.slow
def test_coverage_page_is_up_to_date() -> None:
    tool = Path(__file__).parents[2] / "tools" / "coverage.py"
    run = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr[-500:] + "\nRun: make reference"
    page = (tool.parents[1] / "docs" / "reference" / "coverage.md").read_text(encoding="utf-8")
    assert "DIFFERS" not in page
    assert page.count("| exact |") >= 40
