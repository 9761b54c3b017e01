"""An answer in one sentence: what binds, by how much, and what the time is spent on."""

from __future__ import annotations

from memorywall.core.analysis import Analysis
from memorywall.core.images import resized, written
from memorywall.core.units import render, render_count, render_number

_WORDS = {
    "weight": "weights",
    "activation": "activations",
    "kv_cache": "the KV cache",
    "state": "state",
    "gradient": "gradients",
    "optimizer_state": "optimizer states",
}


def verdict(analysis: Analysis) -> str:
    """Return the sentence that a person reads first; the analysis holds no arrays."""
    bound = str(analysis.bound)
    waits, works = _waits(analysis), _works(analysis)
    parts = [waits, works] if bound == "memory_bound" else [works, waits]
    return f"{bound.replace('_', '-')}: {', '.join(filter(None, parts))}; {_intensity(analysis)}"


def _waits(analysis: Analysis) -> str:
    """Say what memory-bound operators wait on, the longest first: '87% ... weights, 12% ...'."""
    shares = {r: float(s) for r, s in analysis.time_shares.items() if r in _WORDS and s >= 0.005}
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    texts = [f"{share:.0%} on {_WORDS[role]}" for role, share in ranked]
    if not texts:
        return ""
    first_share, first_role = ranked[0][1], ranked[0][0]
    texts[0] = f"{first_share:.0%} of the time waits on {_WORDS[first_role]}"
    return ", ".join(texts)


def _works(analysis: Analysis) -> str:
    """Say how much of the time is arithmetic, and of which operators."""
    latency = float(analysis.latency_s)
    shares = {
        row.kind: float(row.cost.latency_s - row.cost.waiting_s) / latency
        for row in analysis.by_class()
    }
    total = sum(shares.values())
    if total < 0.005:
        return ""
    kinds = sorted((kind for kind in shares if shares[kind] >= 0.005), key=lambda k: -shares[k])
    listed = ", ".join(f"{kind} {shares[kind]:.0%}" for kind in kinds)
    return f"{total:.0%} of the time is arithmetic ({listed})"


def _intensity(analysis: Analysis) -> str:
    intensity, ridge = float(analysis.arithmetic_intensity), float(analysis.ridge_point)
    below = intensity < ridge
    text = (
        f"it does {render_number(intensity)} FLOP per byte, {'below' if below else 'above'} the "
        f"{render_number(ridge)} where {analysis.hardware} would be balanced"
    )
    if below == (analysis.bound == "memory_bound"):
        return f"{text}."
    other = "above" if below else "below"
    return f"{text}, but most of the time is in operators {other} it."


def headline(analysis: Analysis) -> str:
    """Return what was asked and the figure that most want: how long, and how many tokens."""
    workload = analysis.scenario.workload
    per = _asked(analysis)
    inputs = getattr(analysis.scenario.model.architecture, "inputs", None)
    if inputs is not None:  # traced: what went in need not be tokens
        what = "training step" if analysis.phase == "train" else f"traced pass ({analysis.phase})"
        per = f"one {what} over {', '.join(inputs) or 'no inputs'}"
        latency = render(float(analysis.latency_s), "s")
        return f"{analysis.model} on {analysis.hardware}, {per}: {latency}"
    if workload.source_len is not None and analysis.phase != "encode":
        per += f", source of {workload.source_len}"
    rate = f"{render_number(float(analysis.tokens_per_s), 4)} tokens/s"
    if analysis.images_per_s is not None:
        rate = f"{render_number(float(analysis.images_per_s), 4)} images/s"
    text = (
        f"{analysis.model} on {analysis.hardware}, {per}, batch {workload.batch_size}: "
        f"{render(float(analysis.latency_s), 's')}, {rate}"
    )
    prediction = analysis.prediction
    if prediction is not None:
        low, middle, high = (
            render(float(prediction.seconds * share), "s")
            for share in (prediction.low, 1.0, prediction.high)
        )
        if analysis.scenario.hardware.kind == "forecast":
            text += f" at the roofs ({low} to {high} on 80 % of the devices that may come)"
        else:
            text += f" at the roofs; {middle} predicted ({low} to {high})"
    if analysis.ttft_s is not None and analysis.tpot_s is not None:
        first, step = (render(float(t), "s") for t in (analysis.ttft_s, analysis.tpot_s))
        text += f" (first token after {first}, then one every {step})"
    return text


def _asked(analysis: Analysis) -> str:
    """Say what is done, and how much of it."""
    workload, model = analysis.scenario.workload, analysis.scenario.model
    length = int(workload.seq_len)
    # The source of speech is no tokens.
    read = render_count(length, "token" if model.fixed_source is None else "position")
    seen = _images(analysis)
    if analysis.phase == "denoise":
        steps = render_count(workload.steps or 1, "denoising step")
        return f"{steps} of {seen}, guidance {workload.guidance}"
    if analysis.phase == "encode" and seen and (model.causal or workload.images is None):
        return f"encoding {seen}"
    does = {
        "prefill": f"prefill of {render_count(length, 'token')}",
        "encode": f"encoding {read}",
        "decode": f"one decode step at {render_count(length, 'position')}",
        "generate": f"generating {render_count(workload.new_tokens, 'token')} after {length}",
        "train": f"one training step on {read}",
    }[analysis.phase]
    return f"{does} with {seen}" if seen else does


def _images(analysis: Analysis) -> str:
    """Say how many images of what size are looked at or made, if any."""
    size, images = analysis.image_size, analysis.scenario.workload.images
    if size is None or analysis.phase == "decode":
        return ""
    many = "an image" if images is None else render_count(int(images), "image")
    text = f"{many} of {written(size)} pixels"
    seen = resized(analysis.scenario.model, size)
    return text if seen == size else f"{text}, resized to {written(seen)}"
