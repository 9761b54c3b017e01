"""A step of a serving engine: in-flight batching, with the prompts that ride in decode steps.

    pass  = sqrt((compute / 0.75)^2 + (traffic / 0.85)^2)  over all products of one device
            + the same over attention, with 0.3 and 0.7
            + elementwise traffic / 0.85 + kernels * kernel_s
            + sums over the group: reduce_s + reduce_rank_s (n - 1), and bytes at 0.6 of the link
    step  = pass(sequences of the batch) + step_s + sequence_s * local batch
    TPOT  = step + riding * local batch / output length * pass(one prompt)
    TTFT  = first_s + first_share * pass(one prompt) * (1 + burst_share * (batch - 1))
            + first_steps * TPOT

Compute and traffic are at the data sheet. A layer of experts launches six kernels more than its
products, latent attention eight. A request leaves the batch after ``output length`` steps, so that
a prompt enters it every output length / batch steps: ``riding`` is the part of its pass that delays
the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import hypot
from typing import Any

from memorywall.core.hardware import Hardware
from memorywall.core.kernels import Constant
from memorywall.core.routing import distinct
from memorywall.core.symbols import Expression, Symbol, evaluate
from memorywall.cost.calls import Call
from memorywall.cost.kernels._collective import link_of
from memorywall.cost.template.point import VARIABLES, Point

CONSTANTS = (
    Constant("riding", "", "Part of a prompt's pass that delays decode steps.", 0.1, 3.0, 0.8),
    Constant("reduce_s", "s", "Latency of a sum over a group.", 1e-7, 5e-5, 2e-6),
    Constant("reduce_rank_s", "s", "The same for every further rank.", 1e-9, 1e-5, 2e-7),
    Constant("step_s", "s", "The host's part of a step.", 1e-6, 3e-2, 1e-3),
    Constant("sequence_s", "s", "Scheduling and sampling of a sequence.", 1e-7, 5e-4, 2e-5),
    Constant("kernel_s", "s", "Launch of a kernel.", 1e-8, 3e-5, 4e-6),
    Constant("first_share", "", "Passes over a prompt until its first token.", 0.2, 10.0, 1.8),
    Constant("burst_share", "", "Share of other prompts that a prompt waits for.", 1e-3, 1.0, 0.06),
    Constant("first_s", "s", "The host's part of a first token.", 1e-4, 1.0, 2e-2),
    Constant("first_steps", "", "Decode steps that a first token waits for.", 0.05, 20.0, 1.0),
)
SHARED = ("riding", "reduce_s", "reduce_rank_s")
STEP = ("step_s", "sequence_s", "kernel_s")
FIRST = ("first_share", "burst_share", "first_s", "first_steps")
_COMPUTE, _TRAFFIC, _ATTENTION_COMPUTE, _ATTENTION_TRAFFIC, _LINK = 0.75, 0.85, 0.3, 0.7, 0.6
_EXPERT_KERNELS, _LATENT_KERNELS = 6, 8
_RIDING_LAUNCHES = 0.3  # of a prompt's kernels: most are hidden behind those before them


@dataclass(slots=True)
class StepWork:
    """The work of a pass on one device, in seconds at the data sheet; adds up over calls.

    Attributes:
        compute_s, memory_s: of products, those of experts included.
        attention_compute_s, attention_memory_s: of attention.
        stream_s: of elementwise operators.
        kernels: launches.
        sums: collectives, and ``sent_s`` the seconds of their bytes on the link.
        ranks: devices of a group.
    """

    compute_s: float = 0.0
    memory_s: float = 0.0
    attention_compute_s: float = 0.0
    attention_memory_s: float = 0.0
    stream_s: float = 0.0
    kernels: float = 0.0
    sums: float = 0.0
    sent_s: float = 0.0
    ranks: int = 1


def work_of(calls: Sequence[Call], point: Point, hardware: Hardware, ranks: int) -> StepWork:
    """Return the work of one pass of a device's calls at a point of plain numbers."""
    at = dict(zip(VARIABLES, point, strict=True))
    work = StepWork(ranks=ranks)
    bandwidth, link = float(hardware.bandwidth), float(link_of(hardware))
    for call in calls:
        varying = {name: float(_number(value, at)) for name, value in call.varying.items()}
        peak = float(hardware.peak(call.arithmetic or "bf16"))
        of = _OF.get(call.kernel, _collective)
        one = of({"kernel": call.kernel, **call.shape}, varying, peak, bandwidth, link)
        for field in fields(StepWork):
            if field.name != "ranks":
                added = getattr(one, field.name) * call.repeat
                setattr(work, field.name, getattr(work, field.name) + added)
    return work


def _number(value: Any, at: Mapping[str, Any]) -> Any:
    return evaluate(value, at) if isinstance(value, Symbol | Expression) else value


def _gemm(s: Any, v: Any, peak: float, bandwidth: float, _: float) -> StepWork:
    moved = s["weight_bytes"] * s["n"] * s["k"] + 2 * v["m"] * (s["n"] + s["k"])
    flops = 2 * v["m"] * s["n"] * s["k"]
    return StepWork(compute_s=flops / peak, memory_s=moved / bandwidth, kernels=1)


def _moe(s: Any, v: Any, peak: float, bandwidth: float, _: float) -> StepWork:
    experts, chosen, groups = s["experts"], s["experts_per_token"], s.get("expert", 1)
    routing = "uniform" if s["routing"] == "balanced" else "skewed"
    active = float(distinct(experts, chosen, v["tokens"], routing)) / groups
    inner, rows = s["intermediate_size"] / s.get("tensor", 1), v["tokens"] * chosen / groups
    size = (3 if s["gated"] else 2) * s["hidden_size"] * inner
    moved = active * size * s["weight_bytes"] + 2 * rows * (2 * s["hidden_size"] + 3 * inner)
    return StepWork(
        compute_s=2 * rows * size / peak, memory_s=moved / bandwidth, kernels=1 + _EXPERT_KERNELS
    )


def _decode(s: Any, v: Any, peak: float, bandwidth: float, _: float) -> StepWork:
    arrays = 1 if s["latent"] else 2
    moved = arrays * v["batch"] * v["keys"] * s["kv_heads"] * s["head_dim"] * s["cache_bytes"]
    flops = 2 * v["batch"] * s["heads"] * v["keys"] * (s["head_dim"] + s["value_dim"])
    kernels = 1 + _LATENT_KERNELS * bool(s["latent"])
    return StepWork(
        attention_compute_s=flops / peak, attention_memory_s=moved / bandwidth, kernels=kernels
    )


def _prefill(s: Any, v: Any, peak: float, bandwidth: float, _: float) -> StepWork:
    moved = 4 * v["batch"] * v["queries"] * (s["heads"] + s["kv_heads"]) * s["head_dim"]
    width = s["head_dim"] + s["value_dim"]
    flops = v["batch"] * s["heads"] * v["queries"] * v["keys"] * width
    return StepWork(
        attention_compute_s=flops / peak, attention_memory_s=moved / bandwidth, kernels=1
    )


def _stream(_: Any, v: Any, __: float, bandwidth: float, ___: float) -> StepWork:
    return StepWork(stream_s=v["moved_bytes"] / bandwidth, kernels=1)


def _collective(s: Any, v: Any, _: float, __: float, link: float) -> StepWork:
    crossings = 2 if s["kernel"] == "all_reduce" else 1
    return StepWork(sums=1, sent_s=crossings * v["bytes"] / link)


_OF = {
    "gemm": _gemm, "moe": _moe, "attention_decode": _decode, "attention_prefill": _prefill,
    "stream": _stream, "roofs": _stream,
}  # fmt: skip


def pass_s(work: StepWork, constants: Mapping[str, float], *, rides: bool = False) -> float:
    """Return the seconds of a pass; of a prompt that rides in steps with fewer launches."""
    products = hypot(work.compute_s / _COMPUTE, work.memory_s / _TRAFFIC)
    attention = hypot(
        work.attention_compute_s / _ATTENTION_COMPUTE, work.attention_memory_s / _ATTENTION_TRAFFIC
    )
    launches = launches_s(work, constants) * (_RIDING_LAUNCHES if rides else 1.0)
    return products + attention + work.stream_s / _TRAFFIC + launches + sums_s(work, constants)


def sheet_s(work: StepWork) -> float:
    """Return the least seconds of a pass at the data sheet."""
    products = max(work.compute_s, work.memory_s)
    return products + max(work.attention_compute_s, work.attention_memory_s) + work.stream_s


def launches_s(work: StepWork, constants: Mapping[str, float]) -> float:
    """Return the seconds in which the kernels of a pass are launched."""
    return work.kernels * constants["kernel_s"]


def sums_s(work: StepWork, constants: Mapping[str, float]) -> float:
    """Return the seconds of the collectives of a pass."""
    if work.ranks == 1:
        return 0.0
    each = constants["reduce_s"] + constants["reduce_rank_s"] * (work.ranks - 1)
    return work.sums * each + work.sent_s / _LINK


def tpot_s(
    step: StepWork, prompt: StepWork, local: float, output_len: int, constants: Mapping[str, float],
    *, rides: bool = True,
) -> float:  # fmt: skip
    """Return the time of an output token.

    Args:
        step: a decode step at the mean context.
        prompt: a pass over one prompt.
        local: sequences of a device's batch.
        output_len: tokens of a request.
        constants: those of an engine.
        rides: whether prompts are read by the same devices.
    """
    alone = pass_s(step, constants) + constants["step_s"] + constants["sequence_s"] * local
    if not rides:
        return alone
    return alone + constants["riding"] * local / output_len * pass_s(prompt, constants, rides=True)


def ttft_s(prompt: StepWork, batch: float, tpot: float, constants: Mapping[str, float]) -> float:
    """Return the time to the first token of a request that meets a batch."""
    burst = 1 + constants["burst_share"] * (batch - 1)
    one = pass_s(prompt, constants)
    return (
        constants["first_s"]
        + constants["first_share"] * one * burst
        + (constants["first_steps"] * tpot)
    )
