"""The formats of a model's weights by a recipe: ``Q4_K_M``, ``nf4``, ``exl2-4.65bpw``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from memorywall.core.formats import FORMATS, Format
from memorywall.core.geometry import Attention, Experts
from memorywall.core.model import Model, one_token
from memorywall.core.program import Block, Op, Program
from memorywall.core.recipes import Recipe
from memorywall.core.storage import KEPT, MeanFormat, Storage
from memorywall.core.tensors import Tensor
from memorywall.frontends._llama_quant import FALLBACK, GgufModel, Place, chosen

# Weights by the last part of their path, as GGUF files name them; all others are ``other``.
_KINDS = {
    "words": "token_embd",
    "lm_head": "output",
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "qkv_proj": "attn_qkv",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "gate_up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
# Model types whose GGUF files hold queries, keys and values as one weight.
_FUSED = ("bloom", "dbrx", "falcon", "gpt2", "gpt_bigcode", "gpt_neox", "mpt", "phi3")
# Weights that llama-quantize leaves as the conversion from a checkpoint writes them: fp32.
_UNQUANTISED = ("router", "shared_gate", "positions", "distances", "token_types", "conv")
# Experts that a checkpoint holds in mxfp4 are quantised no further: gpt-oss.
_PACKED = FORMATS["mxfp4"]
# Towers and projectors are a separate file, in fp16.
_APART = ("vision", "projector", "audio")
# Llama's and Qwen2's files of 80 layers with grouped queries are of llama.cpp's type 70B.
_SEVENTY, _LAYERS_OF_70B = ("llama", "qwen2"), 80
_HEAD_BITS = 6  # ExLlama's default for the head


def recipe_storage(recipe: Recipe, model: Model, rest: Format) -> Storage:
    """Return the formats of the weights of a model by a recipe.

    Args:
        recipe: what was asked.
        model: any; encoders and towers follow the same rules where they have the same weights.
        rest: of weights that the tool leaves as they are.
    """
    if recipe.tool == "bitsandbytes":
        return Storage(recipe.name, recipe.base, rest)
    if recipe.tool == "exllama":
        head = MeanFormat("6 bits", _HEAD_BITS, stored_bytes=3, stored_elements=4)
        kept = tuple(layer for layer in KEPT if layer != "lm_head")
        note = f"ExLlama keeps the head in {_HEAD_BITS} bits and embeddings in {rest.name}."
        heads = {"lm_head.weight": head}
        return Storage(recipe.name, recipe.base, rest, kept, by_name=heads, notes=(note,))
    single = FORMATS["fp32"]
    formats = _GgufFormats(_formats(recipe, model))
    return Storage(recipe.name, recipe.base, single, by_module=formats)


@dataclass(frozen=True, slots=True)
class _GgufFormats:
    """The formats of a GGUF file, by weight and layer; of a layer of None, those of the first."""

    formats: Mapping[tuple[str, int | None], Format] = field(hash=False)

    @property
    def by_layer(self) -> bool:
        """Whether layers of one kind may differ: types give some layers more bits."""
        return True

    def find(self, weight: str, layer: int | None) -> Format | None:
        """Return the format of a weight."""
        return self.formats.get((weight, layer), self.formats.get((weight, None)))


def _formats(recipe: Recipe, model: Model) -> dict[tuple[str, int | None], Format]:
    program = model.family.lower(model.architecture, one_token(model.architecture))
    facts = _facts(model, program)
    is_fused = model.config.get("model_type") in _FUSED
    found: dict[tuple[str, int | None], Format] = {}
    layers = _layers_by_kind(program, is_fused=is_fused)
    packed = model.storage is not None and model.storage.linear == _PACKED
    for block, op, tensor in _weights(program):
        kind = _kind(tensor.name, is_fused=is_fused)
        own = layers[(_stack(block), kind)]
        places = {layer: index for index, layer in enumerate(own)}
        for layer in block.layers or (None,):
            # Experts' files are numbered by layer, others in their order.
            is_counted = kind.startswith("attn") or facts.experts <= 1
            place = Place(
                kind,
                index=places[layer] if is_counted and layer is not None else layer or 0,
                count=len(own) if kind.startswith("attn") else facts.layers,
                layer=layer or 0,
                is_expert=isinstance(op.geometry, Experts),
            )
            is_kept = place.is_expert and packed
            format_ = _PACKED if is_kept else _format(recipe, facts, place, block, tensor)
            found[(tensor.name, layer)] = format_
            found.setdefault((tensor.name, None), format_)
    return found


def _format(recipe: Recipe, facts: GgufModel, place: Place, block: Block, tensor: Tensor) -> Format:
    if block.name.partition(".")[0] in _APART:
        return FORMATS["fp16"]
    last = _last(tensor.name)
    if last in _UNQUANTISED or not tensor.name.endswith((".weight", ".keys", ".values")):
        return FORMATS["fp32"]
    width = int(tensor.width)
    is_table = place.kind in ("token_embd", "output")
    if recipe.tables and is_table:
        name = recipe.tables
    else:
        is_whole = width % recipe.base.block == 0 if recipe.base.block else True
        name = chosen(recipe.mixture, recipe.base.name, facts, place, is_whole=is_whole)
    return _fitting(name, width)


def _fitting(name: str, width: int) -> Format:
    """Return a format, or the one that replaces it where its blocks do not divide the rows."""
    for choice in (name, FALLBACK.get(name, name)):
        format_ = FORMATS[choice]
        if width % (format_.block or format_.group or 1) == 0:
            return format_
    return FORMATS["fp16"]


def _facts(model: Model, program: Program) -> GgufModel:
    attention = [op.geometry for _, op, _ in program.walk() if isinstance(op.geometry, Attention)]
    experts = [
        op.geometry.experts for _, op, _ in program.walk() if isinstance(op.geometry, Experts)
    ]
    groups = [int(one.heads // one.kv_heads) for one in attention[:1] if one.kv_heads]
    layers = max((layer for block in program.blocks for layer in block.layers), default=0) + 1
    gqa = groups[0] if groups else 1
    model_type = model.config.get("model_type")
    return GgufModel(
        layers,
        gqa,
        experts[0] if experts else 0,
        is_tied=not any(_last(tensor.name) == "lm_head" for _, _, tensor in _weights(program)),
        is_falcon=model_type == "falcon",
        is_70b=model_type in _SEVENTY and layers == _LAYERS_OF_70B and gqa > 1,
    )


def _layers_by_kind(program: Program, *, is_fused: bool) -> dict[tuple[str, str], list[int]]:
    """Return the layers that have a kind of weight, by stack and kind, in order."""
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for block, _, tensor in _weights(program):
        found[(_stack(block), _kind(tensor.name, is_fused=is_fused))].update(block.layers)
    return {key: sorted(layers) for key, layers in found.items()}


def _weights(program: Program) -> Iterator[tuple[Block, Op, Tensor]]:
    for block in program.blocks:
        for op in block.ops:
            for tensor in op.reads:
                if tensor.role == "weight":
                    yield block, op, tensor


def _stack(block: Block) -> str:
    return block.name.rpartition(".")[0]


def _last(name: str) -> str:
    """Return the last part of a path before ``weight``."""
    parts = name.split(".")
    return parts[-2] if len(parts) > 1 else name


def _kind(name: str, *, is_fused: bool) -> str:
    kind = _KINDS.get(_last(name), "other")
    return "attn_qkv" if is_fused and kind in ("attn_q", "attn_k", "attn_v") else kind
