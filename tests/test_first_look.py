"""The demo: that it runs, keeps to 80 columns, and prints what the README shows."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PATH = ROOT / "examples" / "first_look.py"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def first_look() -> dict[str, Any]:
    return runpy.run_path(str(PATH))


def block() -> list[str]:
    """Return the README's block of the demo's output, without the command."""
    found = re.search(r"^\$ make demo\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def test_the_readme_shows_what_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The three parts that no machine changes; the fourth is of the machine that the README names.
    monkeypatch.chdir(tmp_path)
    demo = first_look()
    demo["draw_roofline"](demo["on_a_data_sheet"]())
    demo["case_study"]()
    lines = capsys.readouterr().out.splitlines()
    shown = block()
    fourth = next(index for index, line in enumerate(shown) if line.startswith("4. "))
    assert [line for line in shown[:fourth] if line] == [line for line in lines if line]
    drawn = sorted(path.name for path in (tmp_path / "build").iterdir())
    assert drawn == ["demo-case-study.svg", "demo-roofline.svg"]


def test_what_does_not_fit_is_reported_before_any_time(capsys: pytest.CaptureFixture[str]) -> None:
    first_look()["on_a_data_sheet"]()
    out = " ".join(capsys.readouterr().out.split())
    # 70.6e9 parameters and 64 x 4096 positions of 2 x 80 x 8 x 128, 2 bytes each: 141 + 86 GB.
    said = out.index("Llama-3.1-70B at batch 64 DOES NOT FIT: needs 227 GB, h100-sxm has 85.5 GB")
    assert said < out.index(" ms ")
    assert re.search(r"70B decode 4,096, batch 64 227 GB NO - - capacity", out)


@pytest.mark.slow
def test_the_whole_demo(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(PATH)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert re.search(r"predicted: .* a token \(.* to .*\), 32 tokens", run.stdout)
    assert re.search(r"measured: .* a token .*: (inside|OUTSIDE), off by [+-]\d+%", run.stdout)
