"""The generated pages are what the program would write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_generated_pages_are_up_to_date() -> None:
    tool = Path(__file__).parent.parent / "tools" / "reference.py"
    run = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + "\nRun: make reference"
