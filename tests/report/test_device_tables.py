"""Sources of a device's numbers on a page: each once, with the notes on its numbers below."""

from __future__ import annotations

import pytest

from memorywall.app.cli import main
from memorywall.report.device_tables import split_note


@pytest.mark.parametrize(
    ("source", "base", "note"),
    [
        ("data sheet", "data sheet", ""),
        ("data sheet (8 x 2 Gb/s)", "data sheet", "8 x 2 Gb/s"),
        ("paper (V2), https://x.y", "paper (V2), https://x.y", ""),
        ("paper (V2), https://x.y (half of 3 (two))", "paper (V2), https://x.y", "half of 3 (two)"),
        ("(all of it)", "(all of it)", ""), ("odd)", "odd)", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_split_note(source: str, base: str, note: str) -> None:
    assert split_note(source) == (base, note)


def test_a_source_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "RTX 5080"]) == 0
    said = capsys.readouterr().out
    assert said.count("NVIDIA RTX Blackwell GPU Architecture white paper") == 1
    assert "peak bf16: 84 SMs x 512 a clock x 2.617 GHz" in said
    assert "[3] class rule: 0.97 of the label in GiB" in said
