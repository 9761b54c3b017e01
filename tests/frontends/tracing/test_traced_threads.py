"""Many threads that trace at once: each is answered as if alone, and nothing stays changed."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import transformers
from torch.distributions import Distribution
from transformers.integrations import hub_kernels

import memorywall as mw
from memorywall.frontends.tracing.capture.dispatch import Recorder
from memorywall.frontends.tracing.interpret.calls import Call

_SMALL: dict[str, Any] = {
    "model_type": "diffllama", "architectures": ["DiffLlamaForCausalLM"], "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100,
    "intermediate_size": 96, "dtype": "bfloat16", "max_position_embeddings": 512,
}  # fmt: skip


def _flops(hidden: int) -> int:
    config = {**_SMALL, "hidden_size": hidden}
    return int(mw.analyze(config, on="h100-sxm", phase="prefill", seq_len=16).flops)


def _settings() -> dict[str, Any]:
    return {
        "dtype": torch.get_default_dtype(),
        "switch": os.environ.get("TRANSFORMERS_DISABLE_TORCH_CHECK"),
        "validates": Distribution._validate_args,
        "fetches": hub_kernels.get_kernel,
        "collects": gc.isenabled(),
        "verbosity": transformers.logging.get_verbosity(),
        "hooks": len(torch.nn.modules.module._global_forward_pre_hooks),
    }


def test_threads_do_not_meet() -> None:
    """Twelve widths at once, and a custom module twice, give the same as each alone."""
    widths = [64 * n for n in range(1, 13)]
    before = _settings()
    start = threading.Barrier(14)

    def together(hidden: int) -> int:
        start.wait()
        return _flops(hidden)

    def own(_: int) -> int:
        start.wait()
        traced = mw.trace(lambda: torch.nn.Linear(8, 8), "bf16[2,8]", dtype="bf16")
        return int(traced.program.work.flops)

    with ThreadPoolExecutor(14) as pool:
        linear = pool.map(own, range(2))
        found = list(pool.map(together, widths))
        assert list(linear) == [2 * 2 * 8 * 8] * 2
    assert _settings() == before
    assert found == [_flops(width) for width in widths]


def test_verbosity_is_as_before() -> None:
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_info()
    try:
        assert _flops(64) > 0
        assert transformers.logging.get_verbosity() == transformers.logging.INFO
    finally:
        transformers.logging.set_verbosity(verbosity)


def test_modules_of_other_threads_are_not_recorded() -> None:
    """A module that another thread runs amid a trace is on no path of it."""
    calls: list[Call] = []
    other = threading.Thread(target=lambda: torch.nn.Linear(2, 2)(torch.ones(1, 2)))
    amid: list[str] = []  # paths after the other thread ran

    class Meanwhile(torch.nn.Module):  # type: ignore[misc]
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            recorder.running.append("held")
            other.start()
            other.join()
            amid.append(recorder.running.pop())
            amid.append(recorder.path)
            return given + 1

    module = torch.nn.Sequential(Meanwhile())
    recorder = Recorder(module, calls.append)
    with recorder:
        module(torch.ones(1, 2))
    assert amid == ["held", "0"]
    assert [call.path for call in calls if call.op is torch.ops.aten.add.Tensor] == ["0"]
    assert recorder.running == [""]
