"""A number and an array of that number are the same question, for every model of the catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.catalog.configs import config_names
from memorywall.core.errors import InvalidInputError, UnsupportedError

PARTS = ("flops", "moved_bytes", "footprint.weights", "footprint.kv_cache")
OTHERS = ("footprint.activations", "footprint.state", "footprint.total")


@pytest.mark.sampled(every=16)
@pytest.mark.parametrize("name", config_names())
def test_a_batch_of_two_as_an_array(name: str) -> None:
    model, answered = mw.model(name), 0
    for phase in ("encode", "prefill", "decode", "denoise"):
        for traffic in ("fused", "unfused"):
            try:
                one = mw.analyze(model, on="h100-sxm", phase=phase, batch_size=2, traffic=traffic)
            except UnsupportedError:
                continue
            words: dict[str, Any] = {
                "phase": phase,
                "traffic": traffic,
                "batch_size": np.array([2]),
            }
            several = mw.analyze(model, on="h100-sxm", **words)
            for quantity in (*PARTS, *OTHERS):
                a, b = one.quantity(quantity).value, several.quantity(quantity).value
                assert np.asarray(b).reshape(-1)[0] == pytest.approx(a, rel=1e-12), quantity
            answered += 1
    assert answered


def test_masked_arrays_are_refused() -> None:
    masked = np.ma.masked_array([1, 2], mask=[False, True])
    asked: list[dict[str, Any]] = [{"batch_size": masked}, {"seq_len": masked}]
    for words in asked:
        with pytest.raises(InvalidInputError, match="got a masked array"):
            mw.analyze("gpt2", on="h100-sxm", **words)
    with pytest.raises(InvalidInputError, match="got a masked array"):
        mw.hardware("h100-sxm").replace(bandwidth=np.ma.masked_array([1e12], mask=[True]))
    whole = np.ma.masked_array([1, 2])  # no value of it is masked
    answer = mw.analyze("gpt2", on="h100-sxm", batch_size=whole)
    assert np.shape(answer.quantity("tokens_per_s").value) == (2,)
