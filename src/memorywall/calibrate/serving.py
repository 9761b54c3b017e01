"""The constants of serving engines from published runs, and their errors on what no fit saw."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from memorywall.answer.analyze import load_hardware
from memorywall.answer.evaluate import template_of_pass
from memorywall.answer.settle import settle
from memorywall.core.errors import InvalidInputError, MemoryWallError
from memorywall.core.kernels import Table
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
from memorywall.cost.template import Point
from memorywall.frontends.hf import load_model
from memorywall.passes.shard import shard

FILE = "serving_ttft_tpot.csv"
ENGINES = ("trtllm", "vllm", "sglang")
SOURCE = "aiconfigurator-core 0.12.0 (PyPI), Apache-2.0: InferenceX dumps and vendors' runs"
HELD_BIT = 1
_FOLD_BIT = 2
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
    prompt = _work(model, system, "prefill", weights, other, other.attention_data, isl)
    return ServingRun(
        row["id"], model, system, row["backend"], row["gemm_quant_mode"], layout, apart, batch, osl,
        step, prompt, _seconds(row["silicon_tpot_ms"]), _seconds(row["silicon_ttft_ms"]),
        f"{model}x{system}x{row['backend']}x{row['tp_size']}", deployed,
    )  # fmt: skip


def _batch(row: dict[str, str], apart: bool) -> float:
    """Return the requests in flight of one group of devices that decode."""
    stated, groups = (
        ("decode_batch_size", "decode_attention_dp_size")
        if apart
        else ("batch_size", "attention_dp_size")
    )
    if row[stated]:  # of one group of devices with the whole attention
        return float(row[stated]) * _degree(row, groups)
    found = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
    if found is None:
        raise InvalidInputError("it states neither a batch nor a concurrency.")
    return float(found[1]) / _degree(row, "decode_num_workers")


def _layout(row: dict[str, str], prefix: str) -> tuple[Layout, bool]:
    """Return the layout of a row, and whether it was read from the number of devices alone.

    Degrees that are stated twice, once as their product, are taken once: 16 and 64 of tensor or
    attention data beside 4 x 4 and 8 x 8 of experts; and attention data equal to tensor with their
    product of experts, which is how engines are asked to attend apart on as many devices.
    """
    tensor, groups = _degree(row, f"{prefix}tp_size"), _degree(row, f"{prefix}attention_dp_size")
    shared, expert = _degree(row, f"{prefix}moe_tp_size"), _degree(row, f"{prefix}moe_ep_size")
    if not prefix and tensor in (16, 64) and shared == expert > 1:
        return Layout(tensor=expert, expert=expert), False  # it is the product of both
    if not prefix and groups in (16, 64) and shared == expert > 1:
        return Layout(expert=expert, attention_data=expert), False  # in the same way
    if not prefix and groups > 1 and tensor == groups and expert == tensor * groups:
        return Layout(expert=groups, attention_data=groups), False
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
    return calls_of(shard(template.program, layout)), point


@lru_cache(maxsize=65536)
def _work(
    model: str, system: str, phase: str, weights: str, layout: Layout, batch: int, length: int
) -> StepWork:
    calls, point = _calls(model, system, phase, weights, layout)
    at = point._replace(batch=batch, length=length)
    return work_of(calls, at, load_hardware(system), layout.devices)


def predicted_tpot(run: ServingRun, constants: Mapping[str, float]) -> float:
    """Return the time of an output token by constants."""
    rides = not run.disaggregated
    return tpot_s(run.step, run.prompt, run.local, run.output_len, constants, rides=rides)


def predicted_ttft(run: ServingRun, constants: Mapping[str, float]) -> float:
    """Return the time to a first token by constants, with the predicted time of a step."""
    return ttft_s(run.prompt, run.local, predicted_tpot(run, constants), constants)


@dataclass(frozen=True, slots=True)
class Predicted:
    """A run with what constants that were fitted without it say of it.

    Attributes:
        run: measured.
        tpot, ttft: predicted over measured seconds; None where not measured.
    """

    run: ServingRun
    tpot: float | None
    ttft: float | None


def predicted(
    runs: Sequence[ServingRun], constants: Mapping[str, Mapping[str, float]]
) -> list[Predicted]:
    """Return runs with their predictions by the constants of each engine."""
    found = []
    for run in runs:
        own = constants[run.engine]
        tpot = None if run.tpot_s is None else predicted_tpot(run, own) / run.tpot_s
        ttft = None if run.ttft_s is None else predicted_ttft(run, own) / run.ttft_s
        found.append(Predicted(run, tpot, ttft))
    return found


def left_out(runs: Sequence[ServingRun], group: Callable[[ServingRun], object]) -> list[Predicted]:
    """Return all runs, each predicted by constants that were fitted without its group."""
    groups: dict[object, list[ServingRun]] = {}
    for run in runs:
        groups.setdefault(group(run), []).append(run)
    found = []
    for name, own in groups.items():
        constants = fit_engines([run for run in runs if group(run) != name])
        found += predicted([run for run in own if run.engine in constants], constants)
    return found


def fold(run: ServingRun) -> int:
    """Return which of four parts a configuration is in, by two bits of its checksum."""
    return zlib.crc32(run.split.encode()) >> _FOLD_BIT & 3


def quantiles(ratios: Sequence[float]) -> tuple[float, float]:
    """Return factors of a prediction between which 80 % of measurements lie."""
    low, high = np.quantile(1 / np.array(ratios), (0.1, 0.9))
    return float(f"{low:.4f}"), float(f"{high:.4f}")


def engine_tables(runs: Sequence[ServingRun]) -> list[Table]:
    """Return the constants of all engines, from all runs, with the errors of what no fit saw.

    Errors are those of configurations that bit 1 of their checksum holds out. The intervals are of
    configurations left out, four parts in turn; of systems without runs, of systems left out.
    """
    together = [run for run in runs if not run.disaggregated]
    constants = fit_engines(runs)
    trained = fit_engines([run for run in runs if not run.is_held_out(HELD_BIT)])
    held = predicted([run for run in together if run.is_held_out(HELD_BIT)], trained)
    ways = {"": left_out(together, fold), "_unseen": left_out(together, lambda run: run.system)}
    tables = []
    for engine, found in constants.items():
        for kind, names in (("tpot", (*SHARED, *STEP)), ("ttft", FIRST)):
            tested = _ratios(held, engine, kind)
            for suffix, out in ways.items():
                ratios = _ratios(out, engine, kind)
                low, high = quantiles(ratios)
                off = np.abs(np.array(tested if not suffix else ratios) - 1)
                tables.append(Table(
                    f"{kind}{suffix}", "", engine,
                    {name: float(f"{found[name]:.4g}") for name in names}, low, high,
                    "class default" if suffix else "calibrated", SOURCE, rows=len(ratios),
                    median_error=float(f"{np.median(off):.4f}"),
                    p90_error=float(f"{np.quantile(off, 0.9):.4f}"),
                ))  # fmt: skip
    return tables


def _ratios(found: Sequence[Predicted], engine: str, kind: str) -> list[float]:
    ratios = [getattr(one, kind) for one in found if one.run.engine == engine]
    return [ratio for ratio in ratios if ratio is not None]


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
