"""What sets decoders with experts apart: where their configs say what, and with which defaults.

Defaults are those of transformers' config classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.families._heads import ALL_HEADS


@dataclass(frozen=True, slots=True)
class Dialect:
    """One model type.

    Attributes:
        prefix: of its transformers classes.
        experts, chosen, width: keys of E, k and an expert's width, each with its default.
        shared: key of the shared experts, with its default, and whether it says a ``width`` or a
            ``number`` of experts' widths; ``dense`` where a dense layer stands beside the experts.
        shared_gate: whether a gate scales them.
        scoring: of the router, ``softmax`` or ``sigmoid``.
        correction: whether the class keeps the weights that balance the choice.
        dense: which layers have no experts: ``none``, ``first`` by ``first_k_dense_replace``,
            ``steps`` by ``decoder_sparse_step`` and ``mlp_only_layers``, ``interval`` by
            ``moe_layer_interval`` and its bounds.
        biases: key that gives biases to projections, with its default; ``bias_on``: ``all`` four of
            attention, ``qkv``, or ``everything`` with the feed-forward layers and the head.
        qk_norm: ``head`` normalises each head of query and key, ``all`` the whole row, ``flag``
            each head where ``use_qk_norm`` is set.
        windows: how windows are said: ``none``, ``all`` layers, ``flag`` for all where
            ``use_sliding_window`` is set, ``alternate`` likewise for every other layer up to
            ``max_window_layers``, ``last`` from that layer on.
        window: ``sliding_window`` where the key is left out.
        window_layers: ``max_window_layers`` where the key is left out.
        kv_heads, head_dim: None: as many as query heads, and the hidden size over the heads.
        rotary_share: of a head, where no key says it; ``rotary_key`` may hold a number of elements.
        norm, norm_after: as in ``SparseDecoder``.
        clip: whether ``clip_qkv`` is read.
        scaled: whether the multipliers of Granite are read.
        head_bias: whether ``lm_head_bias`` is read.
        tied: whether the head is the embedding where no key says it.
        positions: ``max_position_embeddings`` where the key is left out.
        heads: what transformers has for it beside the causal LM and the bare model.
    """

    prefix: str
    experts: tuple[str, int | None]
    chosen: tuple[str, int | None]
    width: tuple[str, int | None] = ("intermediate_size", None)
    shared: tuple[str, int | None, str] | None = None
    shared_gate: bool = False
    scoring: str = "softmax"
    correction: bool = False
    dense: str = "none"
    first_dense: int = 0
    biases: tuple[str, bool] | None = None
    bias_on: str = "all"
    qk_norm: str = ""
    windows: str = "none"
    window: int | None = None
    window_layers: int = 28
    kv_heads: int | None = None
    head_dim: int | None = None
    rotary_share: float = 1.0
    rotary_key: str = ""
    norm: str = "rmsnorm"
    norm_after: bool = False
    clip: bool = False
    scaled: bool = False
    head_bias: bool = False
    tied: bool = False
    positions: int = 131_072
    heads: tuple[str, ...] = ()


_LOCAL, _EXPERTS, _ROUTED = "num_local_experts", "num_experts", "n_routed_experts"
_CHOSEN, _WIDTH, _BIAS = "num_experts_per_tok", "moe_intermediate_size", "attention_bias"

DIALECTS = {
    "mixtral": Dialect(
        "Mixtral", (_LOCAL, 8), (_CHOSEN, 2), kv_heads=8, windows="all", heads=ALL_HEADS
    ),
    "qwen2_moe": Dialect(
        "Qwen2Moe", (_EXPERTS, 60), (_CHOSEN, 4), (_WIDTH, 1408),
        ("shared_expert_intermediate_size", 5632, "width"), shared_gate=True, dense="steps",
        biases=("qkv_bias", True), bias_on="qkv", kv_heads=16, windows="alternate", window=4096,
        positions=32_768, heads=ALL_HEADS,
    ),
    "qwen3_moe": Dialect(
        "Qwen3Moe", (_EXPERTS, 128), (_CHOSEN, 8), (_WIDTH, 768), dense="steps",
        biases=(_BIAS, False), qk_norm="head", kv_heads=4, windows="flag", window=4096,
        positions=32_768, heads=ALL_HEADS,
    ),
    "olmoe": Dialect(
        "Olmoe", (_EXPERTS, 64), (_CHOSEN, 8), biases=(_BIAS, False), qk_norm="all", clip=True,
        positions=4096,
    ),
    "flex_olmo": Dialect(
        "FlexOlmo", (_EXPERTS, 7), (_CHOSEN, 5), biases=(_BIAS, False), qk_norm="all",
        norm_after=True, positions=4096,
    ),
    "minimax_m2": Dialect(
        "MiniMaxM2", (_LOCAL, 256), (_CHOSEN, 8), scoring="sigmoid", qk_norm="all", kv_heads=8,
        head_dim=128, rotary_key="rotary_dim", positions=196_608,
    ),
    "glm4_moe": Dialect(
        "Glm4Moe", (_ROUTED, 128), (_CHOSEN, 8), (_WIDTH, 1408),
        ("n_shared_experts", 1, "number"), scoring="sigmoid", dense="first", first_dense=1,
        biases=(_BIAS, False), bias_on="qkv", qk_norm="flag", kv_heads=8, rotary_share=0.5,
    ),
    "dots1": Dialect(
        "Dots1", (_ROUTED, None), (_CHOSEN, None), (_WIDTH, 1408),
        ("n_shared_experts", None, "number"), scoring="sigmoid", dense="first",
        biases=(_BIAS, False), qk_norm="head", kv_heads=32, windows="last", window=4096,
        window_layers=62, positions=2048,
    ),
    "phimoe": Dialect(
        "Phimoe", (_LOCAL, 16), (_CHOSEN, 2), biases=(_BIAS, False), kv_heads=8, windows="all",
        norm="layernorm", head_bias=True, heads=ALL_HEADS[:1],
    ),
    "granitemoe": Dialect(
        "GraniteMoe", (_LOCAL, 8), (_CHOSEN, 2), biases=(_BIAS, False), scaled=True,
        positions=2048,
    ),
    "ernie4_5_moe": Dialect(
        "Ernie4_5_Moe", ("moe_num_experts", 64), ("moe_k", 6), (_WIDTH, 1536),
        ("moe_num_shared_experts", 2, "number"), correction=True, dense="interval",
        biases=("use_bias", False), bias_on="everything", kv_heads=4, tied=True,
    ),
    "hunyuan_v1_moe": Dialect(
        "HunYuanMoEV1", (_EXPERTS, 1), ("moe_topk", 1), shared=("", None, "dense"),
        biases=(_BIAS, False), qk_norm="head", positions=2048, heads=ALL_HEADS[:1],
    ),
}  # fmt: skip
