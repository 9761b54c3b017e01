"""The formula of a serving engine, by hand arithmetic."""

from __future__ import annotations

import pytest

from memorywall.cost.serving import CONSTANTS, StepWork, pass_s, sheet_s, tpot_s, ttft_s

NONE = {constant.name: 0.0 for constant in CONSTANTS}
WORK = StepWork(
    compute_s=0.75, memory_s=0.85 * 2, attention_compute_s=0.0, attention_memory_s=0.7,
    stream_s=0.085, kernels=10, sums=2, sent_s=0.6, ranks=4,
)  # fmt: skip


def test_a_pass_adds_up_its_parts() -> None:
    # sqrt(1 + 4) of products, 1 of attention, 0.1 of elementwise, 1 of bytes on the link.
    assert pass_s(WORK, NONE) == pytest.approx(5**0.5 + 1 + 0.1 + 1)
    constants = {**NONE, "kernel_s": 0.1, "reduce_s": 0.5, "reduce_rank_s": 0.25}
    assert pass_s(WORK, constants) == pytest.approx(5**0.5 + 2.1 + 1.0 + 2 * (0.5 + 0.75))
    alone = StepWork(compute_s=0.75, sums=2, sent_s=1.0)  # one device reduces nothing
    assert pass_s(alone, constants) == pytest.approx(1)


def test_a_token_takes_a_step_and_the_prompts_that_ride_in_it() -> None:
    step, prompt = StepWork(memory_s=0.85), StepWork(compute_s=7.5, kernels=100)
    constants = {**NONE, "riding": 0.5, "step_s": 2.0, "sequence_s": 0.1, "kernel_s": 0.01}
    # 8 sequences of 32 tokens: a prompt of 10 s and 0.3 of its launches every 4 steps.
    riding = 0.5 * 8 / 32 * (10 + 0.3)
    assert tpot_s(step, prompt, 8, 32, constants) == pytest.approx(1 + 2 + 0.8 + riding)
    assert tpot_s(step, prompt, 8, 32, constants, rides=False) == pytest.approx(3.8)


def test_a_first_token_waits_for_others() -> None:
    prompt = StepWork(compute_s=0.75)
    constants = {
        **NONE, "first_s": 0.5, "first_share": 2.0, "burst_share": 0.1, "first_steps": 3.0
    }  # fmt: skip
    assert ttft_s(prompt, 11, 0.2, constants) == pytest.approx(0.5 + 2 * 2 + 0.6)


def test_no_pass_is_shorter_than_its_sheet() -> None:
    assert pass_s(WORK, NONE) > sheet_s(WORK)
