"""``memorywall calibrate`` and ``memorywall validate``: tables of files, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import memorywall as mw
from memorywall.app.cli import main
from memorywall.catalog.kernel_tables import user_path
from tests.calibrate.kernel_files import products, write_csv

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tables of each test in a separate folder."""
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_kernels_of_a_card_are_kept_for_later_answers(tmp_path: Path, capsys: Captured) -> None:
    before = mw.kernel_time("gemm", on="rtx-4090", m=64, n=4096, k=4096)
    path = write_csv(tmp_path / "mine.csv", products(60, "rtx-4090", factor=1.25))
    assert main(["calibrate", str(path), "--on", "rtx-4090"]) == 0
    out = capsys.readouterr().out
    assert "gemm bf16: 60 measurements, median error" in out
    assert str(user_path("rtx-4090")) in out
    after = mw.kernel_time("gemm", on="rtx-4090", m=64, n=4096, k=4096)
    assert (before.provenance, after.provenance) == ("class default", "calibrated")
    assert after.seconds == pytest.approx(1.25 * before.seconds, rel=0.15)
    assert after.high / after.low < before.high / before.low


def test_a_second_file_replaces_the_tables_of_its_kinds_alone(
    tmp_path: Path, capsys: Captured
) -> None:
    for dtype, factor in (("bf16", 1.1), ("fp8", 1.2), ("bf16", 1.3)):
        path = write_csv(tmp_path / "mine.csv", products(40, "rtx-3090-ti", dtype, factor))
        assert main(["calibrate", str(path), "--on", "rtx-3090-ti", "--json"]) == 0
    record = json.loads(capsys.readouterr().out.rpartition("\n{\n")[2].join(("{", "")))
    assert record["schema"] == "memorywall.calibration/1"
    assert [(table["kind"], table["dtype"]) for table in record["tables"]] == [("gemm", "bf16")]
    text = user_path("rtx-3090-ti").read_text(encoding="utf-8")
    assert text.count("[[tables]]") == 2
    assert "[constants.gemm]" in text


def test_single_kernels_leave_passes_to_the_runs_of_a_class(
    tmp_path: Path, capsys: Captured
) -> None:
    question: dict[str, Any] = {"on": "rtx-3080", "phase": "decode", "seq_len": 512}
    before = mw.analyze("gpt2", **question).latency_s
    path = write_csv(tmp_path / "mine.csv", products(40, "rtx-3080", factor=2.0))
    assert main(["calibrate", str(path), "--on", "rtx-3080"]) == 0
    assert mw.analyze("gpt2", **question).latency_s == before
    assert capsys.readouterr().err == ""


def test_rows_that_break_physics_are_refused(tmp_path: Path, capsys: Captured) -> None:
    rows = products(40, "rtx-4090")
    rows[0]["seconds"] = 1e-10
    path = write_csv(tmp_path / "mine.csv", rows)
    assert main(["calibrate", str(path), "--on", "rtx-4090"]) == 2
    err = capsys.readouterr().err
    assert "row 2: gemm" in err
    assert not user_path("rtx-4090").exists()


def test_validate_refuses_what_it_does_not_have(tmp_path: Path, capsys: Captured) -> None:
    assert main(["validate", "--data", str(tmp_path / "none")]) == 2
    assert "--data must be a folder" in capsys.readouterr().err
    assert main(["validate", "kernels", "--data", str(tmp_path)]) == 2
    assert "gemm.parquet is missing" in capsys.readouterr().err
    assert main(["validate", "kernel", "--data", str(tmp_path)]) == 2
    assert "kernels" in capsys.readouterr().err
