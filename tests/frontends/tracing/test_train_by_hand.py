"""One training step counted by hand: every FLOP and byte of small modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import memorywall as mw
from memorywall.core.errors import InvalidInputError
from memorywall.core.program import Op
from memorywall.passes.collapse import fuse_traced
from tests.training import train

B, D, F, V = 16, 64, 128, 32  # batch, inputs, hidden, outputs
WEIGHTS = D * F + F + F * V + V


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(D, F), nn.ReLU(), nn.Linear(F, V))


def step(**words: Any) -> mw.Traced:
    return train(mlp, f"float32[{B},{D}]", **words)


def of(traced: mw.Traced, phase: str, kind: str = "") -> list[Op]:
    return [
        op
        for path, op, _ in traced.program.walk()
        if path.startswith(f"{phase}.") and kind in ("", op.kind)
    ]


def test_products_go_back_as_two_products_each() -> None:
    traced = step(optimizer="sgd")
    first, second = 2 * B * D * F, 2 * B * F * V
    assert [op.flops for op in of(traced, "forward", "gemm")] == [first, second]
    # The second layer's weight and input, the first layer's weight; the batch's gradient is not
    # needed.
    assert sorted(op.flops for op in of(traced, "backward", "gemm")) == [second, second, first]
    assert traced.by_module(1)["backward"][0] == (
        first + 2 * second
        # relu's gradient; the sums over the batch that make the biases' gradients
        + B * F + B * V + B * F
    )  # fmt: skip


def test_bytes_of_the_forward_and_backward_passes() -> None:
    traced = step(optimizer="sgd")
    forward, backward = (of(traced, phase) for phase in ("forward", "backward"))
    # Batch in, hidden out; relu in and out; hidden in, scores out; scores in, the loss out.
    activations = B * D + B * F + 2 * B * F + B * F + B * V + B * V + 1
    assert sum(op.moved_bytes for op in forward) == 4 * (WEIGHTS + activations)
    # The scores' gradient is a single one, expanded: 1 number. It is made of the loss (1 and 1).
    # To the hidden layer: 1, the weight, out [B, F]; to the weight: 1, hidden; to the bias: 1.
    scores = 2 + (1 + F * V + B * F) + (1 + B * F + F * V) + (1 + V)
    # relu: the gradient and its result in, out; the weight: gradient and batch; the bias: gradient.
    hidden = 3 * B * F + (B * F + B * D + D * F) + (B * F + F)
    assert sum(op.moved_bytes for op in backward) == 4 * (scores + hidden)
    traffic = {role: sum(op.traffic.get(role, 0) for op in backward) for role in traced.traffic}
    assert traffic["gradient"] == 4 * WEIGHTS
    assert traffic["weight"] == 4 * F * V


def test_bytes_of_plain_sgd() -> None:
    # The gradient is added to the weight: both read, the weight written; one FLOP by the table.
    optimizer = of(step(optimizer="sgd"), "optimizer")
    assert {op.kind for op in optimizer} == {"optimizer"}
    assert sum(op.moved_bytes for op in optimizer) == 4 * 3 * WEIGHTS
    assert sum(op.flops for op in optimizer) == WEIGHTS


def test_bytes_of_adamw() -> None:
    traced = step(optimizer="adamw")
    work = [op.work for op in of(traced, "optimizer")]
    # For every number: decay reads and writes the weight (2); lerp the first moment, with the
    # gradient (3); times beta the second (2), plus the gradient's square, which stands twice (3);
    # its root (2), that over a number (2), plus eps in place (2); and the weight less the first
    # moment over it (4). For each of 4 tensors a count of steps, read and written.
    assert sum(w.moved_bytes for w in work) == 4 * 20 * WEIGHTS + 4 * 2 * 4
    # decay 1, lerp 3, times 1, addcmul 3, root 1, over 1, plus 1, addcdiv 3; and the counts.
    assert sum(w.flops for w in work) == 14 * WEIGHTS + 4
    # An engine reads weight, gradient and moments once, and writes all but the gradient.
    fused = fuse_traced(traced.program)[0]
    kernels = [op for path, op, _ in fused.walk() if path.startswith("optimizer.") and op.runs]
    assert sum(op.moved_bytes for op in kernels) == 4 * 7 * WEIGHTS + 4 * 2 * 4
    assert {op.kind for op in kernels} == {"optimizer"}
    assert sum(op.flops for op in kernels) == 14 * WEIGHTS + 4


@pytest.mark.parametrize(("options", "moved"), [({"foreach": True}, 20), ({"fused": True}, 7)])
def test_optimizers_over_all_weights_at_once(options: dict[str, bool], moved: int) -> None:
    traced = step(optimizer="adamw", optimizer_options=options)
    work = [op.work for op in of(traced, "optimizer")]
    assert sum(w.flops for w in work) == pytest.approx(14 * WEIGHTS, abs=20)
    assert sum(w.moved_bytes for w in work) == pytest.approx(4 * moved * WEIGHTS, abs=100)
    assert traced.coverage.unknown == ()


def test_momentum_without_decay_in_one_kernel() -> None:
    options = {"momentum": 0.9, "fused": True}
    work = [op.work for op in of(step(optimizer="sgd", optimizer_options=options), "optimizer")]
    # momentum times its factor plus the gradient, onto the weight; reads three, writes two.
    assert sum(w.flops for w in work) == 3 * WEIGHTS
    assert sum(w.moved_bytes for w in work) == 4 * 5 * WEIGHTS


def test_batches_add_up() -> None:
    once, twice = step(optimizer="sgd"), step(optimizer="sgd", accumulation=2)
    passes = sum(once.by_module(1)[phase][0] for phase in ("forward", "backward"))
    # The second batch's gradients are added to the first's.
    assert twice.flops == once.flops + passes + WEIGHTS
    assert (once.batch_size, twice.batch_size) == (B, 2 * B)
    assert twice.by_module(1)["optimizer"] == once.by_module(1)["optimizer"]


def test_autocast_multiplies_in_16_bits() -> None:
    traced = step(optimizer="sgd", autocast="bf16")
    products = [op for phase in ("forward", "backward") for op in of(traced, phase, "gemm")]
    assert {op.dtype for op in products} == {"bf16"}
    plain = [op for phase in ("forward", "backward") for op in of(step(), phase, "gemm")]
    assert sum(op.flops for op in products) == sum(op.flops for op in plain)
    answer = mw.analyze(traced, on="h100-sxm")
    assert answer.conventions["arithmetic"] == "bf16"
    # The gradients are those of fp32 weights.
    assert {t.format.name for op in of(traced, "optimizer") for t in op.reads} == {"fp32"}


def test_a_checkpointed_block_runs_forward_twice() -> None:
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(mlp() for _ in range(3))
            self.back = nn.ModuleList(nn.Linear(V, D) for _ in range(3))
            self.checkpointed = False

        def forward(self, x: Any) -> Any:
            for layer, back in zip(self.layers, self.back, strict=True):
                x = back(x + 0 if layer is None else self._run(layer, x))
            return x

        def _run(self, layer: Any, x: Any) -> Any:
            if not self.checkpointed:
                return layer(x)
            return torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)

        def gradient_checkpointing_enable(self) -> None:
            self.checkpointed = True

    plain, again = (
        train(Net, f"float32[{B},{D}]", optimizer="sgd", checkpointing=on) for on in (False, True)
    )
    # A recomputation stops where the last array that is kept is made: relu's, so that the second
    # product of each block does not run again.
    extra = 3 * (2 * B * D * F + B * F)
    assert again.flops - plain.flops == extra
    assert again.by_module(1)["forward"] == plain.by_module(1)["forward"]


def plain_layer() -> nn.Module:
    return nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, D))


@pytest.mark.parametrize(
    ("kinds", "repeats"),
    [((plain_layer,), 6), ((plain_layer, lambda: nn.Linear(D, D)), 3)],
    ids=["alike", "alternating"],
)
@pytest.mark.parametrize("words", [{}, {"optimizer_options": {"fused": True}}], ids=str)
def test_layers_fold_in_every_phase(
    kinds: tuple[Callable[[], nn.Module], ...], repeats: int, words: dict[str, Any]
) -> None:
    layers = lambda: nn.Sequential(*(kind() for _ in range(repeats) for kind in kinds))  # noqa: E731
    traced = train(layers, f"float32[{B},{D}]", **words)
    folded = {block.name.split(".")[0] for block in traced.program.blocks if block.repeat > 1}
    assert folded == {"forward", "backward", *(() if words else ("optimizer",))}
    # Every array has one name in all phases, so that what is resident counts once.
    weights = repeats * (D * D + D) * (2 if len(kinds) == 1 else 3)
    assert traced.program.parameters == traced.parameters == weights
    resident = traced.program.resident_bytes()
    assert traced.memory is not None
    most = traced.memory.most
    assert resident["weight"] == most["gradients"] == 4 * weights
    if not words:  # one kernel over all gradients is independent of the number of layers
        assert resident["gradient"] == most["gradients"]
    assert resident["optimizer_state"] == most["optimizer_states"]


def test_the_price_of_a_step() -> None:
    traced = step(optimizer="adam")
    assert traced.memory is not None
    answer = mw.analyze(traced, on="h100-sxm")
    assert answer.phase == "train"
    # The live arrays at the peak, by hand in test_torch_memory.
    assert answer.footprint.total == traced.memory.peak_bytes
    assert answer.footprint.optimizer_states == traced.memory.at_peak["optimizer_states"]
    assert any("at the peak of the step, in the optimizer phase" in note for note in answer.notes)
    # It was traced as on a CPU, and says so on a GPU.
    assert any("run on the CPU" in note and "backend='cuda'" in note for note in answer.notes)
    assert answer.tokens_per_s == pytest.approx(B / answer.latency_s)
    assert mw.headline(answer).startswith("Sequential on h100-sxm, one training step over float32")
    unfused = mw.analyze(traced, on="h100-sxm", traffic="unfused")
    assert unfused.moved_bytes == traced.moved_bytes > answer.moved_bytes
    assert unfused.flops == answer.flops == traced.flops
    record = traced.to_dict()
    assert record["memory"]["peak_bytes"] == traced.memory.peak_bytes


def test_operators_without_a_formula_are_flagged_both_ways() -> None:
    class Far(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ModuleDict({"points": nn.Linear(3, 3, bias=False)})

        def forward(self, x: Any) -> Any:
            y = self.inner["points"](x)
            return nn.functional.bilinear(y, y, x.new_ones(5, 3, 3))

    traced = train(Far, "float32[4,3]", optimizer="sgd")
    (unknown,) = traced.coverage.unknown
    assert (unknown.op, unknown.calls) == ("aten::_trilinear", 3)
    # Points in, once, with 5 x 3 x 3 ones, and 4 x 5 out; back to either side: the sum's one
    # gradient, the ones and the other side in, a gradient of the points out.
    assert unknown.moved_bytes == 4 * (12 + 45 + 20) + 2 * 4 * (1 + 45 + 12 + 12)
    assert 0 < traced.coverage.of_operators < 1
    notes = mw.analyze(traced, on="h100-sxm").notes
    assert any("aten::_trilinear has no FLOP formula" in note for note in notes)


def test_what_is_for_another_phase_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="optimizer is 'sgd', but that is for training"):
        mw.trace(mlp, "float32[1,64]", optimizer="sgd")
    with pytest.raises(InvalidInputError, match="seq_len is 8, but a training step has no cache"):
        mw.trace(mlp, "float32[1,64]", phase="train", seq_len=8)
    with pytest.raises(mw.MemoryWallError, match="requires a traced module"):
        mw.analyze("gpt2", on="h100-sxm", phase="train")


def test_norms_embeddings_and_losses_go_back() -> None:
    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(V, D)
            self.norm = nn.LayerNorm(D)
            self.head = nn.Linear(D, V, bias=False)

        def forward(self, ids: Any) -> Any:
            scores = self.head(self.norm(self.table(ids)))
            return nn.functional.cross_entropy(scores, ids)

    traced = train(Net, f"int64[{B}]", optimizer="sgd")
    assert traced.coverage.unknown == ()
    backward = {op.name.rpartition(".")[2]: op for op in of(traced, "backward")}
    # 13 for every number of a norm that learns two vectors; rows are added to the table; the
    # softmax' gradient is 4 for every score.
    assert backward["native_layer_norm_backward"].flops == 13 * B * D
    assert backward["embedding_dense_backward"].flops == B * D
    assert backward["_log_softmax_backward_data"].flops == 4 * B * V
    # The table's gradient is as large as the table: gradients and indices in, all rows out.
    assert backward["embedding_dense_backward"].moved_bytes == 4 * B * D + 8 * B + 4 * V * D
