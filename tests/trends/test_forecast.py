"""A year's device: its marginals are the lines' intervals, and they reach the latency."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import memorywall as mw
from memorywall.answer.fit_trends import forecast_device, load_series
from memorywall.core.errors import InvalidInputError
from memorywall.trends.fit import Line
from memorywall.trends.selection import Selection

DEVICE = forecast_device("forecast:2030")
DRAWS = DEVICE.draws
assert DRAWS is not None


def line(name: str) -> Line:
    return Line(load_series(name, Selection()))


@pytest.mark.parametrize("name", ["peak", "bandwidth", "capacity"])
def test_draws_follow_their_lines(name: str) -> None:
    assert DRAWS is not None
    middle, drawn = {
        "peak": (DEVICE.peaks["fp16"], DRAWS.peaks["fp16"]),
        "bandwidth": (DEVICE.bandwidth, DRAWS.bandwidth),
        "capacity": (DEVICE.capacity, DRAWS.capacity),
    }[name]
    for level in (0.8, 0.95):
        (interval,) = line(name).predict([2030], level)
        assert middle == pytest.approx(interval.middle)
        ends = np.quantile(np.asarray(drawn), [(1 - level) / 2, (1 + level) / 2])
        assert ends == pytest.approx([interval.low, interval.high], rel=0.03)


def test_what_goes_together_is_drawn_together() -> None:
    assert DRAWS is not None
    peak, bandwidth = np.log(DRAWS.peaks["fp16"]), np.log(DRAWS.bandwidth)
    lines = [line("peak"), line("bandwidth")]
    residuals = [
        dict(zip((p.name for p in one.series.points), one.result.resid, strict=True))
        for one in lines
    ]
    shared = [name for name in residuals[0] if name in residuals[1]]
    wanted = np.corrcoef([[by_name[name] for name in shared] for by_name in residuals])[0, 1]
    assert np.corrcoef(peak, bandwidth)[0, 1] == pytest.approx(wanted, abs=0.05)


def test_the_interval_of_bandwidth_is_that_of_decode() -> None:
    # One step at batch 1 waits on memory in every draw, so its seconds are bytes over bandwidth,
    # and the ends of its interval those of the bandwidth's.
    answer = mw.analyze("llama-3.1-8b", on=DEVICE)
    (interval,) = line("bandwidth").predict([2030], 0.8)
    moved = float(answer.moved_bytes)
    assert answer.latency_s == pytest.approx(moved / interval.middle, rel=1e-3)
    assert answer.latency_low_s == pytest.approx(moved / interval.high, rel=0.03)
    assert answer.latency_high_s == pytest.approx(moved / interval.low, rel=0.03)


def test_of_prefill_it_is_that_of_the_peak() -> None:
    answer = mw.analyze("llama-3.1-8b", on=DEVICE, phase="prefill", seq_len=8192, batch_size=8)
    (interval,) = line("peak").predict([2030], 0.8)
    compute = float(answer.cost.compute_s) * interval.middle
    assert answer.latency_high_s == pytest.approx(compute / interval.low, rel=0.1)
    assert answer.latency_low_s is not None
    assert float(answer.latency_low_s) >= compute / interval.high * 0.97


def test_grids_and_generations_have_intervals() -> None:
    batch = np.array([1, 64, 1024])
    grid = mw.analyze("gpt2", on=DEVICE, batch_size=batch, seq_len=512)
    assert isinstance(grid.latency_low_s, np.ndarray)
    for index, size in enumerate(batch.tolist()):
        alone = mw.analyze("gpt2", on=DEVICE, batch_size=size, seq_len=512)
        assert grid.latency_low_s[index] == pytest.approx(alone.latency_low_s)
        assert alone.latency_low_s is not None
        assert alone.latency_high_s is not None
        assert alone.latency_low_s < alone.latency_s < alone.latency_high_s
    run = mw.analyze("gpt2", on=DEVICE, phase="generate", seq_len=8, new_tokens=5)
    assert run.latency_low_s is not None
    assert run.latency_low_s < run.latency_s
    assert run.to_dict()["latency_low_s"] == run.latency_low_s


def test_it_is_a_forecast_that_says_so() -> None:
    assert DEVICE.kind == "forecast"
    assert set(DEVICE.sources) >= {"peaks.fp16", "memories[1].bandwidth", "power.tdp"}
    assert all("trend of" in source for source in DEVICE.sources.values())
    answer = mw.analyze("gpt2", on="forecast:2030")
    assert answer.conventions["ceilings"] == "forecast"
    assert any("not the largest" in note for note in answer.notes)
    assert "80 % of the devices that may come" in mw.headline(answer)
    assert pickle.loads(pickle.dumps(DEVICE)).draws is not None


def test_a_changed_forecast_is_none() -> None:
    faster = DEVICE.replace(bandwidth=1e13)
    assert faster.kind == "hypothetical"
    assert faster.draws is None
    assert mw.analyze("gpt2", on=faster).time_provenance == "class default"


def test_intervals_widen_with_the_years() -> None:
    near, far = (forecast_device(f"forecast:{year}").draws for year in (2027, 2040))
    assert near is not None
    assert far is not None
    spreads = [np.std(np.log(np.asarray(device.bandwidth))) for device in (near, far)]
    assert spreads[0] < spreads[1]


@pytest.mark.parametrize("name", ["forecast:", "forecast:soon", "forecast:2100", "forecast:1900"])
def test_years_that_are_none(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"year|forecast"):
        mw.hardware(name)
