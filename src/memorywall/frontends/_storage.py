"""The formats of weights from files: one for all, or one per weight."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from memorywall.core.formats import Format, find_format
from memorywall.core.storage import MeanFormat, Storage, Stored
from memorywall.frontends._tensors import StoredTensor
from memorywall.frontends.gguf import Gguf

# The names of safetensors for formats that weights may have.
_FORMATS = {"F64": "fp64", "F32": "fp32", "BF16": "bf16", "F16": "fp16", "F8_E4M3": "fp8",
            "F8_E5M2": "fp8", "I8": "int8"}  # fmt: skip

# GGUF's name of a weight: the paths within a block here. A tensor may hold several of them.
_PATHS: dict[str, tuple[str, ...]] = {
    "token_embd": ("words",),
    "position_embd": ("positions",),
    "output": ("lm_head",),
    "attn_q": ("attention.q_proj",),
    "attn_k": ("attention.k_proj",),
    "attn_v": ("attention.v_proj",),
    "attn_qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    "attn_output": ("attention.o_proj",),
    "ffn_gate": ("mlp.gate_proj",),
    "ffn_up": ("mlp.up_proj",),
    "ffn_down": ("mlp.down_proj",),
}
_NAME = re.compile(r"(?:blk\.\d{1,6}\.)?(\w+)\.weight")


def storage_of_files(stored: Stored, dtype: str) -> Storage | None:
    """Return the format of most bytes of the files; None if it is the config's."""
    known = [name for name, _ in stored.bytes_by_format if name in _FORMATS]
    if not known:
        return None
    format_ = find_format(_FORMATS[known[0]])
    if format_.name == dtype:
        return None
    note = (
        f"The files hold {known[0]} instead of the config's {dtype}: weights are counted as stored."
    )
    return Storage(format_.name, format_, format_, notes=(note,))


def mean_of_files(stored: Stored, parameters: int, reason: str) -> Storage:
    """Return one format for every weight, so that their total is that of the files.

    Args:
        stored: the tensors of the files.
        parameters: weights of the model.
        reason: why the format of single weights is not known; a clause.
    """
    bits = 8 * stored.nbytes // max(1, parameters)
    mean = MeanFormat(
        "mean of the files", bits, stored_bytes=stored.nbytes, stored_elements=max(1, parameters)
    )
    note = f"The mean of the files' bytes is counted for every weight: {reason}."
    return Storage(
        f"{mean.bits_per_element:.2f} bits, the mean of the files", mean, mean, notes=(note,)
    )


def gguf_storage(header: Gguf) -> Storage:
    """Return the format of each weight of a GGUF file, equal for one name in all layers.

    Vectors are fp32 in every GGUF. Weights with unknown names, such as experts, have their mean
    format, so that the total equals the file's.
    """
    groups: dict[tuple[str, ...], list[StoredTensor]] = defaultdict(list)
    is_gated = any(".ffn_gate." in tensor.name for tensor in header.tensors)
    for tensor in header.tensors:
        if len(tensor.shape) > 1 and not tensor.name.endswith("ffn_gate_inp.weight"):
            groups[_paths(tensor.name, is_gated=is_gated)].append(tensor)
    by_name = {
        f"{path}.weight": _mean(tensors) for paths, tensors in groups.items() for path in paths
    }
    matrices = groups.get((), []) or [tensor for group in groups.values() for tensor in group]
    formats = Counter[str]()
    for tensor in header.tensors:
        formats[tensor.format] += tensor.nbytes
    return Storage(
        name=", ".join(name for name, _ in formats.most_common(3)),
        linear=_mean(matrices),
        rest=find_format("fp32"),
        by_name=by_name,
        notes=("A GGUF gives no dtype of activations and cache: fp16 is assumed.",),
    )


def _paths(name: str, *, is_gated: bool) -> tuple[str, ...]:
    """Return our paths of a tensor; without a separate gate, the up-projection holds both."""
    found = _NAME.fullmatch(name)
    if found is None:
        return ()
    if found[1] == "ffn_up" and not is_gated:
        return ("mlp.gate_proj", "mlp.up_proj")
    return _PATHS.get(found[1], ())


def _mean(tensors: Sequence[StoredTensor]) -> Format:
    """Return the format of tensors that may differ from layer to layer."""
    nbytes = sum(tensor.nbytes for tensor in tensors)
    elements = sum(tensor.elements for tensor in tensors)
    names = ", ".join(sorted({tensor.format for tensor in tensors}))
    if not elements:
        return find_format("fp32")
    bits = 8 * nbytes // elements
    return MeanFormat(names, bits, stored_bytes=nbytes, stored_elements=elements)
