"""``memorywall trace``: what it prints, and what it says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memorywall.app.cli import main

FILE = """
import torch

def make():
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())

class Odd(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.bilinear(x, x, x.new_ones(3, 4, 4))

class Keeps(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("k_cache", torch.zeros(1, 16, 4))
        self.register_buffer("v_cache", torch.zeros(1, 16, 4))

    def forward(self, x):
        return torch.bmm(torch.bmm(x, self.k_cache.transpose(1, 2)), self.v_cache)

class Branch(torch.nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x
"""


@pytest.fixture
def place(tmp_path: Path) -> str:
    path = tmp_path / "model.py"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def test_text(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", f"{place}:make", "--input", "float32[2,4]", "--on", "h100-sxm"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    out = " ".join(text.split())
    # 2 x 3 outputs of 4 multiply-adds, and 6 relus; 8 + 12 + 3 + 6 numbers and 6 + 6.
    assert "15 parameters (fp32), 54 FLOP, 164 B as PyTorch's operators move them" in out
    # The relu rides on the product, whose output is neither written nor read: 116 bytes.
    assert "116 B fused" in out
    assert "100.0% of 2 operators" in out
    assert "one traced pass (encode) over float32[2,4]" in out


def test_json(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--input", "float32[2,4]", "--on", "h100-sxm", "--json", "--traffic", "unfused"]
    assert main(["trace", f"{place}:make", *words]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["schema"] == "memorywall.trace/1"
    assert (record["flops"], record["moved_bytes"], record["parameters"]) == (54, 164, 15)
    assert record["traffic"] == {"activation": 104, "weight": 60}
    assert [(op["name"], op["kind"]) for op in record["ops"]] == [
        ("Sequential.0.addmm", "gemm"), ("Sequential.1.relu", "elementwise"),
    ]  # fmt: skip
    assert record["analysis"]["moved_bytes"] == 164


def test_training(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "memory.svg"
    words = ["--input", "float32[2,4]", "--train", "--optimizer", "sgd", "--figure", str(figure)]
    assert main(["trace", f"{place}:make", *words, "--on", "h100-sxm"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Sequential, 15 parameters: training peaks at ")
    # Forward the product's 48, relu's 6, and the sum's 6; back to the weight 48, to relu's input
    # and the bias 6 each; a sum for each of 15 weights.
    assert "One step on float32[2,4] does 135 FLOP" in out
    for word in ("at the peak, by module", "optimizer states", "100.0% of", "optimizer sgd"):
        assert word in out
    rows = [line.split()[:3] for line in out.splitlines()]
    assert ["forward", "60", "FLOP"] in rows
    assert ["backward", "60", "FLOP"] in rows
    assert ["optimizer", "15", "FLOP"] in rows
    assert "one training step over float32[2,4]" in out
    assert f"Drawn: {figure}" in out
    assert "backward" in figure.read_text()


def test_a_step_that_does_not_fit_is_reported_first(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Weights and gradients are 60 B each, inputs 32 B: more than 100 B.
    device = tmp_path / "tiny.toml"
    device.write_text(
        '[sources]\nme = "made up"\n[peaks]\nsource = "me"\nfp32 = "1 TFLOP/s"\n'
        '[[memories]]\nname = "DRAM"\nsource = "me"\ncapacity = "100 B"\nbandwidth = "1 GB/s"\n'
    )
    words = ["--input", "float32[2,4]", "--train", "--optimizer", "sgd", "--on", str(device)]
    assert main(["trace", f"{place}:make", *words]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("DOES NOT FIT: needs ")
    assert first.endswith(", tiny has 100 B")


def test_training_as_a_record(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--input", "input=float32[2,4]", "--phase", "train", "--accumulation", "2", "--json"]
    assert main(["trace", f"{place}:make", *words, "--optimizer", "sgd"]) == 0
    record = json.loads(capsys.readouterr().out)
    # Two batches of 60 and 60, the sum of their 15 gradients, and the optimizer's 15.
    assert (record["phase"], record["flops"]) == ("train", 2 * 120 + 15 + 15)
    assert record["inputs"] == ["input float32[2,4]"]
    assert record["memory"]["schema"] == "memorywall.training/1"
    assert record["memory"]["at_peak"]["weights"] == 60
    assert {op["name"].split(".")[0] for op in record["ops"]} == {
        "forward", "backward", "optimizer",
    }  # fmt: skip


def test_buffers_that_hold_a_cache(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["trace", f"{place}:Keeps", "--input", "float32[1,1,4]", "--phase", "decode", "--json"]
    for names in (["*_cache"], ["k_cache", "v_cache"]):
        assert main([*words, *(word for name in names for word in ("--cache", name))]) == 0
        # 16 positions of 4 numbers of 4 bytes, twice.
        assert json.loads(capsys.readouterr().out)["traffic"]["kv_cache"] == 2 * 16 * 4 * 4
    assert main([*words, "--cache", "x_cache"]) == 2
    assert "no buffer is named 'x_cache'" in capsys.readouterr().err


def test_a_loss_from_a_file(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    loss = Path(place).with_name("loss.py")
    loss.write_text("def square(out):\n    return out.square().sum()\n", encoding="utf-8")
    words = ["trace", f"{place}:make", "--input", "float32[2,4]", "--train", "--json"]
    assert main([*words, "--loss", f"{loss}:square"]) == 0
    assert json.loads(capsys.readouterr().out)["conventions"]["loss"] == "as given"
    assert main([*words, "--loss", "square"]) == 2
    assert "must be FILE.py:name" in capsys.readouterr().err


def test_words_that_do_not_go_together(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["trace", f"{place}:make", "--input", "float32[2,4]"]
    for more, said in (
        (["--train", "--phase", "encode"], "--train conflicts with --phase encode"),
        (["--figure", "memory.svg"], "--figure requires --train"),
        (["--checkpointing"], "--checkpointing requires --train"),
        (["--optimizer", "adamw", "--backend", "cpu"], "--optimizer and --backend require --train"),
        (["--ops"], "--ops and --traffic require --on"),
        (["--depth", "2", "--json"], "--ops and --depth conflict with --json"),
        (["--device", "cuda"], "Write --backend cuda."),
        (["--phase", "encode", "--phase", "decode"], "--phase requires one value, got 2"),
        (["--seq", "2,048"], "--seq is ambiguous"),
        (["--depth", "-1"], "--depth must be a whole number from 1, got -1"),
        (["--phase", "decode", "--seq", "-3"], "seq_len must be a whole number from 1"),
        (["--train", "--backend", "cpu:abc"], "must be cpu or cuda, got 'cpu:abc'"),
    ):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err


def test_unknown_operators_are_reported(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", f"{place}:Odd", "--input", "float32[2,4]"]) == 0
    out = capsys.readouterr().out
    assert "50.0% of 2 operators" in out
    assert "@memorywall.formula('aten::_trilinear')" in out


def test_failures_leave_with_two(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", f"{place}:Branch", "--input", "float32[2,4]"]) == 2
    error = capsys.readouterr().err
    assert "in the module's forward (model.py, line 22, forward)" in error
    assert "Make the branch depend on shapes" in error
    assert main(["trace", f"{place}:make", "--input", "what"]) == 2
    assert "dtype and sizes" in capsys.readouterr().err
    assert main(["trace", f"{place}:none"]) == 2
    assert "has nothing called 'none'" in capsys.readouterr().err


def test_help_says_that_code_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "--help"]) == 0
    assert "THIS RUNS THE FILE" in capsys.readouterr().out
