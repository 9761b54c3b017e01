"""Answers about serving engines."""

from __future__ import annotations

from typing import Any

import pytest

import memorywall as mw
from memorywall.core.errors import InvalidInputError, MemoryWallError

MODEL, DEVICE = "llama-3.1-70b", "h100-sxm"
WORDS: dict[str, Any] = {"phase": "serve", "tensor": 8, "weights": "fp8"}


def serve(model: str = MODEL, on: Any = DEVICE, **words: Any) -> mw.Analysis:
    return mw.analyze(model, on=on, **{**WORDS, **words})


def number(answer: mw.Analysis, name: str) -> float:
    """Return a quantity that the answer has."""
    return float(answer.quantity(name).value)


def test_a_closed_loop_obeys_littles_law() -> None:
    answer = serve(concurrency=64, engine="vllm", input_len=1024, output_len=1024)
    assert answer.serving is not None
    served = number(answer, "ttft_s") + 1023 * number(answer, "tpot_s")
    assert number(answer, "latency_s") == pytest.approx(served)
    assert number(answer, "requests_per_s") == pytest.approx(64 / served)
    assert number(answer, "tokens_per_s") == pytest.approx(64 * 1024 / served)
    assert number(answer, "tokens_per_s_per_device") * 8 == pytest.approx(
        number(answer, "tokens_per_s")
    )


def test_every_number_has_an_interval() -> None:
    answer = serve(concurrency=8)
    for name in ("ttft_s", "tpot_s", "tokens_per_s_per_device", "requests_per_s", "latency_s"):
        value = answer.quantity(name)
        assert value.low is not None
        assert value.high is not None
        assert value.low < value.value < value.high
        assert value.provenance == "calibrated"
    assert serve(on="mi300x", concurrency=8).time_provenance == "class default"


def test_operators_have_the_time_of_a_request() -> None:
    answer = serve(concurrency=64)
    whole = sum(float(op.latency_s) for op in answer.ops)
    assert whole == pytest.approx(number(answer, "latency_s"))
    assert number(answer, "bound_s") < number(answer, "latency_s")
    assert sum(answer.time_shares.values()) == pytest.approx(1)


def test_sentence_table_and_record() -> None:
    answer = serve(concurrency=64)
    said = str(answer)
    assert "serving requests of 1,024 + 1024 tokens by vllm, 64 in flight, over 8 devices" in said
    assert "tokens/s a device" in said
    record = answer.to_dict()
    assert record["devices"] == 8
    assert record["in_flight"] == 64
    assert record["requests_per_s"] == answer.requests_per_s
    assert "ttft_p50_s" not in record


def test_more_load_takes_longer_and_gives_more() -> None:
    few, many = serve(concurrency=8), serve(concurrency=128)
    assert number(many, "tpot_s") > number(few, "tpot_s")
    assert number(many, "ttft_s") > number(few, "ttft_s")
    assert number(many, "requests_per_s") > number(few, "requests_per_s")


def test_what_the_memory_does_not_hold_waits() -> None:
    answer = serve(tensor=2, concurrency=512, input_len=8192)
    found = answer.serving
    assert found is not None
    assert found.most_in_flight is not None
    assert found.in_flight == found.most_in_flight < 512
    waiting = (512 - found.in_flight) / found.requests_per_s
    assert found.waiting_s == pytest.approx(waiting)
    assert answer.fits
    assert "others wait" in answer.notes[0]


def test_the_memory_holds_what_is_left_beside_weights() -> None:
    found = serve(concurrency=1).serving
    assert found is not None
    # 80 layers x 2 x 8 heads x 128 x 2 bytes over 8 devices, of 2048 positions.
    each = 80 * 2 * 128 * 2 * 2048
    usable = float(mw.hardware(DEVICE).usable or 0)
    assert found.most_in_flight is not None
    assert found.most_in_flight < 0.9 * usable / each
    assert found.most_in_flight > (0.9 * usable - 12e9) / each


def test_arrivals_wait_in_a_queue() -> None:
    calm, busy = serve(request_rate=1), serve(request_rate=6)
    for answer in (calm, busy):
        found = answer.serving
        assert found is not None
        assert found.ttft_p95_s is not None
        assert found.ttft_p50_s is not None
        assert found.tpot_p95_s is not None
        assert found.ttft_p50_s <= found.ttft_p95_s
        assert found.tpot_s <= found.tpot_p95_s
        assert answer.requests_per_s == found.requests_per_s
        # As many are in flight as arrive while one is served.
        assert found.in_flight == pytest.approx(
            found.requests_per_s * number(answer, "latency_s"), rel=0.1, abs=1
        )
    assert calm.serving is not None
    assert busy.serving is not None
    assert busy.serving.waiting_s > calm.serving.waiting_s
    assert busy.quantity("ttft_p95_s").low is not None


def test_more_arrivals_than_can_be_served_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"request_rate must be below the .* requests/s"):
        serve(request_rate=1000)


def test_answers_of_one_token_have_no_steps() -> None:
    answer = serve(concurrency=2, output_len=1)
    assert answer.tpot_s is None
    assert number(answer, "latency_s") == pytest.approx(number(answer, "ttft_s"))


def test_image_towers_do_not_run() -> None:
    answer = mw.analyze("gemma-3-27b-it", on="h200-sxm", phase="serve", concurrency=2)
    assert answer.images == 0


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [
        ("bert-base-uncased", {}, "phase serve requires a generative model"),
        ("t5-small", {}, "phase serve requires a decoder alone"),
        ("gpt2", {"batch": 2}, "batch_size has no effect"),
        ("gpt2", {"ceilings": "spec"}, "ceilings has no effect"),
        ("gpt2", {"engine": "llama.cpp"}, "engine 'llama.cpp' is not known"),
        ("gpt2", {"request_rate": 0}, "request_rate must be a number per second over 0"),
        ("gpt2", {"request_rate": "fast"}, "request_rate must be a number per second over 0"),
    ],
)
def test_what_cannot_be_served(model: str, words: dict[str, Any], said: str) -> None:
    with pytest.raises(MemoryWallError, match=said):
        mw.analyze(model, on=DEVICE, phase="serve", **words)


def test_other_phases_have_no_load() -> None:
    with pytest.raises(InvalidInputError, match="concurrency has no effect"):
        mw.analyze("gpt2", on=DEVICE, phase="decode", concurrency=2)


def test_devices_that_are_not_of_the_catalogue() -> None:
    with pytest.raises(MemoryWallError, match="phase serve requires a device with one number each"):
        serve(on=mw.hardware(DEVICE).replace(bandwidth=[1e12, 2e12]))


@pytest.mark.parametrize("engine", ["trtllm", "vllm", "sglang"])
@pytest.mark.parametrize(("read", "made"), [(1, 1), (16, 2), (8192, 16), (128, 2048)])
@pytest.mark.parametrize("layout", [{}, {"tensor": 8}, {"tensor": 1, "attention_data": 4}])
def test_no_time_is_under_the_roofs(
    engine: str, read: int, made: int, layout: dict[str, Any]
) -> None:
    for model, device in (("llama-3.1-8b", "rtx-4090"), ("mixtral-8x7b-v0.1", "b200-sxm")):
        for flight in (1, 512):
            answer = mw.analyze(
                model, on=device, phase="serve", engine=engine, input_len=read, output_len=made,
                concurrency=flight, **layout,
            )  # fmt: skip
            assert number(answer, "latency_s") > number(answer, "bound_s")
            assert float(answer.quantity("latency_s").low or 0) > 0


def test_what_arrives_is_served_and_has_no_interval() -> None:
    answer = serve(request_rate=2, output_len=256)
    assert answer.quantity("requests_per_s").low is None
    assert number(answer, "tokens_per_s_per_device") == 2 * 256 / 8
