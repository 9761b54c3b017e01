"""A brief measurement in NumPy: its plan, its record, its device, and the run that it predicts.

Nothing here asserts a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import memorywall as mw
from memorywall.answer import measure
from memorywall.answer.measure import measure_briefly, save_brief, to_hardware
from memorywall.answer.numpy_run import Comparison, predict_decode, run_decode
from memorywall.app.cli import main
from memorywall.bench.plan import brief_cases
from memorywall.bench.samples import MachineRecord
from memorywall.bench.timing import Measurement
from memorywall.catalog.measured import here_path
from memorywall.core.hardware import Hardware

SMALL = {
    "model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 61,
    "n_positions": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def record() -> MachineRecord:
    """A real measurement with no budget: three samples a case."""
    quick = [replace(case, budget_s=0.0) for case in brief_cases()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "brief_cases", lambda: quick)
        patch.setattr(measure, "_BRIEF_PATIENCE_S", 0.0)
        return measure_briefly()


def made_up(seconds_per_byte: float = 1e-10) -> MachineRecord:
    """A record of a machine where every byte takes as long, and every call 1 us beside."""
    machine = {
        "cpu": "made up", "created": "2026-11-30T00:00:00+00:00", "memory_bytes": 8 * 2**30,
        "brief": True, "library": "NumPy", "threads": 1,
    }  # fmt: skip
    found = []
    for case in brief_cases():
        p = dict(case.parameters)
        name = p.pop("name")
        flops, moved = _work(name, p)
        found.append(Measurement(name, (1e-6 + moved * seconds_per_byte,) * 3, 1, flops, moved, p))
    return MachineRecord(machine, 1, True, None, tuple(found))


def _work(name: str, p: dict[str, Any]) -> tuple[float, float]:
    if name in ("conv1d", "linear"):
        inner, width = p["inner"], p["width"]
        return 2.0 * inner * width, 4.0 * (inner + inner * width + width)
    if name == "gemm":
        return 2.0 * p["m"] ** 3, 12.0 * p["m"] ** 2
    if name == "attention":
        return 4096.0 * p["context"], 8.0 * 1024 * (1 + p["context"])
    if name == "elementwise":
        return 0.0, 8.0 * p["rows"] * p["width"]
    return 0.0, 1e6 if name == "stream" else 0.0


def test_the_plan_keeps_its_promise() -> None:
    # At most 15 s: the budgets, as much again for building and warming up.
    plan = brief_cases()
    assert sum(case.budget_s for case in plan) < 8
    assert {case.kind for case in plan} == {"numpy"}
    # The operators of one token of GPT-2.
    names = {(case.parameters["name"], case.parameters.get("function")) for case in plan}
    assert {("conv1d", None), ("linear", None), ("attention", None)} < names
    assert {("elementwise", f) for f in ("add", "copy", "layernorm", "gelu_new")} < names


def test_the_record_says_how_it_was_made(record: MachineRecord) -> None:
    assert not record.failures
    assert len(record.measurements) == len(brief_cases())
    assert record.threads == 1
    assert record.machine["brief"]
    assert record.machine["library"].startswith("NumPy ")
    ceilings = record.ceilings
    assert set(ceilings.gemm) == {"fp32"}
    assert set(ceilings.dram) == {"read"}
    assert MachineRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record
    rates = {rate.what: rate for rate in record.decode_rates()}
    assert len(rates) == 3
    assert all(rate.low <= rate.median <= rate.high for rate in rates.values())


def test_the_device_predicts(record: MachineRecord) -> None:
    device = to_hardware(record)
    assert device.name == "here-brief"
    assert "measure --brief" in device.sources["peaks.fp32"]
    prediction = predict_decode(device, SMALL, tokens=3)
    assert 0 < prediction.low_s < prediction.seconds < prediction.high_s
    found = run_decode(prediction, budget_s=0.0)
    assert len(found.measurement.seconds) >= 3
    assert found.measured_s > 0
    assert found.measured_s == pytest.approx(found.measurement.median_s / 3)


def test_a_prediction_by_hand() -> None:
    # 0.1 ns a byte: GPT-2's weights that a token reads are all but the embeddings of positions
    # (1024 x 768), 123,653,376 numbers of 4 bytes: 49.5 ms. Activations, caches and 1 us for each
    # of some 200 calls come to less than 2 % of that.
    prediction = predict_decode(to_hardware(made_up()), "gpt2", tokens=8)
    assert prediction.seconds == pytest.approx(0.1e-9 * 4 * (124_439_808 - 1024 * 768), rel=0.02)
    twice = predict_decode(to_hardware(made_up(2e-10)), "gpt2", tokens=8)
    assert twice.seconds == pytest.approx(2 * prediction.seconds, rel=0.01)


def test_a_comparison_by_hand() -> None:
    # 8 tokens in 0.8 s are 100 ms a token.
    prediction = predict_decode(to_hardware(made_up()), "gpt2", tokens=8)
    slow = Comparison(prediction, Measurement("numpy_gpt2", (0.7, 0.8, 0.9)))
    assert slow.measured_s == pytest.approx(0.1)
    assert slow.error == pytest.approx(prediction.seconds / 0.1 - 1)
    assert not slow.inside
    assert Comparison(prediction, Measurement("numpy_gpt2", (8 * prediction.seconds,))).inside


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(mw.MemoryWallError, match="requires a GPT-2, got meta-llama"):
        predict_decode(to_hardware(made_up()), "llama-3.1-8b")
    with pytest.raises(mw.MemoryWallError, match="has no calibration"):
        predict_decode(mw.hardware("h100-sxm"), "gpt2")
    prediction = predict_decode(to_hardware(made_up()), {**SMALL, "n_positions": 16}, tokens=17)
    with pytest.raises(mw.MemoryWallError, match="did not run in NumPy"):
        run_decode(prediction)


def test_here_stays_the_full_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    path = save_brief(made_up())
    assert path.parent == tmp_path / "records"
    assert path.name.startswith("brief-")
    assert not here_path().exists()
    assert measure.last_like(made_up()) is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path / "file"))
    with pytest.raises(mw.MemoryWallError, match="cannot be written"):
        save_brief(made_up())


def test_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    monkeypatch.setattr(measure, "measure_briefly", lambda _progress: made_up())
    assert main(["measure", "--brief"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "made up, 1 thread, NumPy"
    assert "not used by --on here" in lines[-1]
    assert all(len(line) <= 80 for line in lines if not line.startswith(("Saved:", "warning:")))
    assert main(["measure", "--brief", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["machine"]["brief"]
    for words in (["--quick"], ["--threads", "2"], ["--backend", "cuda"], ["--processes", "2"]):
        assert main(["measure", "--brief", *words]) == 2
        assert "conflicts with" in capsys.readouterr().err


def test_neither_torch_nor_numba_is_needed() -> None:
    # Both hidden, in the process that asks and, by the environment, in the one that measures.
    code = (
        "import sys\n"
        "for name in ('torch', 'numba', 'transformers', 'tomli_w'): sys.modules[name] = None\n"
        "from memorywall.answer import measure, numpy_run\n"
        "from memorywall.bench import numpy_kernels, worker\n"
        "from memorywall.bench.pipe import Case, Order\n"
        "numpy_kernels.make('launch').call()\n"
        "assert worker._numpy(Case('numpy', 0.0, {'name': 'launch'}), Order('cpu', ()))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_hardware_is_a_device_like_others() -> None:
    device = to_hardware(made_up())
    assert isinstance(device, Hardware)
    assert device.kind == "measured"
    # 1 MB in 1 us + 0.1 ms
    assert device.bandwidth == pytest.approx(1e6 / (1e-6 + 1e6 * 1e-10))
