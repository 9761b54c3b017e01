"""Parts of GGUF architectures beyond names: the kinds of layers, heads and shares.

Which layers have which part is read from the tensors of their blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from memorywall.core.errors import UnsupportedError
from memorywall.frontends._gguf_facts import Facts

Values = Mapping[str, Any]


def head_dim(facts: Facts) -> Values:
    """The width of a head: as given, else the output projection's share of one."""
    width = facts.size("attention.key_length") or _share_of_output(facts)
    return {"head_dim": width} if width else {}


def _share_of_output(facts: Facts) -> int:
    heads = facts.size("attention.head_count")
    return facts.axis("attn_output.weight", -1) // heads if heads else 0


def rotated_share(key: str) -> Callable[[Facts], Values]:
    """Return a reader of the rotated share of a head."""

    def read(facts: Facts) -> Values:
        rotated = facts.size("rope.dimension_count")
        width = facts.size("attention.key_length") or _share_of_output(facts)
        return {key: rotated / width} if rotated and width else {}

    return read


def spread(key: str, source: str = "") -> Callable[[Facts], Values]:
    """Return a reader that sets a key to None where the metadata says 0, or to another key's."""
    names = {"sliding_window": "attention.sliding_window", "num_attention_heads":
             "attention.head_count"}  # fmt: skip

    def read(facts: Facts) -> Values:
        value = facts.size(names[source or key])
        return {key: value or None}

    return read


def windows(facts: Facts) -> Values:
    """Which layers have a window, where the metadata says: a list, or full attention each n-th."""
    given = facts.metadata.get("attention.sliding_window_pattern")
    if type(given) is int and given > 0:
        given = [(layer + 1) % given != 0 for layer in range(facts.depth)]
    if not isinstance(given, list) or len(given) < facts.depth:
        return {}
    kinds = ("full_attention", "sliding_attention")
    return {"layer_types": [kinds[bool(slides)] for slides in given[: facts.depth]]}


def _kinds(facts: Facts, tensor: str, with_it: str, without: str) -> list[str]:
    return [with_it if has else without for has in facts.placed(tensor)]


def qwen_layers(facts: Facts) -> Values:
    """Layers of the gated delta rule, and their heads."""
    heads, inner = facts.size("ssm.time_step_rank"), facts.size("ssm.inner_size")
    return {
        "layer_types": _kinds(facts, "ssm_out.weight", "linear_attention", "full_attention"),
        "linear_conv_kernel_dim": facts.size("ssm.conv_kernel"),
        "linear_key_head_dim": facts.size("ssm.state_size"),
        "linear_num_key_heads": facts.size("ssm.group_count"),
        "linear_num_value_heads": heads,
        "linear_value_head_dim": inner // max(1, heads),
    }


def latent_heads(facts: Facts) -> Values:
    """Widths of latent attention's heads; files of before 2025 have them as the plain ones.

    The metadata's heads of keys is 1: llama.cpp attends to the latents themselves.
    """
    whole = facts.size("attention.key_length_mla") or facts.size("attention.key_length")
    heads = facts.size("attention.head_count")
    value = facts.size("attention.value_length_mla") or _share_of_output(facts)
    return {
        "num_key_value_heads": heads,
        "qk_nope_head_dim": max(0, whole - facts.size("rope.dimension_count")),
        "v_head_dim": value,
    }


def direct_queries(facts: Facts) -> Values:
    """Queries that are projected at once have no rank."""
    return {} if facts.size("attention.q_lora_rank") else {"q_lora_rank": None}


def shared_experts(key: str) -> Callable[[Facts], Values]:
    """Return a reader of the number of shared experts: what their width is in experts'."""

    def read(facts: Facts) -> Values:
        one = facts.axis("ffn_down_exps.weight", -1)
        width = facts.axis("ffn_down_shexp.weight", -1)
        return {key: width // one if one else facts.size("expert_shared_count")}

    return read


def dense_first(key: str) -> Callable[[Facts], Values]:
    """Return a reader of the number of layers before the first with experts."""

    def read(facts: Facts) -> Values:
        mixes = facts.placed("ffn_down_exps.weight")
        return {key: mixes.index(True) if True in mixes else facts.depth}

    return read


def mamba2_heads(key: str, expand: str = "mamba_expand") -> Callable[[Facts], Values]:
    """Return a reader of the width of Mamba-2's heads, and of its channels in hidden sizes."""

    def read(facts: Facts) -> Values:
        inner, heads = facts.size("ssm.inner_size"), facts.size("ssm.time_step_rank")
        hidden = facts.size("embedding_length")
        return {key: inner // max(1, heads), expand: inner // max(1, hidden)}

    return read


def bamba_layers(facts: Facts) -> Values:
    """Bamba lists the layers that attend."""
    return {"attn_layer_indices": _those(facts.placed("attn_output.weight")), **kv_heads(facts)}


def granite_layers(facts: Facts) -> Values:
    """Granite 4: kinds of layers, and a feed-forward beside the experts or in their place."""
    rope = facts.get("rope.scaling.finetuned")
    shared = facts.axis("ffn_down_shexp.weight", -1) or facts.axis("ffn_down.weight", -1)
    found: dict[str, Any] = {
        "layer_types": _kinds(facts, "ssm_out.weight", "mamba", "attention"),
        "shared_intermediate_size": shared,
        "num_local_experts": facts.axis("ffn_down_exps.weight", 0),
        **kv_heads(facts),
    }
    if rope is not None:
        found["position_embedding_type"] = "rope" if rope else "nope"
    return found


def kv_heads(facts: Facts) -> Values:
    """Heads of keys by the projection's rows: some files have 0 in every layer's place."""
    width, rows = _share_of_output(facts), facts.axis("attn_k.weight", 0)
    return {"num_key_value_heads": rows // width} if width and rows else {}


def nemotron_layers(facts: Facts) -> Values:
    """Nemotron-H: one part a layer, by the tensors of its block."""
    letters = {"ssm_out.weight": "M", "attn_output.weight": "*", "ffn_down_exps.weight": "E",
               "ffn_down.weight": "-"}  # fmt: skip
    pattern = ""
    for layer in range(facts.depth):
        block = facts.blocks.get(layer, {})
        found = [letter for tensor, letter in letters.items() if tensor in block]
        if len(found) != 1:
            raise UnsupportedError(
                f"{facts.where}: block {layer} has {len(found)} of Nemotron-H's parts, not one."
            )
        pattern += found[0]
    inner, heads = facts.size("ssm.inner_size"), facts.size("ssm.time_step_rank")
    return {"hybrid_override_pattern": pattern, "mamba_head_dim": inner // max(1, heads)}


def lfm2_layers(facts: Facts) -> Values:
    """LFM2: short convolutions, and attention between them."""
    return {"layer_types": _kinds(facts, "shortconv.conv.weight", "conv", "full_attention")}


def llama4_layers(facts: Facts) -> Values:
    """Llama 4: the layers with experts; Maverick, with 128 of them, does not norm its queries."""
    experts = facts.placed("ffn_down_exps.weight")
    return {"moe_layers": _those(experts), "use_qk_norm": facts.size("expert_count") != 128}


def jamba_layers(facts: Facts) -> Values:
    """Jamba: attention and experts, each by a period and an offset."""
    found: dict[str, Any] = {"mamba_expand": facts.size("ssm.inner_size")
                             // max(1, facts.size("embedding_length"))}  # fmt: skip
    for name, tensor in (("attn", "attn_output.weight"), ("expert", "ffn_down_exps.weight")):
        period, offset = _period(facts, facts.placed(tensor))
        found |= {f"{name}_layer_period": period, f"{name}_layer_offset": offset}
    return found


def _period(facts: Facts, placed: Sequence[bool]) -> tuple[int, int]:
    """Return the period and offset that select just these layers."""
    those = _those(placed)
    if not those:
        return facts.depth + 1, facts.depth
    period = those[1] - those[0] if len(those) > 1 else facts.depth
    if those != [layer for layer in range(facts.depth) if layer % period == those[0] % period]:
        raise UnsupportedError(f"{facts.where}: its layers have no period, which Jamba's have.")
    return period, those[0]


def _those(placed: Sequence[bool]) -> list[int]:
    return [layer for layer, has in enumerate(placed) if has]


def falcon_norms(facts: Facts) -> Values:
    """Falcon: the new architecture has a norm for each half, or shares keys among some heads."""
    heads, kv_heads = facts.size("attention.head_count"), facts.size("attention.head_count_kv")
    two = facts.has("attn_norm_2.weight")
    new = two or 1 < kv_heads < heads
    values: dict[str, Any] = {"new_decoder_architecture": new, "multi_query": kv_heads == 1}
    if new:
        return values | {"num_ln_in_parallel_attn": 2 if two else 1}
    return values | {"parallel_attn": not facts.has("ffn_norm.weight")}


def one_kv_head(facts: Facts) -> Values:
    """StarCoder: one head of keys, or one for each of the queries', by the fused projection."""
    hidden = facts.size("embedding_length")
    return {"multi_query": facts.axis("attn_qkv.weight", 0) < 3 * hidden}


def nested_dbrx(facts: Facts) -> Values:
    """DBRX has two configs within its config."""
    return {
        "attn_config": {
            "kv_n_heads": facts.size("attention.head_count_kv"),
            "clip_qkv": facts.get("attention.clamp_kqv"),
        },
        "ffn_config": {
            "ffn_hidden_size": facts.axis("ffn_down_exps.weight", -1),
            "moe_num_experts": facts.axis("ffn_down_exps.weight", 0),
            "moe_top_k": facts.size("expert_used_count"),
        },
    }


def gemma4_heads(facts: Facts) -> Values:
    """Gemma 4: heads of layers with a window and of the others, by the rows of their keys.

    Where the others have keys and no values, the keys are both.
    """
    near, far = facts.size("attention.key_length_swa"), facts.size("attention.key_length")
    slides = windows(facts).get("layer_types", [])
    found: dict[str, Any] = {"head_dim": near, "global_head_dim": far}
    for kind, key, width in (
        ("sliding_attention", "num_key_value_heads", near),
        ("full_attention", "num_global_key_value_heads", far),
    ):
        blocks = [facts.blocks.get(layer, {}) for layer, one in enumerate(slides) if one == kind]
        keys = [block["attn_k.weight"] for block in blocks if "attn_k.weight" in block]
        if keys and width:
            found[key] = keys[0].shape[0] // width
            found["attention_k_eq_v"] = not any("attn_v.weight" in block for block in blocks)
    widths = {block["ffn_down.weight"].shape[-1] for block in facts.blocks.values()
              if "ffn_down.weight" in block}  # fmt: skip
    return found | {"use_double_wide_mlp": len(widths) > 1}


def t5_gate(facts: Facts) -> Values:
    """T5: 1.1 and later have a gated feed-forward."""
    return {"feed_forward_proj": "gated-gelu" if facts.has("ffn_gate.weight") else "relu"}
