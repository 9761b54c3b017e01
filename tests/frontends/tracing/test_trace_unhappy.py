"""Modules that cannot be traced, and questions that cannot be asked: where, why, what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import memorywall as mw
from memorywall.answer.trace import load_factory
from memorywall.core.errors import UnsupportedError


class Inner(nn.Module):  # type: ignore[misc]
    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.project = nn.Linear(4, 4)
        self.run = run

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.run(self.project(x))


class Outer(nn.Module):  # type: ignore[misc]
    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Inner(torch.relu), Inner(run)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def fault(run: Callable[..., Any], *inputs: Any) -> mw.MemoryWallError:
    with pytest.raises(mw.MemoryWallError) as raised:
        mw.trace(Outer(run), *(inputs or ("float32[2,4]",)))
    return raised.value


@pytest.mark.parametrize(
    "run",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[: int(x.max())],
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.tolist(),
    ],
)
def test_branches_on_data(run: Callable[..., Any]) -> None:
    error = fault(run)
    assert "in module 'blocks.1'" in error.message
    assert "test_trace_unhappy.py, line" in error.message
    assert "depends on the values of a tensor" in error.message
    assert "shapes" in error.hint


@torch.library.custom_op("memorywall_test::mystery", mutates_args=())  # type: ignore[untyped-decorator]
def mystery(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


def test_operators_without_shapes() -> None:
    error = fault(mystery)
    assert "in module 'blocks.1'" in error.message
    assert "does not declare its output shapes" in error.message
    assert "mystery" in error.message
    assert "register_fake" in error.hint


def test_modules_that_fail_half_way() -> None:
    error = fault(lambda x: x @ torch.zeros(5, 5))
    # Two linear layers and a relu ran, and zeros.
    assert "in module 'blocks.1'" in error.message
    assert "after 4 operators" in error.message
    assert "RuntimeError" in error.message

    def broken(_: Any) -> Any:
        raise KeyError("lost")

    assert "KeyError: 'lost'" in fault(broken).message


def test_fixed_devices_are_traced_and_reported() -> None:
    def elsewhere(x: torch.Tensor) -> torch.Tensor:
        ones = torch.ones(4, device="cuda:1") + torch.arange(4, device="cpu")
        return x.cuda() + ones.to("cuda") + torch.tensor([1.0, 2.0, 3.0, 4.0], device="cpu")

    traced = mw.trace(Outer(elsewhere), "float32[2,4]")
    assert any("names the devices cuda, cuda:1" in note for note in traced.notes)


def test_constants_on_the_cpu_have_values() -> None:
    def uses(x: torch.Tensor) -> torch.Tensor:
        steps = torch.linspace(0, 1, 3, device="cpu").tolist()
        return x * steps[2]

    assert mw.trace(Outer(uses), "float32[2,4]").coverage.of_operators == 1.0


def test_nothing_stays_behind_after_a_failure() -> None:
    fault(lambda x: x.nonzero())
    assert torch.ones(3).device.type == "cpu"
    assert nn.Linear(2, 2)(torch.ones(1, 2)).device.type == "cpu"
    assert not nn.modules.module._global_forward_hooks


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (("float[",), "dtype and sizes"),
        (("float33[2]",), "dtype and sizes"),
        (("float32[99999999999999]",), "at most 2^40"),
    ],
)
def test_inputs_that_are_none(inputs: tuple[str, ...], said: str) -> None:
    with pytest.raises(mw.MemoryWallError) as raised:
        mw.trace(nn.ReLU(), *inputs)
    assert said in raised.value.message


def test_a_text_that_is_not_a_module() -> None:
    with pytest.raises(mw.MemoryWallError, match="must be a module"):
        mw.trace(3)
    with pytest.raises(mw.MemoryWallError, match=r"must return a torch\.nn\.Module, got 3"):
        mw.trace(lambda: 3)
    with pytest.raises(mw.MemoryWallError, match="ZeroDivisionError"):
        mw.trace(lambda: nn.Linear(1 // 0, 1))
    with pytest.raises(mw.MemoryWallError, match="phase must be one of"):
        mw.trace(nn.ReLU(), "float32[2]", phase="training")
    with pytest.raises(mw.MemoryWallError, match="causal must be half or full"):
        mw.trace(nn.ReLU(), "float32[2]", causal="none")
    with pytest.raises(mw.MemoryWallError, match="cannot build modules"):
        mw.trace(nn.ReLU, "float32[2]", dtype="int4")
    with pytest.raises(mw.MemoryWallError, match="with its namespace"):
        mw.formula("relu")


def test_a_trace_is_of_one_pass() -> None:
    traced = mw.trace(nn.Linear(4, 4), "float32[2,4]")
    assert mw.analyze(traced, on="h100-sxm", phase="encode").flops == traced.flops
    for words in ({"batch_size": 7}, {"weights": "int8"}, {"phase": "decode"}, {"seq_len": 3}):
        with pytest.raises(mw.MemoryWallError, match="conflicts with the trace of"):
            mw.analyze(traced, on="h100-sxm", **words)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tmp_path / "good.py"
    good.write_text("import torch\ndef make():\n    return torch.nn.Linear(4, 3)\n")
    assert mw.trace(load_factory(f"{good}:make"), "float32[1,4]").parameters == 15
    bad = tmp_path / "bad.py"
    bad.write_text("raise ValueError('no')\n")
    for place, said in (
        ("good.py", "must be FILE.py:name"),
        (f"{tmp_path}/none.py:make", "There is no file"),
        (f"{good}:maker", "has nothing called 'maker'"),
        (f"{bad}:make", "failed while it was run: ValueError: no"),
    ):
        with pytest.raises(mw.MemoryWallError) as raised:
            load_factory(place)
        assert said in raised.value.message
    assert "make" in raised.value.hint or raised.value.hint
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(mw.MemoryWallError, match="downloaded with a model"):
        load_factory(f"{good}:make")


def test_code_that_came_with_a_model_is_refused() -> None:
    class Downloaded(nn.Linear):  # type: ignore[misc]
        pass

    Downloaded.__module__ = "transformers_modules.someone.model"
    with pytest.raises(mw.MemoryWallError, match="downloaded with a model"):
        mw.trace(Downloaded(2, 2), "float32[1,2]")
    with pytest.raises(mw.MemoryWallError, match="downloaded with a model"):
        mw.trace(lambda: Downloaded(2, 2), "float32[1,2]")


def test_importing_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import memorywall as mw\n"
        "try:\n    mw.trace(lambda: 1)\n"
        "except mw.MemoryWallError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tracing a module requires torch, which is not installed." in run.stdout
    assert "memorywall[measure]" in run.stdout


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ((), "too few inputs"),
        ((("float32[2,8]",),), "not a tensor"),
        (({"x": "float32[2,8]"},), "not a tensor"),
    ],
)
def test_a_text_that_is_not_a_input_is_reported(inputs: tuple[Any, ...], said: str) -> None:
    with pytest.raises(UnsupportedError, match=said) as caught:
        mw.trace(nn.Linear(8, 8), *inputs)
    assert "--input" in str(caught.value)
