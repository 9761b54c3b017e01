"""The constants of serving engines from published runs, and their errors on what no fit saw."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from memorywall.answer.analyze import load_hardware
from memorywall.answer.evaluate import template_of_pass
from memorywall.answer.settle import settle
from memorywall.core.errors import InvalidInputError, MemoryWallError
from memorywall.core.layout import Layout
from memorywall.core.numbers import Array
from memorywall.core.scenario import Scenario
from memorywall.core.workload import Precision, Workload
from memorywall.cost.calls import Call, calls_of
from memorywall.cost.serving import (
    CONSTANTS,
    FIRST,
    SHARED,
    STEP,
    StepWork,
    tpot_s,
    ttft_s,
    work_of,
)
from memorywall.cost.sharding import calls_of_rank
from memorywall.cost.template import Point
from memorywall.frontends.hf import load_model

FILE = "serving_ttft_tpot.csv"
ENGINES = ("trtllm", "vllm", "sglang")
_SOFT = 0.1
_LARGEST_FILE = 64 * 2**20
# Models whose checkpoints state the formats that the runs had.
_AS_STORED = ("NVFP4", "FP8", "openai/")
_MOST_TENSOR = (
    8  # degrees beyond it, or that no model divides by, count all devices of a deployment
)


@dataclass(frozen=True, slots=True, eq=False)
class ServingRun:
    """A published run of an engine.

    Attributes:
        place: its id.
        model, system, engine, quantised: which.
        layout: of the devices that decode.
        disaggregated: whether other devices read the prompts.
        batch: requests in flight; ``local`` of them on a device's attention.
        output_len: tokens of a request.
        step, prompt: the work of a decode step and of one prompt.
        tpot_s, ttft_s: measured; None where not.
        split: the text by which configurations are held out.
        deployed: whether the layout was read from the number of devices of a deployment.
    """

    place: str
    model: str
    system: str
    engine: str
    quantised: str
    layout: Layout
    disaggregated: bool
    batch: float
    output_len: int
    step: StepWork
    prompt: StepWork
    tpot_s: float | None
    ttft_s: float | None
    split: str
    deployed: bool

    @property
    def local(self) -> float:
        """Requests that one device attends to."""
        return self.batch / self.layout.attention_data

    @property
    def is_dense(self) -> bool:
        """Whether the model has no experts."""
        return "Llama" in self.model or "Qwen3-32B" in self.model

    def is_held_out(self, bit: int) -> bool:
        """Return whether a bit of the checksum of its configuration holds it out."""
        return bool(zlib.crc32(self.split.encode()) >> bit & 1)


def read_serving(folder: Path) -> tuple[list[ServingRun], list[str]]:
    """Return the runs of a folder, and the reasons for which others are left out.

    Raises:
        InvalidInputError: the folder has no such file.
    """
    path = folder / FILE
    if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
        raise InvalidInputError(f"{path} must be a CSV of runs of up to 64 MiB.")
    runs, refused = [], []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                runs.append(_run(row))
            except (MemoryWallError, KeyError, ValueError) as error:
                refused.append(f"{row.get('id', '?')}: {error}")
    return runs, refused


def _run(row: dict[str, str]) -> ServingRun:
    apart = row["mode"] != "agg"
    layout, deployed = _layout(row, "decode_" if apart else "")
    other, _ = _layout(row, "prefill_") if apart else (layout, False)
    batch = _batch(row, apart)
    isl, osl = int(row["isl"]), int(row["osl"])
    model, system = row["model_path"], row["system"]
    weights = "" if any(word in model for word in _AS_STORED) else row["gemm_quant_mode"]
    step = _work(model, system, "decode", weights, layout, round(batch) or 1, isl + osl // 2)
    prompt = _work(model, system, "prefill", weights, other, 1, isl)
    return ServingRun(
        row["id"], model, system, row["backend"], row["gemm_quant_mode"], layout, apart, batch, osl,
        step, prompt, _seconds(row["silicon_tpot_ms"]), _seconds(row["silicon_ttft_ms"]),
        f"{model}x{system}x{row['backend']}x{row['tp_size']}", deployed,
    )  # fmt: skip


def _batch(row: dict[str, str], apart: bool) -> float:
    """Return the requests in flight of one group of devices that decode."""
    if not apart:
        return float(row["batch_size"])
    if row["decode_batch_size"]:
        return float(row["decode_batch_size"])
    found = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
    if found is None:
        raise InvalidInputError("it states neither a batch nor a concurrency.")
    return float(found[1]) / _degree(row, "decode_num_workers")


def _layout(row: dict[str, str], prefix: str) -> tuple[Layout, bool]:
    """Return the layout of a row, and whether it was read from the number of devices alone."""
    tensor, groups = _degree(row, f"{prefix}tp_size"), _degree(row, f"{prefix}attention_dp_size")
    shared, expert = _degree(row, f"{prefix}moe_tp_size"), _degree(row, f"{prefix}moe_ep_size")
    if not prefix and tensor in (16, 64) and shared == expert > 1:
        return Layout(tensor=expert, expert=expert), False  # it is the product of both
    odd = tensor & (tensor - 1)
    if odd or (tensor > _MOST_TENSOR and groups == 1 and "DeepSeek" in row["model_path"]):
        every = tensor * groups
        return Layout(expert=min(every, 256), attention_data=every), True
    return Layout(tensor, 1, min(expert, tensor * groups), groups), False


def _degree(row: dict[str, str], name: str) -> int:
    return max(1, int(float(row[name]))) if row.get(name) else 1


def _seconds(text: str) -> float | None:
    value = float(text or "nan") * 1e-3
    return value if value > 0 else None


@lru_cache(maxsize=4096)
def _calls(
    model: str, system: str, phase: str, weights: str, layout: Layout
) -> tuple[list[Call], Point]:
    hardware, loaded = load_hardware(system), load_model(model)
    precision = Precision(weights=weights or None, kv_cache="fp8")
    question = settle(Scenario(loaded, Workload(phase, 1, 2048), hardware, precision))
    template, point = template_of_pass(question, question.passes[0])
    return calls_of_rank(calls_of(template.program), layout), point


@lru_cache(maxsize=65536)
def _work(
    model: str, system: str, phase: str, weights: str, layout: Layout, batch: int, length: int
) -> StepWork:
    calls, point = _calls(model, system, phase, weights, layout)
    at = point._replace(batch=batch, length=length)
    return work_of(calls, at, load_hardware(system), layout.devices)


def predicted_tpot(run: ServingRun, constants: dict[str, float]) -> float:
    """Return the time of an output token by constants."""
    rides = not run.disaggregated
    return tpot_s(run.step, run.prompt, run.local, run.output_len, constants, rides=rides)


def predicted_ttft(run: ServingRun, constants: dict[str, float]) -> float:
    """Return the time to a first token by constants, with the predicted time of a step."""
    return ttft_s(run.prompt, run.local, predicted_tpot(run, constants), constants)


def fit_engines(runs: Sequence[ServingRun]) -> dict[str, dict[str, float]]:
    """Return the constants of each engine: some shared by all, fitted on aggregated runs."""
    from scipy.optimize import least_squares  # noqa: PLC0415 - for fits alone

    used = [r for r in runs if r.tpot_s and not r.disaggregated and not r.deployed]
    engines = [engine for engine in ENGINES if any(r.engine == engine for r in used)]
    known = {constant.name: constant for constant in CONSTANTS}
    names = [*SHARED, *(name for _ in engines for name in STEP)]
    low, high, start = (
        np.log([getattr(known[name], end) for name in names]) for end in ("low", "high", "start")
    )

    def constants(point: Array, engine: str) -> dict[str, float]:
        first = len(SHARED) + engines.index(engine) * len(STEP)
        values = [*point[: len(SHARED)], *point[first : first + len(STEP)]]
        return dict(zip((*SHARED, *STEP), map(float, np.exp(values)), strict=True))

    def off(point: Array) -> Array:
        each = {engine: constants(point, engine) for engine in engines}
        return np.array(
            [np.log(predicted_tpot(r, each[r.engine]) / (r.tpot_s or 1.0)) for r in used]
        )

    found = least_squares(off, start, bounds=(low, high), loss="soft_l1", f_scale=_SOFT,
                          max_nfev=60)  # fmt: skip
    return {e: {**constants(found.x, e), **_first(used, e, constants(found.x, e))} for e in engines}


def _first(runs: Sequence[ServingRun], engine: str, step: dict[str, float]) -> dict[str, float]:
    """Return the constants of an engine's first tokens."""
    from scipy.optimize import least_squares  # noqa: PLC0415 - for fits alone

    known = {constant.name: constant for constant in CONSTANTS}
    low, high, start = (
        np.log([getattr(known[name], end) for name in FIRST]) for end in ("low", "high", "start")
    )
    used = [r for r in runs if r.engine == engine and r.ttft_s]

    def constants(point: Array) -> dict[str, float]:
        return dict(zip(FIRST, map(float, np.exp(point)), strict=True))

    def off(point: Array) -> Array:
        each = {**step, **constants(point)}
        return np.array([np.log(predicted_ttft(r, each) / (r.ttft_s or 1.0)) for r in used])

    found = least_squares(off, start, bounds=(low, high), loss="soft_l1", f_scale=_SOFT,
                          max_nfev=60)  # fmt: skip
    return constants(found.x)
