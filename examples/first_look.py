"""The first minute: two models on an H100, the paper's case study, and GPT-2 on this machine.

Nothing but the base installation and matplotlib is needed. Pictures are written under build/.
"""

from __future__ import annotations

import sys
import textwrap
import time
from pathlib import Path

import numpy as np

import memorywall as mw
from memorywall.answer.measure import measure_briefly, to_hardware
from memorywall.answer.numpy_run import Comparison, Prediction, predict_decode, run_decode
from memorywall.core.units import render
from memorywall.report.figures import save
from memorywall.report.roofline_figure import draw_answers
from memorywall.studies.paper import computation as paper
from memorywall.studies.paper.figure import draw_curves
from memorywall.studies.paper.text import summary_lines

DEVICE = "h100-sxm"
SMALL, LARGE = "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-70B"
FOLDER = Path("build")


def main() -> None:
    """Print the four parts, each headed by what it shows."""
    begun = time.monotonic()
    answers = on_a_data_sheet()
    draw_roofline(answers)
    case_study()
    on_this_machine()
    print(f"\nDone in {time.monotonic() - begun:.0f} s. Next:")
    print("  .venv/bin/memorywall analyze llama-3.1-8b --on h100-sxm --batch 1,8,64")
    print("  .venv/bin/memorywall study paper --full")
    print("  make demo-here  # a long measurement, and the paper's models run here")


def on_a_data_sheet() -> list[mw.Analysis]:
    """Print what holds Llama-3.1 back on an H100; return the answers without int4 weights."""
    prefill = mw.analyze(SMALL, on=DEVICE, phase="prefill", seq_len=2048)
    one, eight, many = (
        mw.analyze(SMALL, on=DEVICE, phase="decode", seq_len=2048, batch_size=batch)
        for batch in (1, 8, 64)
    )
    large = mw.analyze(LARGE, on=DEVICE, phase="decode", seq_len=4096, batch_size=64)
    small_int4 = mw.analyze(SMALL, on=DEVICE, phase="decode", seq_len=2048, weights="int4")
    large_int4 = mw.analyze(
        LARGE, on=DEVICE, phase="decode", seq_len=4096, batch_size=64, weights="int4"
    )
    heading(
        1,
        f"Llama-3.1-8B fits {DEVICE} and waits on memory: {one.time_shares['weight']:.0%} of a "
        f"decode step reads weights, {1 - float(one.mfu):.1%} of the arithmetic is idle. "
        f"Llama-3.1-70B at batch 64 {capacity(large)}.",
    )
    print(f"   {'':32} {'needs':>8} {'fits':>5} {'time':>9} {'tokens/s':>9}  bound")
    for answer in (prefill, one, eight, many, small_int4, large, large_int4):
        print(f"   {row(answer)}")
    print(
        wrapped(
            f"int4 weights: 8B decodes {float(one.latency_s / small_int4.latency_s):.1f} times as "
            f"fast at batch 1. 70B at batch 64 {capacity(large_int4)}; {largest_batch()}."
        )
    )
    return [prefill, one, eight, many, large]


def row(answer: mw.Analysis) -> str:
    """Return one line of the table; no time is given to what does not fit."""
    question, weights = answer.question, answer.conventions["weights"]
    asked = (
        f"{answer.model.rpartition('-')[2]:3} {answer.phase} {question.seq_len:,}, "
        f"batch {question.batch_size}{'' if weights == 'bf16' else f', {weights}'}"
    )
    needs = render(float(answer.footprint.total), "byte")
    if not answer.fits:
        return f"{asked:32} {needs:>8} {'NO':>5} {'-':>9} {'-':>9}  capacity"
    took, rate = render(float(answer.latency_s), "s"), float(answer.tokens_per_s or 0)
    bound = str(answer.bound).removesuffix("_bound")
    return f"{asked:32} {needs:>8} {'yes':>5} {took:>9} {rate:9,.0f}  {bound}"


def capacity(answer: mw.Analysis) -> str:
    """Return whether an answer fits, with what it needs and what the device has."""
    needs, has = (
        render(float(size or 0), "byte")
        for size in (answer.footprint.total, answer.footprint.capacity)
    )
    fits = "fits" if answer.fits else "DOES NOT FIT"
    return f"{fits}: needs {needs}, {DEVICE} has {has}"


def largest_batch() -> str:
    """Return up to which batch the large model with int4 weights fits."""
    batches = np.arange(1, 65)
    answer = mw.analyze(
        LARGE, on=DEVICE, phase="decode", seq_len=4096, batch_size=batches, weights="int4"
    )
    fitting = batches[answer.fits]
    return f"it fits up to batch {fitting[-1]}" if fitting.size else "it fits at no batch"


def draw_roofline(answers: list[mw.Analysis]) -> None:
    """Draw the answers under the device's roofs, and say where they lie."""
    prefill, one, *_ = answers
    heading(
        2,
        f"A byte moved does {float(one.arithmetic_intensity):.2f} FLOP in a decode at batch 1 and "
        f"{float(prefill.arithmetic_intensity):,.0f} in a prefill; {DEVICE} is balanced at "
        f"{float(one.ridge_point):.0f} FLOP per byte.",
    )
    print(f"   Roofline: {save(draw_answers(answers), FOLDER / 'demo-roofline.svg')}")


def case_study() -> None:
    """Compute the paper's case study, print it in five lines, and draw it."""
    cells, curves = paper.compare(), paper.curves()
    heading(3, 'The case study of "AI and Memory Wall" (Gholami et al., IEEE Micro 2024):')
    for line in summary_lines(cells, curves):
        print(f"   {line}")
    print(f"   Its figure: {save(draw_curves(curves), FOLDER / 'demo-case-study.svg')}")


def on_this_machine() -> None:
    """Measure this machine, then predict GPT-2 on it, run it, and compare."""
    heading(4, "GPT-2 on this machine, one core, fp32, by NumPy; first 10 s of measuring:")
    record = measure_briefly()
    hardware = to_hardware(record)
    print(f"   {record.machine['cpu']}, {record.machine['library']}"[:80])
    for rate in record.decode_rates():
        low, middle, high = (
            render(value, rate.unit) for value in (rate.low, rate.median, rate.high)
        )
        print(f"   {rate.what + ':':30} {middle:>11} ({low} to {high})")
    prediction = predict_decode(hardware)
    print(f"   {predicted(prediction)}", flush=True)
    print(f"   {compared(run_decode(prediction))}")
    for warning in record.warnings[:1]:
        print(wrapped(f"warning: {warning}"))


def predicted(prediction: Prediction) -> str:
    """Return the prediction, which is printed before the run."""
    seconds, low, high = (
        render(value, "s") for value in (prediction.seconds, prediction.low_s, prediction.high_s)
    )
    return f"predicted: {seconds} a token ({low} to {high}), {prediction.tokens} tokens"


def compared(comparison: Comparison) -> str:
    """Return the measurement, and how far off the prediction was."""
    samples = len(comparison.measurement.seconds)
    return (
        f"measured:  {render(comparison.measured_s, 's')} a token (median of {samples} runs): "
        f"{'inside' if comparison.inside else 'OUTSIDE'}, off by {comparison.error:+.0%}"
    )


def heading(number: int, text: str) -> None:
    """Print the headline of a part."""
    print(f"\n{wrapped(text, f'{number}. ')}", flush=True)


def wrapped(text: str, first: str = "   ") -> str:
    """Return text in lines of at most 80 columns, indented."""
    return textwrap.fill(text, 80, initial_indent=first, subsequent_indent="   ")


if __name__ == "__main__":
    try:
        main()
    except mw.MemoryWallError as error:
        sys.exit(f"error: {error}")
