"""Differences of encoders, derived by hand in the comment above each number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import memorywall as mw
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.families import family_of

pytestmark = pytest.mark.sampled(every=4)  # the other models are in the slow tier

BF16 = FORMATS["bf16"]
# D 4, N 2, H 2, F 6, V 9, three layers.
SIZES = {
    "vocab_size": 9, "hidden_size": 4, "num_attention_heads": 2, "num_hidden_layers": 3,
    "intermediate_size": 6, "max_position_embeddings": 16,
}  # fmt: skip
INT8: dict[str, Any] = {"weights": "int8", "activations": "int8", "traffic": "unfused"}


def work(config: dict[str, Any], **words: Any) -> dict[str, tuple[Any, Any]]:
    """Return FLOPs and bytes by operator for two texts of five tokens; an element is a byte."""
    words = {"batch_size": 2, "seq_len": 5, **INT8, **words}
    answer = mw.analyze({**SIZES, **config}, on="h100-sxm", **words)
    return {op.name: (op.flops, op.moved_bytes) for op in answer.ops}


@given(st.integers(1, 40), st.integers(1, 45))
def test_pairs_of_who_looks_both_ways(tokens: int, window: int) -> None:
    pairs = Forward(1, tokens, 0, BF16, BF16, BF16).pairs(causal=False, window=window)
    near = [abs(i - j) < window for i in range(tokens) for j in range(tokens)]
    assert pairs == sum(near)


def test_albert_keeps_one_layer_and_executes_twelve() -> None:
    # A layer: four projections of 768 x 768, two of 768 x 3072, their biases 5 x 768 + 3072, and
    # two norms of 2 x 768  = 7,087,872. Outside: 30000 + 512 + 2 rows of 128, their norm 256, the
    # projection 128 x 768 + 768; the transform 768 x 128 + 128, its norm 256, the bias 30000.
    layer = 4 * 768 * 768 + 2 * 768 * 3072 + 5 * 768 + 3072 + 4 * 768
    outside = 30514 * 128 + 256 + 128 * 768 + 768 + 768 * 128 + 128 + 256 + 30000
    answer = mw.analyze("albert-base-v2", on="h100-sxm", weights="int8")
    assert answer.parameters == layer + outside
    assert answer.footprint.weights == layer + outside
    moved = sum(op.traffic.get("weight", 0) for op in answer.ops if op.name.startswith("layers."))
    assert moved == 12 * layer


def test_albert_groups_share_out_the_layers() -> None:
    # Three layers among two groups: the first two, then the last; each of two inner layers.
    config = {"model_type": "albert", "num_hidden_groups": 2, "inner_group_num": 2}
    ops = mw.analyze({**SIZES, **config}, on="h100-sxm").ops
    counts = {op.name.partition(".")[0]: op.count for op in ops if "q_proj" in op.name}
    assert counts == {"layers_0_0": 2, "layers_0_1": 2, "layers_1_0": 1, "layers_1_1": 1}


def test_modernbert_sees_its_neighbours() -> None:
    # Of four tokens seen beside itself, two on each side: 3 + 4 + 5 + 4 + 3 = 19 pairs of five
    # tokens, else 25. Layer 0 and 3 look all around, 1 and 2 near. 2 B N H FLOPs a pair.
    config = {"model_type": "modernbert", "num_hidden_layers": 4, "local_attention": 4}
    found = work(config)
    assert found["first_layer.attention.scores"][0] == 2 * 2 * 2 * 2 * 25
    assert found["layers.attention.scores"][0] == 2 * 2 * 2 * 2 * 25
    assert found["local_layers.attention.scores"][0] == 2 * 2 * (2 * 2 * 2 * 19)
    assert work(config, causal="full")["local_layers.attention.scores"][0] == 2 * 16 * 25
    # The embeddings are normalised, so that the first layer is not again; no biases.
    assert "first_layer.attention_norm" not in found
    assert found["layers.attention_norm"] == (6 * 40, 40 + 4 + 40)


def test_modernbert_pools_by_the_mean() -> None:
    config = {
        "model_type": "modernbert", "architectures": ["ModernBertForSequenceClassification"],
        "classifier_pooling": "mean", "num_labels": 3,
    }  # fmt: skip
    found = work(config)
    # Ten rows of four are summed into two; dense, activation, norm and classifier on two rows.
    assert found["head.pool"] == (40, 40 + 8)
    assert found["head.transform"] == (2 * 2 * 16, 8 + 16 + 8)
    assert found["head.transform_activation"] == (9 * 8, 16)
    assert found["head.classifier"] == (2 * 2 * 12, 8 + 12 + 3 + 6)
    nothing = work(config, logits="none")
    assert [nothing[name] for name in nothing if name.startswith("head.pool")] == [(0, 0)]
    assert nothing["head.norm"] == found["head.norm"]  # the mean did not touch what it reads


def test_deberta_scores_distances() -> None:
    # DeBERTa 1 reads as many distances to each side as there are tokens: ten rows of the table.
    config = {
        "model_type": "deberta", "relative_attention": True, "pos_att_type": "c2p|p2c",
        "position_biased_input": False,
    }  # fmt: skip
    found = work(config)
    assert found["distances.rows"] == (0, 40 + 40)
    layers, attention = 3, "layers.attention"
    # Ten rows through 4 x 4, with a bias for queries only; however many texts there are.
    assert found[f"{attention}.distances_k_proj"] == (layers * 320, layers * (40 + 16 + 40))
    assert found[f"{attention}.distances_q_proj"] == (layers * 320, layers * (40 + 20 + 40))
    # Twenty vectors of two with ten rows: 2 x 2 FLOPs each.
    assert found[f"{attention}.c2p"] == (layers * 800, layers * (40 + 40 + 200))
    assert found[f"{attention}.p2c"] == found[f"{attention}.c2p"]
    # Four heads of 25 pairs; each term is added to them.
    assert found[f"{attention}.scores_add_0"] == (layers * 100, layers * (100 + 200 + 100))
    fused = work(config, traffic="fused")
    assert fused[f"{attention}.scores_add_1"] == (layers * 100, 0)
    assert fused[f"{attention}.softmax"] == (layers * 600, 0)


def test_deberta_2_shares_the_projections_of_words() -> None:
    config = {
        **SIZES, "model_type": "deberta-v2", "relative_attention": True, "pos_att_type": "c2p|p2c",
        "position_buckets": 3, "norm_rel_ebd": "layer_norm",
    }  # fmt: skip
    shared, own = (mw.model({**config, "share_att_key": share}) for share in (True, False))
    assert own.parameters - shared.parameters == 3 * 2 * (16 + 4)


def test_deberta_convolves_beside_the_first_layer() -> None:
    config = {"model_type": "deberta-v2", "conv_kernel_size": 3, "conv_act": "gelu"}
    found = work(config)
    # Ten rows through three taps of 4 x 4, and a bias.
    assert found["convolution.product"] == (2 * 3 * 16 * 10, 40 + 48 + 4 + 40)
    assert list(found).index("joined.norm") < list(found).index("layers.attention.q_proj")
    names = [op.count for op in mw.analyze({**SIZES, **config}, on="h100-sxm", ceilings="spec").ops]
    assert (names[2], names[-1]) == (1, 2)


def test_mpnet_looks_its_bias_up_once() -> None:
    found = work({"model_type": "mpnet", "relative_attention_num_buckets": 7})
    # Seven rows of two heads, for 25 pairs that all texts share; added in each of three layers.
    assert found["distances.bias"] == (0, 14 + 50)
    assert found["layers.attention.scores_add_0"] == (3 * 100, 3 * (100 + 50 + 100))


def test_narrow_embeddings_are_projected() -> None:
    found = work({"model_type": "electra", "embedding_size": 3})
    assert found["embeddings.norm"] == (7 * 30, 30 + 6 + 30)
    assert found["embeddings.projection"] == (2 * 10 * 12, 30 + 12 + 4 + 40)
    assert "embeddings.projection" not in work({"model_type": "electra", "embedding_size": 4})


def test_idle_weights_are_resident_and_never_read() -> None:
    # The head for contacts: three layers by two heads, and a bias.
    answer = mw.analyze({**SIZES, "model_type": "esm"}, on="h100-sxm", seq_len=5, weights="int8")
    moved = sum(op.traffic.get("weight", 0) / op.count for op in answer.ops)
    # 9 words, of which five are read, 16 positions, of which five; the rest are read whole.
    outside = answer.footprint.weights - (4 + 11) * 4 - 7
    layer = 4 * 16 + 2 * 24 + 5 * 4 + 6 + 4 * 4
    assert moved == outside - 2 * layer


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("roberta-base", 512),  # 514 rows, the first two for padding
        ("microsoft/mpnet-base", 512),
        ("distilbert-base-uncased", 512),
        ("answerdotai/ModernBERT-base", 8192),
        ("facebook/esm2_t6_8M_UR50D", 1024),
    ],
)
def test_usable_positions(name: str, positions: int) -> None:
    assert mw.model(name).architecture.max_positions == positions


@pytest.mark.parametrize(
    ("model_type", "change"),
    [
        ("roberta", {"is_decoder": True}),
        ("electra", {"add_cross_attention": True}),
        ("bert", {"position_embedding_type": "relative_key"}),
        ("electra", {"architectures": ["ElectraForMultipleChoice"], "summary_use_proj": False}),
        ("esm", {"is_folding_model": True}),
        ("roformer", {"rotary_value": True}),
        ("roformer", {"norm_type": "rms_norm"}),
        ("nomic_bert", {"num_experts": 8}),
        ("deberta", {"talking_head": True}),
        ("deberta", {"embedding_size": 3}),
        ("deberta-v2", {"conv_kernel_size": 4}),
        ("deberta-v2", {"relative_attention": True}),
    ],
)
def test_refused(model_type: str, change: dict[str, Any]) -> None:
    assert mw.model({**SIZES, "model_type": model_type}).parameters > 0
    family = family_of(model_type)
    assert family is not None
    with pytest.raises(UnsupportedError):
        family.read({**SIZES, "model_type": model_type, **change}, "config")


@pytest.mark.parametrize(
    ("model_type", "key", "value"),
    [
        ("modernbert", "classifier_pooling", "max"),
        ("modernbert", "layer_types", ["full_attention"]),
        ("eurobert", "num_key_value_heads", 3),
        ("deberta", "pos_att_type", 5),
        ("albert", "num_hidden_groups", 4),
        ("albert", "inner_group_num", 65),
    ],
)
def test_faults_are_named(model_type: str, key: str, value: object) -> None:
    config = {**SIZES, "model_type": model_type, "relative_attention": True, key: value}
    with pytest.raises(InvalidInputError, match=f"'{key}'|'num_attention_heads'"):
        mw.model(config)
