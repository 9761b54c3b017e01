"""Fits of kernels: samples, splits, intervals, and terms that are left out."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

import memorywall as mw
from memorywall.calibrate.kernel_fit import Form, fit, interval, possible_rows, predicted, tables_of
from memorywall.calibrate.kernel_forms import fitted_together, form_of
from memorywall.calibrate.kernel_terms import TERMS
from memorywall.calibrate.samples import Samples
from memorywall.cost.kernels import all_kernels, find_kernel

H100, GEMM = mw.hardware("h100-sxm"), find_kernel("gemm")
TRUE = {
    "peak_share": 0.8, "bandwidth_share": 0.85, "feed": 75.0, "tile_s": 7e-7, "overlap": 2.5,
    "launch_s": 2e-6, "split_s": 3e-6, "whole_waves": 1e-3,
}  # fmt: skip


def samples(count: int = 600, engine: str = "", noise: float = 0.03) -> Samples:
    rng = np.random.default_rng(1)
    shape = {
        name: np.round(2 ** rng.uniform(low, high, count))
        for name, low, high in (("m", 0, 13), ("n", 7, 14), ("k", 7, 14))
    }
    layers = [f"{n:.0f}x{k:.0f}" for n, k in zip(shape["n"], shape["k"], strict=True)]
    blank = Samples("gemm", "h100_sxm", engine, "1", "bf16", shape, np.ones(count), layers)
    seconds = predicted(GEMM, blank, H100, TRUE) * rng.lognormal(0, noise, count)
    return Samples("gemm", "h100_sxm", engine, "1", "bf16", shape, seconds, layers)


def test_a_fit_finds_the_constants() -> None:
    form = form_of("gemm", H100, "bf16", "")
    (found,) = fit(GEMM, [samples()], H100, [form])
    for name in ("peak_share", "bandwidth_share", "feed", "launch_s", "split_s"):
        assert found[name] == pytest.approx(TRUE[name], rel=0.1), name


def test_a_few_odd_rows_do_not_move_a_fit() -> None:
    odd = samples()
    odd.seconds[::20] *= 4
    (found,) = fit(GEMM, [odd], H100, [form_of("gemm", H100, "bf16", "")])
    for name in ("bandwidth_share", "launch_s"):
        assert found[name] == pytest.approx(TRUE[name], rel=0.1), name


def test_constants_that_are_shared_are_one_number() -> None:
    form = Form(("peak_share", "bandwidth_share", "feed", "overlap", "split_s"),
                ("launch_s",), {"tile_s": 7e-7, "whole_waves": 1e-3})  # fmt: skip
    one, two = fit(GEMM, [samples(engine="a"), samples(engine="b")], H100, [form, form])
    assert one["feed"] == two["feed"]
    assert one["tile_s"] == 7e-7


def test_layers_are_held_out_whole() -> None:
    train, test = samples().held_out()
    assert not {*train.layers} & {*test.layers}
    assert all(zlib.crc32(layer.encode()) >> 1 & 1 == 0 for layer in train.layers)
    assert len(train) + len(test) == 600


def test_a_table_states_the_error_of_what_its_fit_did_not_see() -> None:
    (table,) = tables_of(GEMM, [samples()], H100, [form_of("gemm", H100, "bf16", "")], source="x")
    assert table.rows == len(samples().held_out()[0])
    assert table.median_error is not None
    # The median of |exp(0.03 z) - 1| is 0.67 x 0.03 = 2 %.
    assert table.median_error == pytest.approx(0.02, rel=0.3)
    assert table.physics == "none of 600 rows beats the roofs"


def test_an_interval_is_a_tenth_wider_than_its_quantiles() -> None:
    # Measured over predicted from e^-1 to e^1, evenly: 80 % between e^-0.8 and e^0.8.
    low, high = interval(np.exp(np.linspace(-1, 1, 100_001)))
    assert low == pytest.approx(np.exp(-0.88), rel=1e-3)
    assert high == pytest.approx(np.exp(0.88), rel=1e-3)


def test_rows_that_beat_the_roofs_are_left_out_and_counted() -> None:
    fast = samples(noise=0.0)
    fast.seconds[:3] = 1e-9
    possible, impossible = possible_rows(GEMM, fast, H100)
    assert impossible == 3
    assert len(possible) == 597


def test_engines_that_share_constants_are_fitted_together() -> None:
    parts = [samples(20, "a"), samples(20, "b")]
    assert [len(group) for group in fitted_together(parts)] == [2]


def test_terms_are_those_of_the_formulas() -> None:
    for kernel in all_kernels():
        if kernel.name == "step":
            continue
        known = {constant.name for constant in kernel.constants}
        for term in TERMS[kernel.name]:
            assert {*term.without, *term.dropped} <= known, (kernel.name, term.name)


def test_a_form_without_a_term_fits_the_others() -> None:
    term = next(term for term in TERMS["gemm"] if term.name == "split products")
    form = form_of("gemm", H100, "bf16", "")
    left = term.left_out_of(form)
    assert term.is_in(form)
    assert set(form.shared) - set(left.shared) == {"split_s"}
    assert left.fixed is not None
    assert left.fixed["split_s"] > 1
    (found,) = fit(GEMM, [samples(200)], H100, [left])
    assert found["split_s"] == left.fixed["split_s"]
