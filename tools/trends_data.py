"""Write the package's data on devices and models from Epoch AI's originals.

    python tools/trends_data.py FOLDER

FOLDER holds ``epoch_ml_hardware.csv``, ``epoch_frontier_ai_models.csv`` and
``epoch_notable_ai_models_2024-10.csv`` (CC BY 4.0, https://epoch.ai/data). Every row of devices
stays in, and of the models those since 2010 that give a size or a compute; what no series uses
carries the reason in its column ``excluded``.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "src" / "memorywall" / "catalog" / "trends"

_NUMBERS = {
    "fp32": "FP32 (single precision) performance (FLOP/s)",
    "fp8": "FP8 performance (FLOP/s)",
    "fp4": "FP4 performance (FLOP/s)",
    "int8": "INT8 performance (OP/s)",
    "memory_bytes": "Memory (bytes)",
    "memory_byte_per_s": "Memory bandwidth (byte/s)",
    "tdp_w": "TDP (W)",
    "price_usd": "Release price (USD)",
}
_TENSOR, _HALF = (
    "Tensor-FP16/BF16 performance (FLOP/s)",
    "FP16 (half precision) performance (FLOP/s)",
)
# Devices with matrix units of which only the vector units' 16-bit rate is listed.
_VECTOR_ONLY = (
    "Quadro RTX", "RTX 3080", "RTX 3090", "RTX A", "A10G", "A10 PCIe", "RTX 4080", "RTX 4070",
    "RTX 6000 Ada", "Titan V", "Data Center GPU Max",
)  # fmt: skip
_CONSUMER = ("GeForce", "TITAN", "Titan", "Radeon RX")
_WORKSTATION = ("Quadro", "RTX A", "RTX 6000")
# Sold for inference alone, or of at most 150 W, which no card for training has been since 2012.
_INFERENCE = (
    "Tesla P4",
    "TPU v1",
    "TPU v4i",
    "Inferentia",
    "Hanguang",
    "A10G",
    "Ascend 310",
    "P40",
)
_INFERENCE_WATTS = 150


def main() -> None:
    """Write both files."""
    originals = Path(sys.argv[1])
    _write("hardware", [_device(row) for row in _read(originals / "epoch_ml_hardware.csv")])
    _write("models", _models(originals))


def _device(row: dict[str, str]) -> dict[str, str]:
    name, date = " ".join(row["Hardware name"].split()), row["Release date"]
    reason = "no release date" if not date else _EXCLUDED.get(("hardware", name), "")
    return {
        "name": name,
        "vendor": row["Manufacturer"],
        "segment": _segment(name, row["TDP (W)"]),
        "date": date,
        "fp16": _half(name, row),
        **{ours: row[theirs] for ours, theirs in _NUMBERS.items()},
        "excluded": reason,
    }


def _half(name: str, row: dict[str, str]) -> str:
    """Return the dense 16-bit peak: of the matrix units, or of the vector units without those."""
    half, single = row[_HALF], row[_NUMBERS["fp32"]]
    if row[_TENSOR] or not half or any(word in name for word in _VECTOR_ONLY):
        return row[_TENSOR]
    slow = single and float(half) < float(single)  # 1/64 of the 32-bit rate: not used in practice
    return "" if slow else half


def _segment(name: str, watts: str) -> str:
    if any(word in name for word in _CONSUMER):
        return "consumer"
    if any(word in name for word in _WORKSTATION):
        return "workstation"
    small = watts and float(watts) <= _INFERENCE_WATTS
    inference = small or any(word in name for word in _INFERENCE)
    return "inference" if inference else "data-centre"


def _models(originals: Path) -> list[dict[str, str]]:
    frontier = _read(originals / "epoch_frontier_ai_models.csv")
    rows = [
        _model(row, row["Model"], row["Training compute estimation method"], "yes")
        for row in frontier
    ]
    known = {row["name"] for row in rows}
    rows += [
        _model(row, row["System"], "", "")
        for row in _read(originals / "epoch_notable_ai_models_2024-10.csv")
        if " ".join(row["System"].split()) not in known
    ]
    kept = (row for row in rows if row["date"] >= "2010")
    return [row for row in kept if row["parameters"] or row["training_flop"]]


def _model(row: dict[str, str], name: str, estimated: str, frontier: str) -> dict[str, str]:
    name = " ".join(name.split())
    base = row["Base model"].strip()
    reason = f"fine-tuned from {base}" if base else _EXCLUDED.get(("models", name), "")
    return {
        "name": name,
        "date": row["Publication date"],
        "domain": row["Domain"],
        "parameters": row["Parameters"],
        "training_flop": row["Training compute (FLOP)"],
        "estimated_by": estimated,
        "frontier": frontier,
        "excluded": reason,
    }


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(name: str, rows: list[dict[str, str]]) -> None:
    rows = sorted(rows, key=lambda row: (row["date"], row["name"]))
    for row in rows:
        for key, value in row.items():
            row[key] = _shorter(value)
    with (PACKAGE / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _shorter(text: str) -> str:
    """Write a number in as few digits as hold ten of it; other text as it is."""
    try:
        return f"{float(text):.10g}"
    except ValueError:
        return text


_EXCLUDED = {
    (row["dataset"], row["name"]): row["reason"] for row in _read(HERE / "trends_exclusions.csv")
}

if __name__ == "__main__":
    main()
