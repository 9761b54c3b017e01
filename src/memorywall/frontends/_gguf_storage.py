"""The format of each weight of a GGUF file, by the types of its tensors."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Sequence

from memorywall.core.formats import Format, find_format
from memorywall.core.storage import MeanFormat, Storage
from memorywall.frontends._gguf_facts import further_tensors
from memorywall.frontends._tensors import StoredTensor
from memorywall.frontends.gguf import Gguf

_ASSUMED = "A GGUF gives no dtype of activations and cache: fp16 is assumed."

# GGUF's name of a weight: its paths within a block here. A tensor may hold several of them, and a
# weight here several tensors.
_PATHS: dict[str, tuple[str, ...]] = {
    "token_embd": ("words.weight", "weight"),  # the last where two stacks share it
    "position_embd": ("positions.weight",),
    "per_layer_token_embd": ("per_layer.tokens.weight",),
    "per_layer_model_proj": ("per_layer.projection.weight",),
    "inp_gate": ("per_layer.gate.weight",),
    "proj": ("per_layer.layer_projection.weight",),
    "token_types": ("token_types.weight",),
    "output": ("lm_head.weight",),
    "attn_q": ("attention.q_proj.weight",),
    "attn_k": ("attention.k_proj.weight",),
    "attn_v": ("attention.v_proj.weight",),
    "attn_qkv": tuple(f"attention.{one}_proj.weight" for one in "qkv"),
    "attn_output": ("attention.o_proj.weight",),
    "attn_q_a": ("attention.q_a_proj.weight",),
    "attn_q_b": ("attention.q_b_proj.weight",),
    "attn_kv_a_mqa": ("attention.kv_a_proj.weight",),
    "attn_kv_b": ("attention.kv_b_proj.keys", "attention.kv_b_proj.values"),
    "attn_k_b": ("attention.kv_b_proj.keys",),
    "attn_v_b": ("attention.kv_b_proj.values",),
    "indexer.proj": ("attention.indexer.weights_proj.weight",),
    "indexer.attn_k": ("attention.indexer.k_proj.weight",),
    "indexer.attn_q_b": ("attention.indexer.q_proj.weight",),
    "attn_gate": ("linear_attention.gate_proj.weight",),
    "ffn_gate": ("mlp.gate_proj.weight",),
    "ffn_up": ("mlp.up_proj.weight",),
    "ffn_down": ("mlp.down_proj.weight",),
    "ffn_gate_inp": ("mlp.router.weight",),
    "ffn_gate_exps": ("mlp.experts.gate_up_proj.weight",),
    "ffn_up_exps": ("mlp.experts.gate_up_proj.weight", "mlp.experts.up_proj.weight"),
    "ffn_gate_up_exps": ("mlp.experts.gate_up_proj.weight",),
    "ffn_down_exps": ("mlp.experts.down_proj.weight",),
    "ffn_gate_inp_shexp": ("mlp.shared_gate.weight",),
    "ffn_gate_shexp": ("mlp.shared_experts.gate_proj.weight",),
    "ffn_up_shexp": ("mlp.shared_experts.up_proj.weight",),
    "ffn_down_shexp": ("mlp.shared_experts.down_proj.weight",),
    "ssm_in": ("mamba.in_proj.weight",),
    "ssm_x": ("mamba.x_proj.weight",),
    "ssm_dt": ("mamba.dt_proj.weight",),
    "ssm_a": ("mamba.A_log",),
    "ssm_norm": ("mamba.norm.weight",),
    "ssm_conv1d": ("mamba.conv.weight", "linear_attention.conv.weight"),
    "ssm_out": ("mamba.out_proj.weight", "linear_attention.o_proj.weight"),
    "ssm_beta": ("linear_attention.beta_proj.weight",),
    "ssm_alpha": ("linear_attention.decay_proj.weight",),
    "ssm_ba": ("linear_attention.beta_proj.weight", "linear_attention.decay_proj.weight"),
    "shortconv.in_proj": ("convolution.in_proj.weight",),
    "shortconv.conv": ("convolution.conv.weight",),
    "shortconv.out_proj": ("convolution.out_proj.weight",),
}
# The same in the two stacks of T5, whose layers have their stack's name in front.
_STACKED: dict[str, tuple[str, ...]] = {
    **{f"attn_{one}": (f"layers.attention.{one}_proj.weight",) for one in "qkvo"},
    **{f"cross_attn_{one}": (f"layers.cross_attention.{one}_proj.weight",) for one in "qkvo"},
    **{f"ffn_{one}": (f"layers.mlp.{one}_proj.weight",) for one in ("gate", "up", "down")},
    "attn_rel_b": ("embeddings.distances.weight",),
}
_NAME = re.compile(r"((?:enc|dec)\.)?(?:blk\.\d{1,6}\.)?([\w.]+?)(?:\.weight)?")


def gguf_storage(header: Gguf, where: str) -> Storage:
    """Return the format of each weight of a GGUF file, equal for one name in all layers.

    Weights with unknown names have their mean format, so that the total equals the file's.
    """
    further = further_tensors(header, where)
    skipped = {tensor.name for tensor in further}
    tensors = [tensor for tensor in header.tensors if tensor.name not in skipped]
    names = {_base(tensor.name) for tensor in tensors}
    by_path: dict[str, list[StoredTensor]] = defaultdict(list)
    unknown, vectors = [], []
    for tensor in tensors:
        paths = _paths(_base(tensor.name), names)
        if _is_vector(tensor):
            vectors.append(tensor)
        elif not paths:
            unknown.append(tensor)
        else:
            for path in paths:
                by_path[path].append(tensor)
    return Storage(
        name=_title(tensors),
        linear=_mean(unknown or [tensor for tensor in tensors if len(tensor.shape) > 1]),
        rest=_mean(vectors),
        by_name={path: _mean(found) for path, found in by_path.items()},
        notes=(_ASSUMED, *_further_notes(further)),
    )


def _is_vector(tensor: StoredTensor) -> bool:
    """Whether a tensor has one length: norms, biases (of experts too), a number for each head."""
    return len(tensor.shape) < 2 or tensor.shape[-1] == 1 or tensor.name.endswith(".bias")


def whole_storage(header: Gguf, where: str) -> Storage:
    """Return the mean format of a file, for models whose weights have other names."""
    further = further_tensors(header, where)
    skipped = {tensor.name for tensor in further}
    tensors = [tensor for tensor in header.tensors if tensor.name not in skipped]
    mean = _mean(tensors)
    notes = (_ASSUMED, "Every weight is counted in the mean format of the file.")
    return Storage(_title(tensors), mean, mean, notes=(*notes, *_further_notes(further)))


def _further_notes(further: Sequence[StoredTensor]) -> tuple[str, ...]:
    if not further:
        return ()
    nbytes = sum(tensor.nbytes for tensor in further)
    said = f"The file holds {nbytes:,} B of layers that predict further tokens"
    return (f"{said} (nextn_predict_layers), which a step does not run: they are not counted.",)


def _base(name: str) -> str:
    """Return a tensor's name without its block and without ``weight``."""
    found = _NAME.fullmatch(name)
    return name if found is None else (found[1] or "") + found[2]


def _paths(base: str, names: Container[str]) -> tuple[str, ...]:
    """Return our paths of a tensor, by what else is in the file.

    Without a separate gate, the up-projection holds both. Beside separate queries, fused ones are
    those of linear attention.
    """
    if base == "ffn_up" and "ffn_gate" not in names:
        return ("mlp.gate_proj.weight", "mlp.up_proj.weight")
    if base == "attn_qkv" and "attn_q" in names:
        return ("linear_attention.qkv_proj.weight",)
    if base.startswith(("enc.", "dec.")):
        return _STACKED.get(base[4:], ())
    return _PATHS.get(base, ())


def _title(tensors: Sequence[StoredTensor]) -> str:
    formats = Counter[str]()
    for tensor in tensors:
        formats[tensor.format] += tensor.nbytes
    return ", ".join(name for name, _ in formats.most_common(3))


def _mean(tensors: Sequence[StoredTensor]) -> Format:
    """Return the format of tensors that may differ from layer to layer; fp32 for none."""
    nbytes = sum(tensor.nbytes for tensor in tensors)
    elements = sum(tensor.elements for tensor in tensors)
    names = ", ".join(sorted({tensor.format for tensor in tensors}))
    if not elements or names == "F32":
        return find_format("fp32")
    bits = 8 * nbytes // elements
    return MeanFormat(names, bits, stored_bytes=nbytes, stored_elements=elements)
