"""Programs taken apart into the kernels that an engine launches."""

import pytest

import memorywall as mw
from memorywall.answer.evaluate import template_of_pass
from memorywall.cost.calls import Call, calls_of


def calls(model: str, phase: str, **words: str) -> list[Call]:
    answer = mw.analyze(model, on="b200", phase=phase, ceilings="spec", **words)
    template, _ = template_of_pass(answer.question, answer.passes[0])
    return calls_of(template.program)


def of_kernel(found: list[Call], kernel: str) -> list[tuple[object, ...]]:
    return [(c.repeat, *c.shape.values()) for c in found if c.kernel == kernel]


def test_the_products_of_a_dense_layer() -> None:
    """Llama-3.1-8B: 32 query and 8 key heads of 128, FFN 14336, 128256 words."""
    products = [c for c in calls("llama-3.1-8b", "decode") if c.kernel == "gemm"]
    assert [(c.repeat, c.shape["n"], c.shape["k"]) for c in products] == [
        (32, (32 + 8 + 8) * 128, 4096),  # queries, keys and values at once
        (32, 4096, 4096),
        (32, 2 * 14336, 4096),  # the gate and its other half
        (32, 4096, 14336),
        (1, 128256, 4096),
    ]
    assert {(c.dtype, c.shape["weight_bytes"]) for c in products} == {("bf16", 2.0)}


def test_every_operator_that_runs_is_in_one_call() -> None:
    answer = mw.analyze("deepseek-v3", on="b200", phase="decode", ceilings="spec")
    template, _ = template_of_pass(answer.question, answer.passes[0])
    runs = [place for place, (_, op, _) in enumerate(template.program.walk()) if op.runs]
    places = [place for call in calls_of(template.program) for place in call.ops]
    assert sorted(places) == runs


def test_latent_attention_is_one_call_with_vectors_of_two_widths() -> None:
    """DeepSeek-V3: 512 latent and 64 rotary elements as keys, of which 512 are values."""
    attention = of_kernel(calls("deepseek-v3", "decode"), "attention_decode")
    assert {row[1:5] for row in attention} == {(128, 1, 576, 512)}
    assert sum(row[0] for row in attention) == 61  # type: ignore[misc]


def test_the_experts_of_a_layer_are_one_call() -> None:
    found = [c for c in calls("deepseek-v3", "decode") if c.kernel == "moe"]
    (experts,) = found
    assert experts.repeat == 58
    assert experts.shape["hidden_size"] == 7168
    assert experts.shape["intermediate_size"] == 2048
    assert (experts.shape["experts"], experts.shape["experts_per_token"]) == (256, 8)
    assert experts.dtype == "fp8_block"


@pytest.mark.parametrize(
    ("weights", "dtype", "size"),
    # int4 in groups of 128 with 16-bit scales: 4 + 16/128 = 4.125 bits, 0.515625 bytes.
    [("int4", "int4", 0.515625), ("int8", "int8", 1.0), ("fp8", "fp8", 1.0)],
)
def test_weights_choose_the_table(weights: str, dtype: str, size: float) -> None:
    products = [c for c in calls("llama-3.1-8b", "decode", weights=weights) if c.kernel == "gemm"]
    assert {c.dtype for c in products} == {dtype}
    assert [c.shape["weight_bytes"] for c in products] == pytest.approx([size] * 5, rel=0.02)


def test_a_window_is_an_argument_of_a_prefill() -> None:
    """gpt-oss: every other layer attends to 128 positions."""
    found = [c for c in calls("gpt-oss-20b", "prefill") if c.kernel == "attention_prefill"]
    assert sorted(c.shape["window"] for c in found) == [0, 128]
