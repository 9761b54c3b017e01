"""Real models: transformers' classes with random weights, run as in typical use."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers

from memorywall.bench.kernels import DTYPES
from memorywall.bench.timing import LONGEST_WATCHED_S, Measurement, measure
from memorywall.bench.toys import CLASSES, toy_config


def build(config: Mapping[str, Any], class_name: str, dtype: str, device: str = "cpu") -> Any:
    """Build a model with random weights; code shipped with a config is never run."""
    transformers.logging.set_verbosity_error()
    values = copy.deepcopy({k: v for k, v in config.items() if k not in _NOT_SHAPES})
    model_type = values.pop("model_type")
    built = transformers.AutoConfig.for_model(model_type, **values)
    with torch.device(device), _default_dtype(DTYPES[dtype]), _no_initialization():
        model = getattr(transformers, class_name)(built)
    for parameter in model.parameters():
        # Uninitialised memory may hold subnormal numbers, which would slow the arithmetic.
        parameter.data.normal_(0.0, 0.02)
    return model.eval()


def load(checkpoint: str, class_name: str, dtype: str, device: str = "cpu") -> Any:
    """Load a folder of safetensors or a GGUF, without pickle, custom code or downloads."""
    transformers.logging.set_verbosity_error()
    path = Path(checkpoint)
    where = {"gguf_file": path.name} if path.suffix == ".gguf" else {"use_safetensors": True}
    model = getattr(transformers, class_name).from_pretrained(
        path.parent if path.suffix == ".gguf" else path, dtype=DTYPES[dtype],
        local_files_only=True, trust_remote_code=False, **where,
    )  # fmt: skip
    return model.to(device).eval()


_NOT_SHAPES = ("architectures", "dtype", "torch_dtype", "auto_map", "_name_or_path")


@contextlib.contextmanager
def _default_dtype(dtype: torch.dtype) -> Any:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _no_initialization() -> Any:
    initialization = getattr(transformers, "initialization", None)
    quiet = getattr(initialization, "no_init_weights", None)
    return quiet() if quiet else contextlib.nullcontext()


def forward_call(
    model: Any, phase: str, batch: int, seq_len: int, device: str = "cpu"
) -> Callable[[], object]:
    """Return a call that runs one ``encode``, ``prefill``, ``decode`` or ``generate`` of a model.

    ``generate`` makes ``seq_len`` tokens from an empty cache, one at a time. A decode step restores
    the cache, so that every call finds ``seq_len - 1`` positions.
    """
    tokens = 1 if phase == "decode" else seq_len
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.randint(0, vocabulary, (batch, tokens), device=device)
    if phase == "encode":
        return lambda: model(input_ids=ids)
    if phase == "prefill":
        return lambda: model(input_ids=ids, use_cache=True)
    if phase == "generate":
        return lambda: _generate(model, ids)

    past = transformers.DynamicCache(config=model.config)
    if seq_len > 1:
        before = torch.randint(0, vocabulary, (batch, seq_len - 1), device=device)
        model(input_ids=before, past_key_values=past, use_cache=True)
    kept = [(layer.keys, layer.values) for layer in past.layers] if seq_len > 1 else []

    def step() -> object:
        if not kept:
            return model(input_ids=ids, use_cache=True)
        for layer, (keys, values) in zip(past.layers, kept, strict=True):
            layer.keys, layer.values = keys, values
        return model(input_ids=ids, past_key_values=past, use_cache=True)

    return step


def _generate(model: Any, ids: torch.Tensor) -> None:
    """Feed tokens one at a time through a growing cache, as generation does."""
    past = transformers.DynamicCache(config=model.config)
    for position in range(ids.shape[1]):
        token = ids[:, position : position + 1]
        model(input_ids=token, past_key_values=past, use_cache=True)


def time_toy(case: Mapping[str, Any], budget_s: float, device: str) -> Measurement:
    """Time one forward pass of a toy over one token."""
    config = toy_config(case["model_type"], case["layers"])
    with torch.inference_mode():
        model = build(config, CLASSES[case["model_type"]], case["dtype"], device)
        phase = "encode" if case["model_type"] == "bert" else "prefill"
        call = forward_call(model, phase, 1, 1, device)
        synchronize = torch.cuda.synchronize if device != "cpu" else lambda: None
        return measure("toy", call, budget_s=budget_s, synchronize=synchronize, **case)


def time_model(
    case: Mapping[str, Any],
    budget_s: float,
    device: str,
    stage: Callable[[str], object] = lambda _stage: None,
) -> tuple[Measurement, dict[str, float]]:
    """Time one forward pass of a real model, and split it by class of operator.

    The case holds ``config``, ``class_name``, ``dtype``, ``phase``, ``batch_size`` and ``seq_len``.
    The model of the case before is used again where it is the same. ``stage`` is called with the
    stage that begins.
    """
    stage("loading")
    said = {k: case[k] for k in ("phase", "batch_size", "seq_len", "dtype")}
    with torch.inference_mode():
        model = _built(
            json.dumps(case["config"]),
            case["checkpoint"],
            case["class_name"],
            case["dtype"],
            device,
        )
        call = forward_call(model, case["phase"], case["batch_size"], case["seq_len"], device)
        synchronize = torch.cuda.synchronize if device != "cpu" else lambda: None
        stage("warming")
        found = measure(
            "model", call, budget_s=budget_s, sample_s=0.0, synchronize=synchronize,
            warmed=lambda: stage("running"), **said,
        )  # fmt: skip
        watched = found.median_s < LONGEST_WATCHED_S
        if watched:
            stage("splitting by operator")
        return found, _by_class(call, found.median_s, device) if watched else {}


@lru_cache(maxsize=1)
def _built(config: str, checkpoint: str | None, class_name: str, dtype: str, device: str) -> Any:
    if checkpoint is not None:
        return load(checkpoint, class_name, dtype, device)
    return build(json.loads(config), class_name, dtype, device)


# The class of each of the framework's operators; the remaining time is the framework's overhead.
_CLASSES = {
    "gemm": ("addmm", "mm", "bmm", "baddbmm", "linear", "mkldnn_linear", "_addmm_activation"),
    "attention": ("_scaled_dot_product", "_flash", "_efficient"),
    "cache": ("cat",),
}


def _by_class(call: Callable[[], object], median_s: float, device: str) -> dict[str, float]:
    """Return the seconds of each class of operator, by the framework's profiler.

    The profiler slows the run that it records: its shares are of that run. On a GPU the time is
    that of the kernels which an operator started.
    """
    from torch.profiler import ProfilerActivity, profile  # noqa: PLC0415 - slow to start

    on_gpu = device != "cpu"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as watched:
        call()
    seconds: dict[str, float] = {}
    for row in watched.key_averages():
        name = row.key.removeprefix("aten::")
        kind = next(
            (k for k, names in _CLASSES.items() if any(name.startswith(n) for n in names)),
            "elementwise" if row.key.startswith("aten::") and not _is_view(name) else "framework",
        )
        own = row.self_device_time_total if on_gpu else row.self_cpu_time_total
        seconds[kind] = seconds.get(kind, 0.0) + own / 1e6
    total = sum(seconds.values())
    return {kind: value * median_s / total for kind, value in seconds.items()} if total else {}


def _is_view(name: str) -> bool:
    """Return whether an operator only makes a view of an array, or an empty array."""
    return name in (
        "view", "t", "transpose", "as_strided", "expand", "slice", "select", "unsqueeze", "reshape",
        "permute", "split", "narrow", "empty", "alias", "detach", "_unsafe_view", "chunk", "unbind",
    )  # fmt: skip
