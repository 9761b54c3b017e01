"""Constants of a device from a handful of runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

import memorywall as mw
from memorywall.calibrate.runs import Run
from memorywall.calibrate.streams import calibrate_from_runs, fit_step, sample
from memorywall.catalog.step_tables import class_table, step_table
from memorywall.core.errors import InvalidInputError

MODELS = ("llama-3.2-3b", "llama-3.1-8b", "qwen2.5-14b")


def decode(model: str, rate: float, weights: str = "Q4_K_M") -> Run:
    return Run(model, weights, "decode", rate, 32, 256, place=model)


def at_constants(constants: dict[str, float], slower: float = 1.0) -> list[Run]:
    """Return runs as fast as constants say, or slower."""
    hardware = mw.hardware("rtx-3060")
    runs = [decode(model, 1.0) for model in MODELS]
    seconds = [sample(run, hardware).predicted(constants) * slower for run in runs]
    return [replace(run, tokens_per_s=1 / each) for run, each in zip(runs, seconds, strict=True)]


def test_the_predicted_time_is_that_of_an_answer() -> None:
    # Two roads: the sum over the operators of a program, and the template at a slower device.
    for model, weights, phase, length in (
        ("llama-2-7b-hf", "Q4_0", "decode", 64),
        ("llama-2-7b-hf", "F16", "prefill", 512),
        ("gpt-oss-20b", "MXFP4_MOE", "decode", 300),
        ("qwen3-30b-a3b", "Q4_K_M", "prefill", 300),
    ):
        hardware = mw.hardware("m3-max")
        run = Run(model, weights, phase, 1.0, prompt_len=length, gen_len=0)  # type: ignore[arg-type]
        found = sample(run, hardware).predicted(step_table(hardware).constants)
        answer = mw.analyze(
            model, on=hardware, phase=phase, seq_len=length, weights=weights, activations="fp16"
        )
        assert answer.latency_s == pytest.approx(found)


def test_runs_as_the_class_predicts_move_nothing() -> None:
    prior = class_table("nvidia-gpu")
    found = calibrate_from_runs(at_constants(dict(prior.constants)), "rtx-3060").table
    for name, value in prior.constants.items():
        assert found.constants[name] == pytest.approx(value, rel=0.02)
    assert found.provenance == "calibrated"
    assert found.rows == 3


def test_slower_runs_move_the_prediction_towards_them() -> None:
    prior = class_table("nvidia-gpu")
    runs = at_constants(dict(prior.constants), slower=1.3)
    found = calibrate_from_runs(runs, "rtx-3060")
    # The class says 1 / 1.3 = 0.77 of the measured time.
    assert all(0.85 < ratio < 1.0 for ratio in found.ratios)
    assert not found.odd


def test_more_runs_narrow_the_interval() -> None:
    prior = class_table("nvidia-gpu")
    runs = at_constants(dict(prior.constants))
    one = calibrate_from_runs(runs[:1], "rtx-3060").table
    three = calibrate_from_runs(runs, "rtx-3060").table
    assert prior.high > one.high > three.high > 1 > three.low > one.low > prior.low


def test_an_odd_run_is_reported() -> None:
    runs = [*at_constants(dict(class_table("nvidia-gpu").constants)), decode("llama-2-7b-hf", 9.0)]
    found = calibrate_from_runs(runs, "rtx-3060")
    assert [one.run.model for one in found.odd] == ["llama-2-7b-hf"]
    assert found.table.outliers == 1


def test_runs_faster_than_the_roofs_are_refused() -> None:
    # 4.9 GB of weights at 360 GB/s: at most 73 tokens/s.
    runs = [decode("llama-3.1-8b", 50.0), decode("llama-3.1-8b", 98.0)]
    with pytest.raises(InvalidInputError, match="1 runs are faster than the roofs of rtx-3060"):
        calibrate_from_runs(runs, "rtx-3060")


def test_unknown_models_are_refused_by_row() -> None:
    with pytest.raises(InvalidInputError, match="line 7: model 'llama-99'"):
        calibrate_from_runs([replace(decode("llama-99", 9.0), place="line 7")], "rtx-3060")
    with pytest.raises(InvalidInputError, match="requires 1 to"):
        calibrate_from_runs([], "rtx-3060")


def test_many_runs_recover_constants() -> None:
    truth = dict(class_table("nvidia-gpu").constants) | {"bandwidth_share": 0.7, "step_s": 2e-3}
    hardware = mw.hardware("rtx-3060")
    samples = [sample(run, hardware) for run in at_constants(truth)]
    wide = dict.fromkeys(truth, 2.0)
    found = fit_step(samples, class_table("nvidia-gpu").constants, wide, run_spread=0.01)
    for one in samples:
        assert one.predicted(found) == pytest.approx(one.seconds, rel=0.01)
