"""The errors of serving engines, as promised."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from memorywall.calibrate.serving import FILE, read_serving
from memorywall.core.errors import InvalidInputError
from memorywall.validate.serving import (
    CONFIGURATION_OUT,
    LIMITS,
    MODEL_OUT,
    SHEET,
    SHIPPED,
    SYSTEM_OUT,
    validate_serving,
)
from tests.validate.test_streams import ground_truth

COLUMNS = (
    "id", "silicon_data_source", "backend", "model_path", "system", "precision", "mode", "isl",
    "osl", "gemm_quant_mode", "moe_quant_mode", "batch_size", "tp_size", "pp_size",
    "attention_dp_size", "moe_tp_size", "moe_ep_size", "decode_batch_size", "decode_num_workers",
    "decode_tp_size", "decode_attention_dp_size", "decode_moe_tp_size", "decode_moe_ep_size",
    "prefill_tp_size", "prefill_attention_dp_size", "prefill_moe_tp_size", "prefill_moe_ep_size",
    "silicon_ttft_ms", "silicon_tpot_ms",
)  # fmt: skip
RUN = {
    "backend": "vllm", "model_path": "meta-llama/Llama-3.1-8B-Instruct", "system": "h100_sxm",
    "mode": "agg", "isl": "1024", "osl": "1024", "gemm_quant_mode": "fp8", "batch_size": "8",
    "tp_size": "1", "silicon_ttft_ms": "60", "silicon_tpot_ms": "7",
}  # fmt: skip


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / FILE).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({"id": str(index), **row} for index, row in enumerate(rows))
    return folder


def test_runs_are_read_with_their_layout(tmp_path: Path) -> None:
    rows = [
        RUN,
        {**RUN, "attention_dp_size": "2", "tp_size": "2", "moe_ep_size": "4"},
        {**RUN, "tp_size": "64", "moe_tp_size": "8", "moe_ep_size": "8"},
    ]
    runs, refused = read_serving(write(tmp_path, rows))
    assert not refused
    one, two, three = runs
    assert (one.layout.devices, one.batch, one.local) == (1, 8, 8)
    # A degree that is stated twice, once as a product, is taken once; batches are those of a group.
    assert (two.layout.tensor, two.layout.attention_data, two.batch, two.local) == (1, 2, 16, 8)
    assert (three.layout.tensor, three.layout.expert) == (8, 8)


def test_rows_that_cannot_be_priced_are_refused_with_a_reason(tmp_path: Path) -> None:
    rows = [RUN, {**RUN, "model_path": "no/model"}, {**RUN, "tp_size": "32", "mode": "disagg"}]
    runs, refused = read_serving(write(tmp_path, rows))
    assert len(runs) == 1
    assert "no/model" in refused[0]
    assert "neither a batch nor a concurrency" in refused[1]


def test_a_folder_without_runs(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="must be a CSV of runs"):
        validate_serving(tmp_path)


def test_tables_of_errors(tmp_path: Path) -> None:
    rows = [
        {**RUN, "system": system, "batch_size": batch, "tp_size": tensor}
        for system in ("h100_sxm", "h200_sxm", "b200_sxm")
        for tensor in ("1", "2", "4")
        for batch in ("1", "8", "32")
    ]
    found = validate_serving(write(tmp_path, rows))
    titles = [section.title for section in found.sections]
    assert titles == [CONFIGURATION_OUT, SYSTEM_OUT, MODEL_OUT, SHIPPED, SHEET]
    shipped = found.sections[3].row("output token, all")
    assert shipped is not None
    assert shipped.rows == 27
    assert found.answered == 1
    sheet = found.sections[4].row("output token, all")
    assert sheet is not None
    assert sheet.bias < 1  # a bound is shorter than what was measured


def test_the_promised_errors() -> None:
    folder = ground_truth()
    if folder is None:
        pytest.skip("the measurements are not here")
    found = validate_serving(folder)
    assert found.limits == LIMITS
    assert not found.failures
