"""Every command at 80 columns: no table is wider, no number is cut, prose wraps between words."""

from __future__ import annotations

import pytest

from memorywall.app.cli import main

Captured = pytest.CaptureFixture[str]

COMMANDS = [
    ("analyze", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "8"),
    ("analyze", "llama-3.1-70b", "--on", "h100-sxm", "--batch", "64", "--seq", "4096"),
    ("analyze", "deepseek-v3", "--on", "h200-sxm", "--ops"),
    ("analyze", "whisper-tiny", "--on", "h100-sxm", "--phase", "generate", "--ops"),
    ("analyze", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "1,512", "--seq", "2048,131072"),
    ("analyze", "t5-large", "--on", "h100-sxm", "--seq", "8,16", "--source", "100,2000"),
    (
        "analyze", "llava-1.5-7b-hf", "--on", "h100-sxm", "--phase", "prefill", "--batch", "1,512",
        "--images", "1,2",
    ),
    ("analyze", "stable-diffusion-3-medium", "--on", "h100-sxm", "--steps", "28"),
    ("hardware",),
    ("hardware", "h100-sxm"),
    ("hardware", "xeon-platinum-8480"),
    ("hardware", "compare", "h100-sxm", "mi300x"),
    ("hardware", "compare", "h100-sxm", "mi300x", "b200-sxm", "xeon-platinum-8480", "tpu-v5p"),
    ("models",),
    ("models", "gpt2", "swinv2-base-patch4-window12to16-192to256-22kto1k-ft"),
    ("models", "--explain", "llama-3.1-8b"),
    ("models", "--explain", "clip-vit-base-patch32"),
]  # fmt: skip
TRENDS = [
    ("trends",),
    ("trends", "paper", "blog"),
    ("trends", "bandwidth", "--only", "consumer"),
    ("hardware", "forecast:2030"),
    ("analyze", "llama-3.1-8b", "--on", "forecast:2030"),
    ("analyze", "llama-3.1-8b", "--on", "forecast:2030", "--batch", "1,1024", "--seq", "2048,4096"),
]


def check(capsys: Captured, command: tuple[str, ...]) -> None:
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    # A line is longer only where a single word is, such as an address.
    wide = [line for line in out.splitlines() if len(line) > 80 and " " in line.strip()]
    assert wide == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_80_columns(capsys: Captured, command: tuple[str, ...]) -> None:
    check(capsys, command)


@pytest.mark.parametrize("command", TRENDS, ids=" ".join)
def test_80_columns_of_trends(capsys: Captured, command: tuple[str, ...]) -> None:
    check(capsys, command)


def test_a_wider_terminal_is_used(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    words = ("--on", "h100-sxm", "--batch", "8", "--ceilings", "spec")
    assert main(("analyze", "llama-3.1-8b", *words)) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "batch 8: at least 5.14 ms, at most 1,557 tokens/s" in first
