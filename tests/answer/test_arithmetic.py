"""The arithmetic of operators: in 16 bit on every device, and of quantised weights."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw
from memorywall.core.analysis import Analysis
from memorywall.core.errors import UnsupportedError

_TOKENS = 512
# Of Llama-3.1-8B, 32 layers: 14,336 x 4096 in mlp.up_proj, and queries on keys of 32 heads of 128,
# half of the pairs: 512 * 513 / 2.
_UP_FLOPS = 32 * 2 * _TOKENS * 4096 * 14336
_QK_FLOPS = 32 * 2 * 32 * 128 * (_TOKENS * (_TOKENS + 1) // 2)


def _prefill(device: str, model: Any = "llama-3.1-8b", **words: Any) -> Analysis:
    return mw.analyze(model, on=device, phase="prefill", seq_len=_TOKENS, **words)


def _compute_s(answer: Analysis, end: str) -> float:
    (op,) = [op for op in answer.ops if op.name.endswith(end)]
    return float(op.cost.compute_s)


def _in_note(answer: Analysis, *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in answer.notes)


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        # Data sheets: T4 65 TFLOP/s fp16; V100 SXM2 125, PCIe 112; P100 SXM2 21.2;
        # RTX 2080 Ti 53.8 with fp32 accumulation.
        ("t4", 65e12),
        ("v100-sxm-32gb", 125e12),
        ("v100-pcie-32gb", 112e12),
        ("p100-sxm", 21.2e12),
        ("rtx-2080-ti", 53.8e12),
        # Titan V 110; Apple's GPUs do fp16 and fp32 at one rate: M4 4.04.
        ("titan-v", 110e12),
        ("m4", 4.04e12),
    ],
)
def test_bf16_models_run_in_fp16_without_bf16_arithmetic(device: str, peak: float) -> None:
    answer = _prefill(device)
    assert answer.conventions["arithmetic"] == "fp16"
    assert answer.conventions["activations"] == "fp16"
    assert _compute_s(answer, "mlp.up_proj") == pytest.approx(_UP_FLOPS / peak, rel=0.005)
    assert _in_note(answer, "no peak for bf16", "runs in fp16")
    # Nothing else changes: both have two bytes.
    other = _prefill("h100-sxm")
    assert answer.moved_bytes == other.moved_bytes
    assert answer.footprint.weights == other.footprint.weights
    named = _prefill(device, activations="bf16")
    assert named.conventions["arithmetic"] == "fp16"
    assert named.latency_s == answer.latency_s
    assert _in_note(named, "no peak for bf16", "runs in fp16")


def test_fp16_and_bf16_replace_each_other_and_nothing_else() -> None:
    device = mw.hardware("h100-sxm").replace(peaks={"bf16": 2e15, "fp16": 1e15})
    assert device.arithmetic("bf16") == "bf16"
    bare = mw.Hardware("toy", {"fp32": 1e13, "int8": 2e15}, device.memories)
    assert bare.arithmetic("bf16") == bare.arithmetic("fp16") == "fp32"
    half = mw.Hardware("toy", {"fp32": 1e13, "bf16": 1e14}, device.memories)
    assert half.arithmetic("fp16") == "bf16"
    assert half.arithmetic("fp8") == "bf16"
    assert mw.analyze("gpt2", on=bare, phase="prefill").conventions["arithmetic"] == "fp32"


@pytest.mark.parametrize(("device", "arithmetic"), [("p40", "fp32"), ("dgx-spark", "bf16")])
def test_fp32_is_left_to_devices_without_16_bit(device: str, arithmetic: str) -> None:
    answer = _prefill(device)
    assert answer.conventions["arithmetic"] == arithmetic
    assert _in_note(answer, "arithmetic is priced as fp32") == (arithmetic == "fp32")


@pytest.mark.slow
def test_products_of_traced_classes() -> None:
    config = {
        "model_type": "nanochat", "vocab_size": 128, "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 256,
    }  # fmt: skip
    answer = mw.analyze(config, on="h100-sxm", phase="prefill", seq_len=32, weights="fp8")
    assert answer.conventions["arithmetic"] == "fp8"
    peaks = mw.hardware("h100-sxm").peaks
    # The feed-forward expands 64 to 256 and back: 2 layers x 2 x 2 x 32 x 64 x 256 FLOPs.
    mlp = [op for op in answer.ops if op.kind == "gemm" and ".mlp." in op.name]
    expected = 2 * 2 * 2 * 32 * 64 * 256 / peaks["fp8"]
    assert sum(float(op.cost.compute_s) for op in mlp) == pytest.approx(expected)
    # Weights of a class have no kinds: one format for all, and no mixture.
    packed = mw.analyze(config, on="h100-sxm", weights="Q8_0")
    frequencies = 4 * 16 // 2  # of rotary positions, fp32, half of a head of 16
    weights = packed.scenario.model.parameters // 32 * 34
    assert packed.footprint.weights == weights + frequencies
    with pytest.raises(UnsupportedError, match=r"must be one format for NanoChat.*Q4_K_M"):
        mw.analyze(config, on="h100-sxm", weights="Q4_K_M")


# H100 SXM: 989.4 TFLOP/s bf16, 1978.9 fp8. B200 SXM has fp4. A100: bf16 312.
@pytest.mark.parametrize(
    ("device", "weights", "linear"),
    [
        ("h100-sxm", "fp8", "fp8"),
        ("h100-sxm", "fp8_block", "fp8"),
        ("h100-sxm", "mxfp8", "fp8"),
        ("h100-sxm", "nvfp4", "bf16"),  # weight-only there, and not fp8
        ("b200-sxm", "nvfp4", "fp4"),
        ("b200-sxm", "mxfp4", "bf16"),
        ("a100-sxm-80gb", "fp8", "bf16"),
        ("h100-sxm", "int8", "bf16"),
        ("h100-sxm", "int4", "bf16"),
        ("h100-sxm", "int3", "bf16"),
        ("h100-sxm", "fp6", "bf16"),
        ("h100-sxm", "nf4", "bf16"),
        ("h100-sxm", "Q4_K_M", "bf16"),
        ("h100-sxm", "q8_0", "bf16"),
        ("h100-sxm", "exl2-4bpw", "bf16"),
        ("t4", "Q4_K_M", "fp16"),
    ],
)
def test_weights_by_name(device: str, weights: str, linear: str) -> None:
    answer = _prefill(device, weights=weights)
    peaks = mw.hardware(device).peaks
    assert answer.conventions["arithmetic"] == linear
    ups = [op for op in answer.ops if op.name.endswith("mlp.up_proj")]
    assert sum(float(op.cost.compute_s) for op in ups) == pytest.approx(_UP_FLOPS / peaks[linear])
    # Attention is in the activations' format, with any weights.
    usual = "fp16" if device == "t4" else "bf16"
    scores = [op for op in answer.ops if op.name.endswith("attention.scores")]
    assert sum(float(op.cost.compute_s) for op in scores) == pytest.approx(_QK_FLOPS / peaks[usual])
    kind = "quantised as they run" if linear != usual else "weight-only"
    assert _in_note(answer, kind)
    # Activations that are named decide for all operators.
    named = _prefill(device, weights=weights, activations=usual)
    assert named.conventions["arithmetic"] == usual
    assert not _in_note(named, "quantised as they run")


def _compressed(weights: dict[str, Any], inputs: dict[str, Any] | None, form: str) -> Any:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": inputs}
    block = {
        "quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }  # fmt: skip
    return {**mw.model("llama-3.1-8b").config, "quantization_config": block}


_INT8 = {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": True}
_FP8 = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True}
_INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True}
_DYNAMIC = {"num_bits": 8, "strategy": "token", "dynamic": True, "symmetric": True}


@pytest.mark.parametrize(
    ("weights", "inputs", "form", "linear"),
    [
        (_INT8, {**_DYNAMIC, "type": "int"}, "int-quantized", "int8"),  # W8A8
        (_FP8, {**_DYNAMIC, "type": "float"}, "float-quantized", "fp8"),  # FP8 dynamic
        (_INT4, None, "pack-quantized", "bf16"),  # W4A16
        ({**_INT4, "num_bits": 8}, None, "pack-quantized", "bf16"),  # W8A16
    ],
)
def test_checkpoints_state_whether_inputs_are_quantised(
    weights: dict[str, Any], inputs: dict[str, Any] | None, form: str, linear: str
) -> None:
    answer = _prefill("h100-sxm", _compressed(weights, inputs, form))
    peaks = mw.hardware("h100-sxm").peaks
    assert answer.conventions["arithmetic"] == linear
    assert _compute_s(answer, "mlp.up_proj") == pytest.approx(_UP_FLOPS / peaks[linear])
    # The head is left in bf16: 128,256 x 4096 for one row.
    assert _compute_s(answer, "lm_head") == pytest.approx(2 * 128256 * 4096 / peaks["bf16"])
    assert _in_note(answer, "quantised as they run" if inputs else "weight-only")


@pytest.mark.parametrize(
    ("model", "linear"), [("deepseek-v3", "fp8"), ("minimax-m2.5", "fp8"), ("gpt-oss-20b", "bf16")]
)
def test_checkpoints_of_the_catalogue(model: str, linear: str) -> None:
    answer = _prefill("h100-sxm", model)
    assert answer.conventions["arithmetic"] == linear
    peaks = mw.hardware("h100-sxm").peaks
    experts = [op for op in answer.ops if op.name.endswith("experts.down_proj")]
    assert experts
    for op in experts:
        assert float(op.cost.compute_s) == pytest.approx(op.flops / peaks[linear])
    router = [op for op in answer.ops if op.name.endswith("mlp.router")]
    for op in router:  # not quantised
        assert float(op.cost.compute_s) == pytest.approx(op.flops / peaks["bf16"])


def test_int4_alone_is_described() -> None:
    answer = _prefill("h100-sxm", weights="int4")
    assert _in_note(answer, "int4 alone means groups of 128", "16-bit scale")
    assert not _in_note(_prefill("h100-sxm", weights="int4-g64"), "int4 alone")
