"""Public tables of kernel times (aiconfigurator-core 0.12.0, Apache-2.0) as samples.

A folder holds one Parquet file a kind. Tables of dtypes that no kernel has here are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from memorywall.calibrate.samples import Samples
from memorywall.core.errors import InvalidInputError, MissingDependencyError
from memorywall.core.numbers import Array
from memorywall.cost.kernels.facts import attention_dtype

SOURCE = "aiconfigurator-core 0.12.0 (PyPI), Apache-2.0"
_MOST_ROWS = 20_000_000
_BETWEEN = "\x1f"  # texts of a row; NumPy would drop a zero byte before an empty last one
_ENGINES = {"SGLang": "sglang", "TRTLLM": "trtllm", "VLLM": "vllm"}
_DTYPES = {
    "bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "fp8_block": "fp8_block",
    "nvfp4": "nvfp4", "int8_wo": "int8", "int4_wo": "int4", "w4a16_mxfp4": "mxfp4",
    "w4a8_mxfp4_mxfp8": "mxfp4_mxfp8",
}  # fmt: skip


def read_kernels(folder: Path, kind: str) -> Iterator[Samples]:
    """Yield the samples of one kind of kernel, a device, engine and dtype each.

    Raises:
        InvalidInputError: the folder has no table of the kind.
        MissingDependencyError: pyarrow is not installed.
    """
    yield from _READERS[kind](folder)


def read_table(path: Path, most_rows: int = _MOST_ROWS) -> dict[str, Array]:
    """Return a Parquet file as arrays; texts as arrays of objects.

    Raises:
        InvalidInputError: there is no such file, it is not Parquet, or has too many rows.
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415 - for fits and validation alone
    except ImportError:
        raise MissingDependencyError("pyarrow", "reading Parquet", "test") from None
    if not path.is_file():
        raise InvalidInputError(f"{path} is missing.", "Name the folder of the tables: --data.")
    try:
        file = parquet.ParquetFile(path)
        if file.metadata.num_rows > most_rows:
            raise InvalidInputError(f"{path} must have at most {most_rows:,} rows.")
        table = file.read()
    except (ArrowException, OSError) as error:
        raise InvalidInputError(f"{path} is not Parquet: {str(error)[:200]}") from None
    return {
        name: table.column(name).to_pandas().astype(object).to_numpy()
        if str(table.schema.field(name).type).startswith(("dictionary", "string"))
        else table.column(name).to_numpy()
        for name in table.column_names
    }


def groups(table: Mapping[str, Array], *names: str) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Yield the values of some columns, and the places of the rows that have them, in order."""
    keys = np.array(
        [_BETWEEN.join(map(str, row)) for row in zip(*(table[n] for n in names), strict=True)]
    )
    found, inverse = np.unique(keys, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    ends = np.cumsum(np.bincount(inverse))
    for key, start, end in zip(found, [0, *ends[:-1]], ends, strict=True):
        yield tuple(str(key).split(_BETWEEN)), order[start:end]


def _gemm(folder: Path) -> Iterator[Samples]:
    table = read_table(folder / "gemm.parquet")
    for (device, framework, version, dtype), rows in groups(
        table, "system", "framework", "version", "gemm_dtype"
    ):
        if dtype not in _DTYPES:  # "sq", SmoothQuant of one engine on one device
            continue
        shape = {name: table[name][rows].astype(np.float64) for name in ("m", "n", "k")}
        layers = [f"{n:.0f}x{k:.0f}" for n, k in zip(shape["n"], shape["k"], strict=True)]
        yield Samples(
            "gemm", device, _ENGINES[framework], version, _DTYPES[dtype], shape,
            table["latency_ms"][rows].astype(np.float64) * 1e-3, layers,
        )  # fmt: skip


def _moe(folder: Path) -> Iterator[Samples]:
    table = read_table(folder / "moe.parquet")
    columns = {
        "tokens": "num_tokens", "hidden_size": "hidden_size", "intermediate_size": "inter_size",
        "experts": "num_experts", "experts_per_token": "topk", "tensor": "moe_tp_size",
        "expert": "moe_ep_size",
    }  # fmt: skip
    keys = ("system", "framework", "version", "moe_dtype")
    for (device, framework, version, dtype), rows in groups(table, *keys):
        if dtype not in _DTYPES:
            continue
        shape: dict[str, Any] = {
            name: table[column][rows].astype(np.float64) for name, column in columns.items()
        }
        shape["routing"] = table["distribution"][rows]
        layers = [
            f"{h:.0f}x{i:.0f}x{k:.0f}x{e:.0f}"
            for h, i, k, e in zip(
                *(shape[n] for n in ("hidden_size", "intermediate_size", "experts_per_token",
                                     "experts")),
                strict=True,
            )
        ]  # fmt: skip
        yield Samples(
            "moe", device, _ENGINES[framework], version, _DTYPES[dtype], shape,
            table["latency_ms"][rows].astype(np.float64) * 1e-3, layers,
        )  # fmt: skip


_COLLECTIVES = {
    "all_reduce": "all_reduce", "all_gather": "all_gather", "reduce_scatter": "reduce_scatter",
    "all_to_all": "alltoall",
}  # fmt: skip
_ELEMENT = {"half": 2, "int8": 1}


def _collectives(kind: str) -> Callable[[Path], Iterator[Samples]]:
    """Return the reader of a kind of collective; repeats of one point are one, their median."""

    def read(folder: Path) -> Iterator[Samples]:
        table = read_table(folder / "collectives_nccl.parquet")
        table = {
            name: column[table["op_name"] == _COLLECTIVES[kind]] for name, column in table.items()
        }
        size = np.array([_ELEMENT[str(dtype)] for dtype in table["nccl_dtype"]], dtype=np.float64)
        payload = table["message_elements"].astype(np.float64) * size
        for (device,), rows in groups(table, "system"):
            points: dict[tuple[float, float], list[float]] = {}
            for row in rows:
                point = float(payload[row]), float(table["num_gpus"][row])
                points.setdefault(point, []).append(float(table["latency_ms"][row]) * 1e-3)
            moved, ranks = (np.array(column) for column in zip(*points, strict=True))
            versions = sorted(
                {str(version) for version in table["version"][rows]} - {"nan", "None"}
            )
            yield Samples(
                kind, device, "nccl", ", ".join(versions), "", {"bytes": moved, "ranks": ranks},
                np.array([float(np.median(each)) for each in points.values()]),
                [f"{int(np.log2(b)) % 2}" for b in moved],
            )  # fmt: skip

    return read


def _attention(kind: str, file: str) -> Callable[[Path], Iterator[Samples]]:
    """Return the reader of a kind of attention."""

    def read(folder: Path) -> Iterator[Samples]:
        table = read_table(folder / file)
        keys = ("system", "framework", "version", "attn_dtype", "kv_cache_dtype")
        for (device, framework, version, dtype, cache), rows in groups(table, *keys):
            if dtype not in _DTYPES or cache not in _DTYPES:
                continue
            shape = _attention_shape(kind, {name: column[rows] for name, column in table.items()})
            shape["kv_cache"] = _DTYPES[cache]
            key = attention_dtype(_DTYPES[dtype], _DTYPES[cache])
            layers = [
                f"{h:.0f}x{g:.0f}x{d:.0f}"
                for h, g, d in zip(
                    *(shape[n] for n in ("heads", "kv_heads", "head_dim")), strict=True
                )
            ]
            yield Samples(
                kind, device, _ENGINES[framework], version, key, shape,
                table["latency_ms"][rows].astype(np.float64) * 1e-3, layers,
            )  # fmt: skip

    return read


def _attention_shape(kind: str, table: Mapping[str, Array]) -> dict[str, Any]:
    columns = {
        "batch": "batch_size", "heads": "num_heads", "kv_heads": "num_key_value_heads",
        "head_dim": "head_dim", "keys": "isl", "window": "window_size",
    }  # fmt: skip
    shape: dict[str, Any] = {
        name: np.nan_to_num(table[column].astype(np.float64)) for name, column in columns.items()
    }
    if kind == "attention_decode":
        shape["keys"] = shape["keys"] + table["step"].astype(np.float64)
    else:
        shape["queries"] = shape["keys"]
    return shape


_READERS: dict[str, Callable[[Path], Iterator[Samples]]] = {
    "gemm": _gemm,
    "moe": _moe,
    "attention_decode": _attention("attention_decode", "attention_generation.parquet"),
    "attention_prefill": _attention("attention_prefill", "attention_context.parquet"),
    **{kind: _collectives(kind) for kind in _COLLECTIVES},
}
KINDS = tuple(_READERS)
