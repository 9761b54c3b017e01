"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), in three forms.

Keys and values of all N heads are projections of one latent of R elements a token; beside it a
token has one rotated key of P elements that all heads share. A head's query and key have Q = H + P
elements, its value V.

- ``reexpanded``: latent and rotated key are cached, R + P elements a token and layer. Every pass
  projects all S cached latents to keys and values again: 2 R N (H + V) S FLOPs a sequence, though
  only the new token is new. Prefill does it so in every engine; transformers 5 also in decode.
- ``absorbed``: the same cache. The query is multiplied by the keys' projection and the output by
  the values', so that heads attend to latents: 2 (R + P) and 2 R FLOPs a pair in place of 2 Q and
  2 V, and no projection of the cache (the paper's section 2.1.2; vLLM, SGLang, FlashMLA in decode).
- ``expanded``: keys and values of every head are cached, N (Q + V) elements, and only those of new
  tokens are projected. The fewest FLOPs, and the cache that latents were made to avoid.

Where tokens select what they attend to (DeepSeek Sparse Attention, arXiv 2512.02556), pairs and
latents are those selected: min(S, k) a token. A pass under a full mask pairs a token with all.
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.axes import Axes, named
from memorywall.core.geometry import Attention, Gemm, Product, Softmax, Space
from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.indexer import Indexer, record_indexer
from memorywall.layers.tape import Tape, new_part, normalised


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Shape of a multi-head latent attention.

    Attributes:
        heads: N.
        query_rank: elements that queries are projected through; None for one projection.
        rank: R, elements of the latent.
        plain, rotary: H and P, elements of a query that meet the latent and the rotated key.
        value: V, elements of a value.
        bias: whether the first projections and the last have biases.
        rotated: whether what is called rotated is; Kimi Linear leaves positions to other layers.
        selected: positions that a token attends to at most; None for all before it.
        indexer: what selects them; None where the layer takes the choice of one before it.
    """

    heads: int
    query_rank: int | None
    rank: int
    plain: int
    rotary: int
    value: int
    bias: bool = False
    rotated: bool = True
    selected: int | None = None
    indexer: Indexer | None = None


def record_latent_attention(
    tape: Tape, x: Tensor, a: LatentAttention, path: str = "attention"
) -> Tensor:
    """Project, attend in the form that the pass asks for, project back: [B T, D] in and out."""
    query, low = _query(tape, x, a, path)
    if a.indexer is not None:
        record_indexer(tape, x, low, a.indexer, path)
    attend = {"absorbed": _absorbed, "expanded": _expanded, "reexpanded": _reexpanded}
    context = attend[tape.forward.mla](tape, x, query, a, path)
    return tape.linear(f"{path}.o_proj", context, x.row_axes, a.bias)


def _query(tape: Tape, x: Tensor, a: LatentAttention, path: str) -> tuple[Tensor, Tensor]:
    """Return the queries, [B, T, N, H + P], their last P elements rotated, and their latents.

    Queries that are projected at once have no latents, and x is returned.
    """
    width, low = named(heads=a.heads, head_dim=a.plain + a.rotary), x
    if a.query_rank is None:
        query = tape.linear(f"{path}.q_proj", x, width)
    else:
        low = tape.linear(f"{path}.q_a_proj", x, named(q_latent=a.query_rank), a.bias)
        low = tape.norm(f"{path}.q_a_norm", low, "rmsnorm")
        query = tape.linear(f"{path}.q_b_proj", low, width)
    if not a.rotated:
        return query, low
    name = f"{path}.q_rotary"
    return tape.rotary(name, query, a.rotary, tape.like(name, query)), low


def _keys(tape: Tape, a: LatentAttention) -> Number:
    """Return the positions of a sequence that a pass attends to."""
    forward = tape.forward
    return forward.keys() if a.selected is None else forward.chosen(a.selected)


def _pairs(tape: Tape, a: LatentAttention) -> Number:
    """Return the (query, key) pairs of one sequence and head."""
    forward = tape.forward
    return forward.pairs(causal=True) if a.selected is None else forward.chosen_pairs(a.selected)


def _latent(
    tape: Tape, x: Tensor, a: LatentAttention, path: str, latent: Tensor, key: Tensor
) -> None:
    """Project x to the latents and the rotated keys of new tokens, and write them as given."""
    rows, rank = x.rows_axes, named(latent=a.rank)
    both = tape.linear(f"{path}.kv_a_proj", x, named(latent=a.rank + a.rotary), a.bias)
    gain = tape.weight(f"{path}.kv_a_norm.weight", rank)
    geometry = normalised("rmsnorm", rows + rank, rank)
    if not a.rotated:  # the norm's kernel passes the shared key on
        tape.op(f"{path}.kv_a_norm", geometry, (both, gain), latent, key)
        return
    tape.op(f"{path}.kv_a_norm", geometry, (both.part(rows + rank), gain), latent)
    rotated = both.part(rows + named(latent=a.rotary))
    tape.rotary(f"{path}.k_rotary", rotated, a.rotary, key)


def _kept(tape: Tape, a: LatentAttention, name: str, vector: Axes) -> Tensor:
    """Return a cache, whole pages of it set aside."""
    return tape.cache(name, tape.forward.cached(), _keys(tape, a), vector)


def _cache(tape: Tape, x: Tensor, a: LatentAttention, path: str) -> Tensor:
    """Return the cache of latents and rotated keys [B, S, R + P], into which the new are put."""
    cache = _kept(tape, a, f"{path}.latent_cache", named(latent=a.rank + a.rotary))
    new = new_part(cache, x).touched or ()
    latent, key = (cache.part((*new[:2], ("latent", n))) for n in (a.rank, a.rotary))
    _latent(tape, x, a, path, latent, key)
    return cache


def _read(cache: Tensor, width: int) -> Tensor:
    """Return the first ``width`` elements of every cached latent that a pass reads."""
    return cache.part((*(cache.touched or cache.axes)[:2], ("latent", width)))


def _absorbed(tape: Tape, x: Tensor, query: Tensor, a: LatentAttention, path: str) -> Tensor:
    rows, heads = x.rows_axes, named(heads=a.heads)
    latent, value = named(latent=a.rank), named(head_dim=a.value)
    cache = _cache(tape, x, a, path)
    up, down = _projections(tape, a, path)
    absorbed = tape.activation(f"{path}.k_up", rows + heads + latent, 2)
    inner = named(head_dim=a.plain)
    plain = query.part(rows + heads + inner)
    tape.op(f"{path}.k_up", Gemm(rows, inner, (latent,), heads), (plain, up), absorbed)
    rotated = query.part(rows + heads + named(head_dim=a.rotary))
    context = tape.activation(f"{path}.context", rows + heads + latent, 2)
    _attend(tape, (absorbed, cache, rotated), _read(cache, a.rank), context, a, path)
    out = tape.activation(f"{path}.v_up", rows + heads + value, 2)
    tape.op(f"{path}.v_up", Gemm(rows, latent, (value,), heads), (context, down), out)
    return out


def _reexpanded(tape: Tape, x: Tensor, query: Tensor, a: LatentAttention, path: str) -> Tensor:
    cache, heads = _cache(tape, x, a, path), named(heads=a.heads)
    kept = (cache.touched or cache.axes)[:2] + heads
    keys = tape.activation(f"{path}.keys", kept + named(head_dim=a.plain))
    values = tape.activation(f"{path}.values", kept + named(head_dim=a.value))
    _expand(tape, _read(cache, a.rank), a, path, keys, values)
    context = tape.activation(f"{path}.context", x.rows_axes + heads + named(head_dim=a.value), 2)
    _attend(tape, (query, keys, _read(cache, a.rotary)), values, context, a, path)
    return context


def _expanded(tape: Tape, x: Tensor, query: Tensor, a: LatentAttention, path: str) -> Tensor:
    rows, heads = x.rows_axes, named(heads=a.heads)
    keys = _kept(tape, a, f"{path}.k_cache", heads + named(head_dim=a.plain + a.rotary))
    values = _kept(tape, a, f"{path}.v_cache", heads + named(head_dim=a.value))
    latent = tape.activation(f"{path}.kv_a_norm", rows + named(latent=a.rank))
    new = (new_part(keys, x).touched or ())[:3]
    _latent(tape, x, a, path, latent, keys.part(new + named(head_dim=a.rotary)))
    _expand(tape, latent, a, path, keys.part(new + named(head_dim=a.plain)), new_part(values, x))
    context = tape.activation(f"{path}.context", rows + heads + named(head_dim=a.value), 2)
    _attend(tape, (query, keys), values, context, a, path)
    return context


def _projections(tape: Tape, a: LatentAttention, path: str) -> tuple[Tensor, Tensor]:
    """Return the two halves of the projection of latents, which is stored as one array."""
    name, rank = f"{path}.kv_b_proj", a.rank
    return (
        tape.weight(f"{name}.keys", named(heads=a.heads, head_dim=a.plain, latent=rank)),
        tape.weight(f"{name}.values", named(heads=a.heads, head_dim=a.value, latent=rank)),
    )


def _expand(
    tape: Tape, latent: Tensor, a: LatentAttention, path: str, keys: Tensor, values: Tensor
) -> None:
    """Project latents to every head's keys (without the rotated part) and values."""
    *rows, inner = latent.touched or latent.axes
    up, down = _projections(tape, a, path)
    for name, width, weight, out in (("k", a.plain, up, keys), ("v", a.value, down, values)):
        geometry = Gemm(tuple(rows), (inner,), (named(heads=a.heads, head_dim=width),))
        tape.op(f"{path}.{name}_up", geometry, (latent, weight), out)


def _attend(
    tape: Tape,
    reads: tuple[Tensor, ...],
    values: Tensor,
    context: Tensor,
    a: LatentAttention,
    path: str,
) -> None:
    """Q K^T, softmax, P V; ``reads`` are the queries, the keys and what else the scores need."""
    forward = tape.forward
    absorbed, expanded = forward.mla == "absorbed", forward.mla == "expanded"
    keys, pairs = _keys(tape, a), _pairs(tape, a)
    axes = (("batch", forward.batch), ("heads", a.heads), ("pairs", pairs))
    scores = tape.activation(f"{path}.scores", axes, 3)
    probabilities = tape.activation(f"{path}.probabilities", axes, 3)

    def product(which: Product, vector: Axes) -> Attention:
        shared = 1 if absorbed else a.heads
        return Attention(
            which, forward.batch, a.heads, shared, vector, forward.tokens, keys, pairs, "causal",
            latent=not expanded,
        )  # fmt: skip

    inner = named(latent=a.rank + a.rotary) if absorbed else named(head_dim=a.plain + a.rotary)
    tape.op(f"{path}.scores", product("qk", inner), reads, scores)
    geometry = Softmax((Space(FLOPS_PER_ELEMENT["softmax"], axes),))
    tape.op(f"{path}.softmax", geometry, (scores,), probabilities)
    outer = named(latent=a.rank) if absorbed else named(head_dim=a.value)
    tape.op(f"{path}.context", product("pv", outer), (probabilities, values), context)
