"""Modules that leave, use threads, print, are lazy, or meet wrong types: said, never counted."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import memorywall as mw
from memorywall.app.cli import main
from memorywall.core.errors import MemoryWallError, UnsupportedError

Captured = pytest.CaptureFixture[str]


class Threaded(nn.Module):  # type: ignore[misc]
    """Runs one of its layers in a thread, and perhaps another here."""

    def __init__(self, *, pool: bool = False, here: bool = False) -> None:
        super().__init__()
        self.layer, self.pool, self.here = nn.Linear(8, 8), pool, here

    def forward(self, x: torch.Tensor) -> Any:
        if self.here:
            x = self.layer(x)
        if self.pool:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(self.layer, x).result()
        out: list[torch.Tensor] = []
        thread = threading.Thread(target=lambda: out.append(self.layer(x)))
        thread.start()
        thread.join()
        return out[0]


@pytest.mark.parametrize("words", [{}, {"pool": True}, {"here": True}])
def test_operators_in_other_threads_are_refused(words: dict[str, bool]) -> None:
    with pytest.raises(UnsupportedError, match="operators in other threads"):
        mw.trace(Threaded(**words), "float32[2,8]")


def test_operators_in_other_threads_of_a_training_step_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="operators in other threads"):
        mw.trace(Threaded(here=True), "float32[2,8]", phase="train")


class Watches(nn.Module):  # type: ignore[misc]
    """Starts a thread that computes nothing, as a progress bar does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        out: torch.Tensor = self.layer(x)
        return out


def test_a_thread_without_operators_is_allowed() -> None:
    # 2 rows of 8 x 8 multiply-adds.
    assert mw.trace(Watches(), "float32[2,8]").program.work.flops == 2 * 2 * 8 * 8


class Leaves(nn.Module):  # type: ignore[misc]
    """Leaves the program in its forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, _x: torch.Tensor) -> None:
        sys.exit(7)


def test_a_module_that_leaves() -> None:
    for phase in (None, "train"):
        with pytest.raises(UnsupportedError, match="it leaves the program"):
            mw.trace(Leaves(), "float32[2,8]", phase=phase)
    with pytest.raises(UnsupportedError, match=r"The factory failed .* SystemExit: 3"):
        mw.trace(lambda: sys.exit(3), "float32[2,8]")


def test_a_lazy_module_has_no_sizes() -> None:
    lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU())
    for source in (lazy, lambda: nn.Sequential(nn.LazyConv1d(4, 3)), nn.LazyBatchNorm1d()):
        for phase in (None, "train"):
            with pytest.raises(UnsupportedError, match="has no size: the module is lazy"):
                mw.trace(source, "float32[2,8]", phase=phase)
    lazy(torch.zeros(2, 8))
    # 2 x 4 outputs of 8 multiply-adds, and as many comparisons.
    assert mw.trace(lazy, "float32[2,8]").program.work.flops == 2 * 2 * 4 * 8 + 2 * 4


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (nn.Linear(4, 4), "int64[2,4]"),
        (nn.Linear(4, 4), "float64[2,4]"),
        (nn.Linear(4, 4), "bf16[2,4]"),
        (nn.Linear(4, 4, bias=False), "int32[2,3,4]"),
        (nn.Bilinear(4, 4, 2), ("float32[2,4]", "float64[2,4]")),
        (nn.Conv2d(3, 4, 3), "int64[1,3,8,8]"),
        (nn.Embedding(8, 4), "float32[2,4]"),
        (nn.Softmax(-1), "int64[2,4]"),
        (nn.GELU(), "int64[2,4]"),
        (nn.SiLU(), "int32[2,4]"),
        (nn.LayerNorm(4), "int64[2,4]"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, nn.Module) else str(one),
)
def test_types_that_no_kernel_takes(module: nn.Module, given: str | tuple[str, ...]) -> None:
    texts = (given,) if isinstance(given, str) else given
    short = {"bf16": "bfloat16"}
    real = []
    for text in texts:
        dtype, _, sizes = text.removesuffix("]").partition("[")
        shape = [int(size) for size in sizes.split(",")]
        real.append(torch.ones(shape, dtype=getattr(torch, short.get(dtype, dtype))))
    with pytest.raises((RuntimeError, NotImplementedError)):
        module(*real)  # the oracle: PyTorch refuses it on real tensors
    with pytest.raises(UnsupportedError, match="The trace stopped"):
        mw.trace(module, *texts)


def test_prints_of_a_module_stay_out_of_the_record(capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "prints.py"
    file.write_text(
        "import torch\nprint('read')\n\n\nclass Prints(torch.nn.Module):\n"
        "    def forward(self, x):\n        print('run')\n        return x + 1\n",
        encoding="utf-8",
    )
    assert main(["trace", f"{file}:Prints", "--input", "float32[2,4]", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["name"] == "Prints"
    assert err == "read\nrun\n"


@pytest.mark.parametrize("place", ["sys.exit(7)", "raise KeyError", "1 / 0", "import nothing"])
def test_a_file_that_fails(capsys: Captured, tmp_path: Path, place: str) -> None:
    file = tmp_path / "fails.py"
    file.write_text(f"import sys\n{place}\n", encoding="utf-8")
    assert main(["trace", f"{file}:make", "--input", "float32[2,4]"]) == 2
    assert "failed while it was run" in capsys.readouterr().err


def test_an_optimizer_is_looked_up_before_the_trace() -> None:
    made = []

    def make() -> nn.Module:
        made.append(1)
        return nn.Linear(4, 4)

    with pytest.raises(MemoryWallError, match="optimizer 'adamx' is not known"):
        mw.trace(make, "float32[2,4]", phase="train", optimizer="adamx")
    assert not made


# Parts of a random module: each without a fault, or with one.
class _Calls(nn.Module):  # type: ignore[misc]
    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def _raise(_x: torch.Tensor) -> None:
    raise ValueError("\x1b[31m" + "long " * 500)


_PARTS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(8, 8),
    "wide": lambda: nn.Linear(16, 8),
    "double": lambda: nn.Linear(8, 8, dtype=torch.float64),
    "embedding": lambda: nn.Embedding(16, 8),
    "norm": lambda: nn.LayerNorm(8),
    "conv": lambda: nn.Conv1d(8, 8, 3),
    "lstm": lambda: nn.LSTM(8, 8),
    "attention": lambda: nn.MultiheadAttention(8, 2),
    "lazy": lambda: nn.LazyLinear(8),
    "threaded": Threaded,
    "leaves": Leaves,
    "nothing": lambda: _Calls(lambda _: None),
    "a word": lambda: _Calls(lambda _: "word"),
    "a dict": lambda: _Calls(lambda x: {"x": x}),
    "a value": lambda: _Calls(lambda x: x[x > 0]),
    "a branch": lambda: _Calls(lambda x: x if bool(x.sum() > 0) else -x),
    "an item": lambda: _Calls(lambda x: x * x.max().item()),
    "numpy": lambda: _Calls(lambda x: torch.from_numpy(x.numpy())),
    "a device": lambda: _Calls(lambda x: x + torch.ones(8, device="cuda")),
    "raises": lambda: _Calls(_raise),
    "changes": lambda: _Calls(lambda x: x.add_(1)),
    "empty": lambda: _Calls(lambda x: x[..., :0]),
    "huge": lambda: _Calls(lambda x: x.new_empty(2**40, 2**12)),
}


# A thread of a module that is fed a wrong shape ends with torch's error there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(st.sampled_from(sorted(_PARTS)), min_size=1, max_size=4),
    dtype=st.sampled_from(["float32", "float64", "bf16", "int64", "bool", "complex64"]),
    sizes=st.lists(st.sampled_from([0, 1, 2, 8, 16]), max_size=3),
    phase=st.sampled_from([None, "train", "encode", "prefill", "decode"]),
    factory=st.booleans(),
)
def test_random_modules(
    parts: list[str], dtype: str, sizes: list[int], phase: str | None, factory: bool
) -> None:
    def make() -> nn.Module:
        return nn.Sequential(*(_PARTS[part]() for part in parts))

    text = f"{dtype}[{','.join(map(str, sizes))}]"
    refusal = ""
    try:
        traced = mw.trace(make if factory else make(), text, phase=phase)
        mw.analyze(traced, on="h100-sxm")
    except MemoryWallError as error:
        refusal = str(error)
    assert len(refusal) < 2000
    assert refusal or not {"lazy", "threaded", "leaves", "raises"} & set(parts)
