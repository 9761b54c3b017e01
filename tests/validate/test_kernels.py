"""The errors of kernels, as promised."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import memorywall as mw
from memorywall.calibrate.public_kernels import KINDS, read_kernels, read_table
from memorywall.validate import all_validators, find_validator
from memorywall.validate.ablation import ALL_TERMS, ablate_kernels
from memorywall.validate.errors import ErrorRow, Section, Validation
from memorywall.validate.kernels import (
    ARCHITECTURE_OUT,
    DEVICE_OUT,
    HELD_OUT,
    LIMITS,
    SHEET,
    validate_kernels,
)

_FACTOR = 1.1  # of what is predicted: what the files' measurements took


def ground_truth() -> Path | None:
    named = os.environ.get("MEMORYWALL_GROUND_TRUTH")
    beside = Path(__file__).parents[2].parent / "shared" / "ground-truth"
    return Path(named) if named else beside if beside.exists() else None


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    parquet.write_table(pa.table({n: [row[n] for row in rows] for n in names}), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return tables of all kinds, whose times are those of the shipped constants times 1.1."""
    folder = tmp_path_factory.mktemp("kernels")
    rng = np.random.default_rng(0)
    source = {"system": "h100_sxm", "framework": "SGLang", "version": "1"}
    gemm, moe, decode, prefill, nccl = ([] for _ in range(5))
    for _ in range(120):
        m, n, k = (int(2 ** rng.uniform(7, 13)) for _ in range(3))
        found = mw.kernel_time("gemm", on="h100-sxm", engine="sglang", m=m, n=n, k=k)
        gemm.append({**source, "gemm_dtype": "bfloat16", "m": m, "n": n, "k": k,
                     "latency_ms": 1e3 * _FACTOR * found.seconds})  # fmt: skip
    for place in range(60):
        hidden, tokens = 128 * (1 + place % 30), int(2 ** rng.uniform(0, 12))
        shape: dict[str, Any] = {"hidden_size": hidden, "experts": 64, "tensor": 1, "expert": 1,
                                 "intermediate_size": 1024, "experts_per_token": 4}  # fmt: skip
        found = mw.kernel_time("moe", on="h100-sxm", engine="sglang", tokens=tokens, **shape)
        moe.append({**source, "moe_dtype": "bfloat16", "num_tokens": tokens, "hidden_size": hidden,
                    "inter_size": 1024, "num_experts": 64, "topk": 4, "moe_tp_size": 1,
                    "moe_ep_size": 1, "distribution": "balanced",
                    "latency_ms": 1e3 * _FACTOR * found.seconds})  # fmt: skip
        heads = {"batch": 1 + place % 8, "heads": 8 + place % 16, "kv_heads": 8, "head_dim": 128}
        columns = {**source, "attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16",
                   "batch_size": heads["batch"], "num_heads": heads["heads"],
                   "num_key_value_heads": 8, "head_dim": 128, "window_size": 0}  # fmt: skip
        step = mw.kernel_time(
            "attention_decode", on="h100-sxm", engine="sglang", keys=1025, **heads
        )
        decode.append({**columns, "isl": 1024, "step": 1,
                       "latency_ms": 1e3 * _FACTOR * step.seconds})  # fmt: skip
        prompt = mw.kernel_time("attention_prefill", on="h100-sxm", engine="sglang", queries=1024,
                                keys=1024, **heads)  # fmt: skip
        prefill.append({**columns, "isl": 1024, "latency_ms": 1e3 * _FACTOR * prompt.seconds})
    for name, kind in (("all_reduce", "all_reduce"), ("alltoall", "all_to_all"),
                       ("all_gather",) * 2, ("reduce_scatter",) * 2):  # fmt: skip
        for place in range(20):
            sent = mw.kernel_time(kind, on="h100-sxm", bytes=2 * 2**place, ranks=8)
            row = {"system": "h100_sxm", "version": "2", "op_name": name, "nccl_dtype": "half",
                   "message_elements": 2**place, "num_gpus": 8}  # fmt: skip
            nccl += [{**row, "latency_ms": 1e3 * f * _FACTOR * sent.seconds} for f in (1.0, 1.0, 5)]
    write(folder / "gemm.parquet", gemm)
    write(folder / "moe.parquet", moe)
    write(folder / "attention_generation.parquet", decode)
    write(folder / "attention_context.parquet", prefill)
    write(folder / "collectives_nccl.parquet", nccl)
    return folder


def test_every_kind_is_predicted_four_times(folder: Path) -> None:
    found = validate_kernels(folder)
    assert [section.title for section in found.sections] == [
        HELD_OUT, SHEET, DEVICE_OUT, ARCHITECTURE_OUT,
    ]  # fmt: skip
    shipped, sheet, *_ = found.sections
    for group in ("gemm", "gemm bf16", "gemm sglang", "gemm h100-sxm", "moe", "attention_decode",
                  "attention_prefill", "collectives", "all_reduce", "all_to_all"):  # fmt: skip
        row, bound = shipped.row(group), sheet.row(group)
        assert row is not None, group
        assert bound is not None, group
        # 1.1 times the prediction was measured: the error is 1 - 1 / 1.1.
        assert row.median == pytest.approx(1 - 1 / _FACTOR, abs=0.01), group
        assert row.bias == pytest.approx(1 / _FACTOR, abs=0.01), group
        assert bound.bias < row.bias, group
        assert bound.covered is None
    assert found.to_dict()["schema"] == "memorywall.validation/1"


def test_repeats_of_one_collective_are_their_median(folder: Path) -> None:
    (part,) = read_kernels(folder, "all_reduce")
    assert len(part) == 20
    found = mw.kernel_time("all_reduce", on="h100-sxm", bytes=part.shape["bytes"], ranks=8)
    assert part.seconds == pytest.approx(_FACTOR * np.asarray(found.seconds), rel=1e-6)
    assert part.shape["bytes"][0] == 2  # an element of "half" has two bytes


def test_products_of_large_lengths_do_not_overflow(tmp_path: Path) -> None:
    row = {"system": "h100_sxm", "framework": "VLLM", "version": "1", "gemm_dtype": "fp8",
           "m": 65_536, "n": 65_536, "k": 65_536, "latency_ms": 1e3}  # fmt: skip
    write(tmp_path / "gemm.parquet", [row])
    (part,) = read_kernels(tmp_path, "gemm")
    assert part.shape["m"][0] * part.shape["n"][0] * part.shape["k"][0] == 2.0**48
    assert (part.engine, part.dtype, part.layers) == ("vllm", "fp8", ["65536x65536"])


def test_terms_buy_what_their_absence_costs(folder: Path) -> None:
    (section,) = ablate_kernels(folder, ["gemm"])
    assert section.title == "terms of gemm"
    full, *others = section.rows
    assert full.group == ALL_TERMS
    launches = next(row for row in others if row.group.startswith("launches"))
    points = 100 * (launches.median - full.median), 100 * (launches.p90 - full.p90)
    assert launches.group == f"launches ({points[0]:+.1f}, {points[1]:+.1f})"
    assert points[1] > 1


def test_limits_that_are_exceeded_are_listed() -> None:
    row = ErrorRow("gemm bf16", 9, 0.08, 0.2, 1.0, 0.8)
    failures = Validation("kernels", (Section(HELD_OUT, (row,)),), LIMITS).failures
    assert failures == (f"kernels, {HELD_OUT}, gemm bf16: median 8.0% must be at most 7.0%",)


def test_validators_are_found_by_name() -> None:
    assert {one.name for one in all_validators()} == {"kernels", "serving", "streams"}
    assert find_validator("kernels").ablate is not None
    with pytest.raises(mw.MemoryWallError, match="or all"):
        find_validator("kernel")


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(mw.MemoryWallError, match="is missing"):
        read_table(tmp_path / "gemm.parquet")
    assert len(KINDS) == 8


@pytest.mark.slow
@pytest.mark.skipif(ground_truth() is None, reason="needs the measured tables")
def test_kernels_keep_to_the_promise() -> None:
    folder = ground_truth()
    assert folder is not None
    found = validate_kernels(folder)
    assert not found.failures
