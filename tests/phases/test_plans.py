"""The plan of each phase: which passes a question consists of, and what its rate counts."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw
from memorywall.core.errors import UnknownNameError, UnsupportedError
from memorywall.core.phase import Pass, Rate
from memorywall.phases import find_phase, phase_names
from tests.toys import T5_TOY, TOY

DIT = "facebook/DiT-XL-2-256"


def plan(model: Any, **words: Any) -> tuple[tuple[Pass, ...], tuple[Rate, ...]]:
    """Return the passes and the rates of a question."""
    question = mw.analyze(model, on="h100-sxm", **words).question
    return question.phase.passes(question), question.phase.rates(question)


def test_decode_is_one_step() -> None:
    passes, rates = plan(TOY, phase="decode", batch_size=3, seq_len=20)
    assert passes == (Pass(20, step=True, stacks="decoder", emits=1),)
    assert rates == (Rate("tokens", 3),)


def test_generate_is_a_prefill_and_a_step_for_each_token_but_the_first() -> None:
    # The prefill of 20 gives the first of 5 tokens; four steps follow, at 21 to 24 positions.
    passes, rates = plan(TOY, phase="generate", batch_size=3, seq_len=20, new_tokens=5)
    prefill, steps = passes
    assert (prefill.positions, prefill.step, prefill.emits) == (20, False, 1)
    assert (steps.positions, steps.count, steps.last, steps.step) == (21, 4, 24, True)
    assert rates == (Rate("tokens", 15),)
    passes, _ = plan(TOY, phase="generate", seq_len=20, new_tokens=1)
    assert passes == (prefill,)


def test_a_generation_without_a_prompt_prefills_one_token() -> None:
    passes, _ = plan(TOY, phase="generate", seq_len=0, new_tokens=3)
    assert [(one.positions, one.count) for one in passes] == [(1, 1), (2, 2)]


def test_prefill_and_encode_are_one_pass() -> None:
    passes, rates = plan(TOY, phase="prefill", batch_size=3, seq_len=20)
    assert [(one.positions, one.count, one.step) for one in passes] == [(20, 1, False)]
    assert rates[0] == Rate("tokens", 60)
    passes, rates = plan(T5_TOY, phase="encode", batch_size=2, source_len=7)
    assert [(one.positions, one.stacks) for one in passes] == [(7, "encoder")]
    assert rates == (Rate("tokens", 14),)


def test_denoise_repeats_one_pass() -> None:
    # A 256 x 256 image is 32 x 32 latents, cut in patches of 2: 256 positions.
    passes, rates = plan(DIT, batch_size=2, steps=30)
    assert passes == (Pass(256, 30),)
    assert rates == (Rate("images", 2),)


def test_images_are_counted_where_a_model_sees_them() -> None:
    # Patches of 16 in an image of 224: 14 x 14, and a class token.
    _, rates = plan("google/vit-base-patch16-224", batch_size=4)
    assert rates == (Rate("images", 4), Rate("tokens", 4 * 197))


@pytest.mark.parametrize(
    ("model", "phase", "runs_in"),
    [
        ("bert-base-uncased", "prefill", "encode"),
        (TOY, "encode", "prefill"),
        ("bert-base-uncased", "decode", None),
        (DIT, "prefill", None),
        (TOY, "denoise", None),
        (TOY, "train", None),
    ],
)
def test_a_phase_that_a_model_has_under_another_name(
    model: Any, phase: str, runs_in: str | None
) -> None:
    loaded = mw.model(model)
    if runs_in is not None:
        assert find_phase(phase).resolve(loaded) == runs_in
        return
    with pytest.raises(UnsupportedError, match=f"phase {phase} requires"):
        find_phase(phase).resolve(loaded)


def test_unknown_phases_are_refused_with_the_known_ones() -> None:
    assert {"prefill", "encode", "decode", "generate", "denoise", "train"} <= set(phase_names())
    with pytest.raises(UnknownNameError, match="decod"):
        find_phase("decod")
