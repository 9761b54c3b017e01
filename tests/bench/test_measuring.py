"""Measuring for real, on next to nothing: that it runs, what it keeps, how it fails.

Nothing here asserts a time.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import memorywall as mw
from memorywall.answer.profile import profile
from memorywall.app.cli import main
from memorywall.bench.machine import caches, describe, usable_cores
from memorywall.bench.pipe import Case
from memorywall.bench.plan import cases, expected_s
from memorywall.bench.profiles import Profile
from memorywall.bench.runner import answers
from memorywall.bench.toys import toy_config
from memorywall.catalog.measured import here_path, save_here
from memorywall.core.calibration import Calibration, Curve
from memorywall.core.hardware import Hardware, Memory
from memorywall.core.records import load_record
from tests.frontends.files import GGUF_METADATA, gguf, gguf_tensors
from tests.toys import TOY

Captured = pytest.CaptureFixture[str]
SMALL = {"m": 16, "n": 16, "k": 16}


def test_the_worker_answers_every_case_and_survives_the_impossible() -> None:
    plan = [
        Case("stream", 0.0, {"function": "triad", "nbytes": 1 << 16}),
        Case("stream", 0.0, {"function": "read", "nbytes": 1 << 60}),
        Case("kernel", 0.0, {"name": "no such kernel"}),
        Case("kernel", 0.0, {"name": "gemm", "dtype": "fp32", **SMALL}),
        Case("chase", 0.0, {"nbytes": 1 << 14}),
        Case("sweep", 0.0, {"nbytes": 1 << 14}),
        Case("toy", 0.0, {"model_type": "llama", "layers": 1, "dtype": "bf16"}),
    ]
    found = list(answers(plan, 1, "cpu"))
    assert [case for case, _ in found] == plan
    measured = [answer.measurement for _, answer in found]
    assert [m is None for m in measured] == [False, True, True] + [False] * 4
    assert [bool(answer.error) for _, answer in found] == [m is None for m in measured]
    triad, gemm = measured[0], measured[3]
    assert triad is not None
    assert gemm is not None
    assert triad.moved_bytes == 24 * (1 << 16) // 8  # STREAM's count for a triad
    assert found[0][1].page_size in (4096, 2 * 1024 * 1024)
    assert gemm.flops == 2 * 16**3


@pytest.mark.parametrize(
    "function",
    ["add", "copy", "layernorm", "rmsnorm", "softmax", "gelu", "gelu_new", "silu", "silu gated",
     "relu", "tanh", "rotary"],
)  # fmt: skip
def test_functions_are_what_they_say(function: str) -> None:
    from memorywall.bench import kernels

    torch.manual_seed(0)
    with torch.inference_mode():
        kernel = kernels.make("elementwise", dtype="fp32", function=function, rows=3, width=8)
        out: Any = kernel.call()
    assert tuple(out.shape) == (3, 8)
    assert bool(torch.isfinite(out).all())


def test_kernels_compute_what_models_do() -> None:
    from transformers.activations import ACT2FN

    from memorywall.bench import kernels

    x = torch.randn(5, 16)
    assert torch.allclose(kernels._gelu_new(x), ACT2FN["gelu_new"](x))
    normed = torch.nn.functional.rms_norm(x, (16,), torch.ones(16), 1e-6)
    assert torch.allclose(kernels._rms_norm(x, torch.ones(16)), normed, atol=1e-6)


def name(case: Case) -> object:
    return case.parameters.get("name")


@pytest.mark.parametrize("quick", [True, False])
def test_the_plan_covers_what_models_need(quick: bool) -> None:
    plan = cases(quick=quick, caches={"L1": 1 << 15, "L2": 1 << 20, "L3": 1 << 25})
    functions = {case.parameters["function"] for case in plan if name(case) == "elementwise"}
    assert {"add", "layernorm", "rmsnorm", "gelu", "gelu_new", "silu gated", "rotary"} <= functions
    assert {case.parameters["function"] for case in plan if case.kind == "stream"} == {
        "read", "copy", "scale", "add", "triad", "triad_nontemporal",
    }  # fmt: skip
    sweep = [case.parameters["nbytes"] for case in plan if case.kind == "sweep"]
    assert {1 << 13, 1 << 18, 1 << 23} <= set(sweep)  # a quarter of each level
    assert expected_s(plan) < (60 if quick else 600)
    # The sum of all budgets, with as much again for building and warming up, is in the promise.
    assert sum(case.budget_s for case in plan) * 2 < (60 if quick else 600)


def test_a_gpus_plan_has_no_cpu_streams() -> None:
    plan = cases(quick=True, caches={}, device="cuda")
    assert {case.kind for case in plan} == {"kernel", "toy"}
    dtypes = {case.parameters["dtype"] for case in plan if name(case) == "gemm"}
    assert dtypes == {"fp32", "tf32", "bf16", "fp16", "int8", "fp8"}
    assert any(name(case) == "launch_graph" for case in plan)
    assert any(case.parameters.get("dtype") == "fp16" for case in plan)


def test_the_description_of_this_machine() -> None:
    machine = describe(1)
    assert machine["cpu"]
    assert machine["threads"] == 1
    assert machine["libraries"]["numpy"]
    if sys.platform == "linux":
        assert machine["memory_bytes"] > 1 << 28
        assert all(size > 1024 for size in caches().values())


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up measurement of this machine at one thread, so that no test has to measure."""
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    operators = [
        "linear", "conv1d", "attention causal", "attention full", "attention decode",
        "attention decode grouped", "add", "copy",
        "layernorm", "rmsnorm", "gelu", "gelu_new", "silu gated", "rotary", "tanh",
    ]  # fmt: skip
    curves = {
        (operator, dtype): Curve(operator, dtype, (1.0, 100.0), (1e-9, 1e-10), 1e-6)
        for operator in operators
        for dtype in ("fp32", "bf16")
    }
    device = Hardware(
        "here", {"fp32": 1e11, "bf16": 2e11}, (Memory("DRAM", 24e9, 3e10),), kind="measured",
        title="made up", sources={"peaks.fp32": "made up"},
        calibration=Calibration(curves, {"fp32": 1e-5}, {"fp32": 1e-4}, 0.5, 2.0, 3),
    )  # fmt: skip
    save_here(device, 1)
    return tmp_path


def test_profile_runs_a_real_model(measured: Path) -> None:
    record = profile(TOY, batch_sizes=(1, 2), seq_lens=(3,), dtypes=("fp32", "bf16"), threads=1,
                     budget_s=0.0)  # fmt: skip
    assert [(c.phase, c.dtype, c.batch_size) for c in record.cases] == [
        (phase, dtype, batch)
        for dtype in ("fp32", "bf16")
        for phase in ("prefill", "decode")
        for batch in (1, 2)
    ]
    for case in record.cases:
        assert not case.error
        assert case.measured_s is not None
        assert case.measured_s > 0
        assert case.low_s == pytest.approx(case.predicted_s / 2)
        assert case.high_s == pytest.approx(case.predicted_s * 2)
        assert case.ratio == pytest.approx(case.predicted_s / case.measured_s)
        assert {"gemm", "attention"} <= set(case.measured_by_class)
        assert sum(case.predicted_by_class.values()) == pytest.approx(case.predicted_s)
    kept = list((measured / "records").glob("profile-*.json"))
    assert len(kept) == 1
    assert json.loads(kept[0].read_text()) == record.to_dict()
    assert load_record(Profile, kept[0]) == record


@pytest.mark.slow
@pytest.mark.usefixtures("measured")
def test_profile_reports_its_stages() -> None:
    stages: list[str] = []
    profile(TOY, phases=("decode",), seq_lens=(2, 3), threads=1, budget_s=0.0, stage=stages.append)
    assert stages[0].startswith("2 cases, about ")
    first, second = (
        f"case {number} of 2, decode, batch 1, {length} positions, fp32: "
        for number, length in ((1, 2), (2, 3))
    )
    names = ("loading", "warming", "running", "splitting by operator")
    assert stages[1:] == [where + name for where in (first, second) for name in names]


@pytest.mark.slow
@pytest.mark.usefixtures("measured")
def test_stages_are_lines_where_no_terminal_is(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TOY))
    words = ["profile", str(path), "--phase", "decode", "--seq", "2", "--threads", "1", "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["cases"][0]["measured_s"] > 0  # nothing but the record
    assert "case 1 of 1, decode, batch 1, 2 positions, fp32: warming" in err.splitlines()


@pytest.mark.slow
@pytest.mark.usefixtures("measured")
def test_a_case_that_does_not_fit_is_reported_and_the_rest_goes_on() -> None:
    record = profile(TOY, phases=("prefill",), batch_sizes=(2**39, 1), seq_lens=(3,), threads=1,
                     budget_s=0.0)  # fmt: skip
    impossible, possible = record.cases
    assert "memory" in impossible.error
    assert impossible.measured_s is None
    assert possible.measured_s


@pytest.mark.slow
def test_a_local_checkpoint_is_loaded(measured: Path) -> None:
    import torch
    import transformers

    from memorywall.bench import real_models

    values = {key: value for key, value in TOY.items() if key not in ("model_type", "dtype")}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**values))
    folder = measured / "checkpoint"
    model.save_pretrained(folder)  # as safetensors
    record = profile(folder, phases=("decode",), seq_lens=(2,), threads=1, budget_s=0.0)
    assert record.weights == str(folder)
    assert record.cases[0].measured_s
    assert not record.cases[0].error
    loaded = real_models.load(str(folder), "LlamaForCausalLM", "fp32")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


@pytest.mark.slow
def test_a_gguf_is_unpacked(measured: Path) -> None:
    path = measured / "toy.gguf"
    path.write_bytes(gguf(GGUF_METADATA, gguf_tensors()))
    record = profile(path, phases=("decode",), seq_lens=(2,), threads=1, budget_s=0.0)
    assert record.weights == str(path)
    assert not record.cases[0].error
    assert record.cases[0].measured_s


@pytest.mark.slow
def test_pickled_weights_are_never_loaded(measured: Path) -> None:
    folder = measured / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(TOY))
    (folder / "pytorch_model.bin").write_bytes(b"not to be opened")
    record = profile(folder, phases=("decode",), seq_lens=(2,), threads=1, budget_s=0.0)
    assert record.weights == "random"
    assert not record.cases[0].error


@pytest.mark.slow
@pytest.mark.usefixtures("measured")
def test_lists_of_threads_run_one_after_the_other() -> None:
    if usable_cores() < 2:
        pytest.skip("one core")
    save_here(mw.hardware("here-1"), 2)
    record = profile(TOY, phases=("decode",), seq_lens=(2, 3), threads=(1, 2), budget_s=0.0)
    assert [(case.threads, case.seq_len) for case in record.cases] == [
        (1, 2), (1, 3), (2, 2), (2, 3),
    ]  # fmt: skip
    assert all(case.measured_s for case in record.cases)


@pytest.mark.slow
@pytest.mark.usefixtures("measured")
def test_the_case_study_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    # The experiment itself on three toys: what it runs, what it makes of it, how it is shown.
    from memorywall.studies.paper import experiment as study
    from memorywall.studies.paper.computation import curves
    from memorywall.studies.paper.latency_text import show_latencies

    toys = {"BERT-Base": "bert", "BERT-Large": "bert", "GPT-2": "gpt2"}
    monkeypatch.setattr(study, "_config", lambda model: toy_config(toys[model], 1))
    monkeypatch.setattr(study, "GRIDS", {"quick": ((4, 8), (2,))})
    reports: list[tuple[int, int]] = []
    ran = study.measure("quick", threads=1, progress=lambda *seen: reports.append(seen))
    assert reports == [(done, 9) for done in range(1, 10)]
    rows = ran.relative
    assert [(r.model, r.seq_len, r.batch_size) for r in rows[:3]] == [
        ("BERT-Base", 4, 1), ("BERT-Base", 8, 1), ("BERT-Base", 4, 2),
    ]  # fmt: skip
    assert rows[0].measured == rows[0].predicted == 1.0
    assert all(row.measured for row in rows)
    drawn = study.with_measured(curves(), rows)
    here = [curve for curve in drawn if curve.quantity == "latency here"]
    assert [len(curve.measured) for curve in here] == [2, 2, 2]
    assert [len(curve.published) for curve in here] == [6, 6, 6]
    text = Console(width=300, record=True, file=io.StringIO())
    busy = replace(ran, machine={**ran.machine, "busy_cores_before": 1.5})
    show_latencies(busy, text)
    said = text.export_text()
    assert "Others used 1.5 cores when this began" in said
    assert "GPT-2 takes" in said
    assert "differs: made up in fp32 by eager PyTorch" in said


@pytest.mark.slow
@pytest.mark.usefixtures("measured")
def test_profile_command(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TOY))
    code = main(
        ["profile", str(path), "--phase", "decode", "--seq", "2,4", "--threads", "1", "--json"]
    )
    record = json.loads(capsys.readouterr().out)
    assert code == 0
    for case in record["cases"]:
        assert {
            "phase", "batch_size", "seq_len", "dtype", "threads", "predicted_s", "low_s", "high_s",
            "measured_s", "bound",
        } <= set(case)  # fmt: skip
    figure = tmp_path / "roofline.svg"
    words = ["profile", str(path), "--threads", "1", "--seq", "2", "--figure", str(figure)]
    assert main(words) == 0
    drawn = figure.read_text()
    for label in ("FLOP per byte moved", "FLOP/s", "hollow predicted", "DRAM 30 GB/s"):
        assert label in drawn
    out = capsys.readouterr().out
    assert "predictions are off by" in out
    assert "gemm" in out


@pytest.mark.slow
@pytest.mark.usefixtures("measured")
def test_an_attained_rate_above_the_roof_is_flagged() -> None:
    device = mw.hardware("here").replace(peaks={"fp32": 1.0}, kind="measured")
    save_here(device, 1)
    record = profile(TOY, phases=("decode",), seq_lens=(2,), threads=1, budget_s=0.0)
    assert record.cases[0].over_the_roof


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["profile", "gpt2", "--phase", "encode"], "cannot be profiled in phase 'encode'"),
        (["profile", "bert-base-uncased", "--phase", "decode"], "cannot be profiled in phase"),
        (["profile", "gpt2", "--dtype", "int4"], "dtype 'int4' cannot be run"),
        (["profile", "gpt2", "--threads", "0"], "threads must be 1 to"),
        (["measure", "--threads", "4096"], "threads must be 1 to"),
        (["measure", "--backend", "abacus"], "backend must be cpu or cuda, got 'abacus'"),
        (["measure", "--backend", "cuda"], "no CUDA GPU"),
        (["measure", "--processes", "4096"], "processes must be 1 to"),
        (["analyze", "gpt2", "--on", "here"], "memorywall measure --quick"),
        (["analyze", "gpt2", "--on", "here-7"], "memorywall measure --threads 7"),
        (["analyze", "gpt2", "--on", "here-cuda"], "memorywall measure --backend cuda"),
        (["study", "paper", "--quick"], "Add --measured"),
        (["study", "paper", "--measured", "--full"], "--full conflicts with --measured"),
        (["study", "paper", "--measured", "--quick", "--long"], "--quick conflicts with --long"),
        (["profile", "gpt9"], "'gpt9' is not known"),
        (["profile", "t5-small"], "t5-small is an encoder-decoder, which cannot be profiled yet"),
    ],
)
def test_refusals(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    said: str,
) -> None:  # fmt: skip
    import torch

    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("library", ["torch", "numba", "transformers"])
def test_without_a_library_the_message_names_the_extra(library: str) -> None:
    code = (
        f"import sys; sys.modules['{library}'] = None\n"
        "from memorywall.app.cli import main; sys.exit(main(['measure', '--quick']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert f"requires {library}, which is not installed" in run.stderr
    assert "pip install 'memorywall[measure]'" in run.stderr


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEMORYWALL_DATA", str(tmp_path / "file"))
    device = Hardware("here", {"fp32": 1.0}, (Memory("DRAM", None, 1.0),), sources={"x": "y"})
    with pytest.raises(mw.MemoryWallError, match="cannot be written"):
        save_here(device, 1)


def test_a_save_that_is_cut_short_leaves_the_old_file(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = here_path().read_text()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(mw.MemoryWallError, match="No space left on device"):
        save_here(mw.hardware("here"), 1)
    assert here_path().read_text() == before
    assert not list(measured.glob("hardware/.*"))
