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
"""

from __future__ import annotations

from dataclasses import dataclass

from memorywall.core.numbers import Number
from memorywall.core.tensors import Tensor
from memorywall.layers.element_costs import FLOPS_PER_ELEMENT
from memorywall.layers.tape import Tape


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
    """

    heads: int
    query_rank: int | None
    rank: int
    plain: int
    rotary: int
    value: int
    bias: bool = False
    rotated: bool = True


def record_latent_attention(
    tape: Tape, x: Tensor, a: LatentAttention, path: str = "attention"
) -> Tensor:
    """Project, attend in the form that the pass asks for, project back: [B T, D] in and out."""
    query = _query(tape, x, a, path)
    attend = {"absorbed": _absorbed, "expanded": _expanded, "reexpanded": _reexpanded}
    context = attend[tape.forward.mla](tape, x, query, a, path)
    return tape.linear(f"{path}.o_proj", context, int(x.shape[-1]), a.bias)


def _query(tape: Tape, x: Tensor, a: LatentAttention, path: str) -> Tensor:
    """Return the queries, B T rows of N (H + P), their last P elements rotated."""
    width = a.heads * (a.plain + a.rotary)
    if a.query_rank is None:
        query = tape.linear(f"{path}.q_proj", x, width)
    else:
        low = tape.linear(f"{path}.q_a_proj", x, a.query_rank, a.bias)
        low = tape.norm(f"{path}.q_a_norm", low, "rmsnorm")
        query = tape.linear(f"{path}.q_b_proj", low, width)
    if not a.rotated:
        return query
    rotated = tape.activation(f"{path}.q_rotary", *query.shape)
    return tape.rotary(f"{path}.q_rotary", query, a.heads, a.rotary, rotated)


def _latent(
    tape: Tape, x: Tensor, a: LatentAttention, path: str, latent: Tensor, key: Tensor
) -> None:
    """Project x to the latents and the rotated keys of new tokens, and write them as given."""
    rows = x.shape[0]
    both = tape.linear(f"{path}.kv_a_proj", x, a.rank + a.rotary, a.bias)
    gain = tape.weight(f"{path}.kv_a_norm.weight", a.rank)
    flops = FLOPS_PER_ELEMENT["rmsnorm"] * a.rank * rows
    if not a.rotated:  # the norm's kernel passes the shared key on
        tape.op(f"{path}.kv_a_norm", "norm", flops, (both, gain), latent, key, function="rmsnorm")
        return
    reads = (_part(both, rows, a.rank), gain)
    tape.op(f"{path}.kv_a_norm", "norm", flops, reads, latent, function="rmsnorm")
    tape.rotary(f"{path}.k_rotary", _part(both, rows, a.rotary), 1, a.rotary, key)


def _cache(tape: Tape, a: LatentAttention, path: str) -> Tensor:
    """Return the cache of latents and rotated keys, of which a pass reads B S rows of R + P."""
    name = f"{tape.block}.{path}.latent_cache"
    return _kept(tape, name, 1, a.rank + a.rotary)


def _kept(tape: Tape, name: str, vectors: int, width: int) -> Tensor:
    """Return a cache of so many vectors a position, whole pages of it set aside."""
    forward = tape.forward
    held, read = (forward.batch * n * vectors for n in (forward.cached(), forward.keys()))
    return Tensor(name, (held, width), forward.kv_cache, "kv_cache", (read, width))


def _absorbed(tape: Tape, x: Tensor, query: Tensor, a: LatentAttention, path: str) -> Tensor:
    rows, n = x.shape[0], a.heads
    cache = _cache(tape, a, path)
    _latent(tape, x, a, path, _part(cache, rows, a.rank), _part(cache, rows, a.rotary))
    up, down = _projections(tape, a, path)
    absorbed = tape.activation(f"{path}.k_up", rows, n * a.rank)
    flops = 2 * a.plain * a.rank * n * rows
    plain = _part(query, rows, n * a.plain)
    tape.op(f"{path}.k_up", "gemm", flops, (plain, up), absorbed, function="linear")
    rotated = _part(query, rows, n * a.rotary)
    context = tape.activation(f"{path}.context", rows, n * a.rank)
    values = _part(cache, _positions(cache), a.rank)
    _attend(tape, (absorbed, cache, rotated), values, context, a, path)
    out = tape.activation(f"{path}.v_up", rows, n * a.value)
    flops = 2 * a.rank * a.value * n * rows
    tape.op(f"{path}.v_up", "gemm", flops, (context, down), out, function="linear")
    return out


def _reexpanded(tape: Tape, x: Tensor, query: Tensor, a: LatentAttention, path: str) -> Tensor:
    rows, cache = x.shape[0], _cache(tape, a, path)
    _latent(tape, x, a, path, _part(cache, rows, a.rank), _part(cache, rows, a.rotary))
    kept = _positions(cache)
    keys = tape.activation(f"{path}.keys", kept * a.heads, a.plain)
    values = tape.activation(f"{path}.values", kept * a.heads, a.value)
    _expand(tape, _part(cache, kept, a.rank), a, path, keys, values)
    context = tape.activation(f"{path}.context", rows, a.heads * a.value)
    shared = _part(cache, kept, a.rotary)
    _attend(tape, (query, keys, shared), values, context, a, path)
    return context


def _expanded(tape: Tape, x: Tensor, query: Tensor, a: LatentAttention, path: str) -> Tensor:
    rows, n = x.shape[0], a.heads
    keys = _kept(tape, f"{tape.block}.{path}.k_cache", n, a.plain + a.rotary)
    values = _kept(tape, f"{tape.block}.{path}.v_cache", n, a.value)
    latent = tape.activation(f"{path}.kv_a_norm", rows, a.rank)
    _latent(tape, x, a, path, latent, _part(keys, rows * n, a.rotary))
    new = _part(keys, rows * n, a.plain), _part(values, rows * n, a.value)
    _expand(tape, latent, a, path, *new)
    context = tape.activation(f"{path}.context", rows, n * a.value)
    _attend(tape, (query, keys), values, context, a, path)
    return context


def _projections(tape: Tape, a: LatentAttention, path: str) -> tuple[Tensor, Tensor]:
    """Return the two halves of the projection of latents, which is stored as one array."""
    name = f"{path}.kv_b_proj"
    return (
        tape.weight(f"{name}.keys", a.heads * a.plain, a.rank),
        tape.weight(f"{name}.values", a.heads * a.value, a.rank),
    )


def _expand(
    tape: Tape, latent: Tensor, a: LatentAttention, path: str, keys: Tensor, values: Tensor
) -> None:
    """Project latents to every head's keys (without the rotated part) and values."""
    rows = (latent.touched or latent.shape)[0]
    up, down = _projections(tape, a, path)
    flops = 2 * a.rank * a.plain * a.heads * rows
    tape.op(f"{path}.k_up", "gemm", flops, (latent, up), keys, function="linear")
    flops = 2 * a.rank * a.value * a.heads * rows
    tape.op(f"{path}.v_up", "gemm", flops, (latent, down), values, function="linear")


def _attend(
    tape: Tape,
    reads: tuple[Tensor, ...],
    values: Tensor,
    context: Tensor,
    a: LatentAttention,
    path: str,
) -> None:
    """Q K^T, softmax, P V; ``reads`` are the queries, the keys and what else the scores need."""
    absorbed = tape.forward.mla == "absorbed"
    pairs = tape.forward.batch * a.heads * tape.forward.pairs(causal=True)
    scores = tape.activation(f"{path}.scores", pairs)
    probabilities = tape.activation(f"{path}.probabilities", pairs)
    inner = (a.rank if absorbed else a.plain) + a.rotary
    tape.op(f"{path}.scores", "attention", 2 * inner * pairs, reads, scores)
    cost = FLOPS_PER_ELEMENT["softmax"] * pairs
    tape.op(f"{path}.softmax", "softmax", cost, (scores,), probabilities)
    outer = a.rank if absorbed else a.value
    flops = 2 * outer * pairs
    tape.op(f"{path}.context", "attention", flops, (probabilities, values), context)


def _positions(cache: Tensor) -> Number:
    """Return how many rows of a cache a pass reads."""
    return (cache.touched or cache.shape)[0]


def _part(whole: Tensor, rows: Number, width: int) -> Tensor:
    """Return so many rows and columns of an array, as what one operator moves of it."""
    return Tensor(whole.name, whole.shape, whole.format, whole.role, (rows, width))
