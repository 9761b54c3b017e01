"""Recurrent layers: state in place of a cache, scans over the tokens, short convolutions.

A scan is one operator, as kernels run it: it reads its inputs once, and the state of each token in
between stays on chip. A prefill writes the last state; a step reads and writes it whole. Its FLOPs
are given by formulas here, each with its source; as everywhere one multiplication, addition or
exponential is one FLOP, so that a multiply-add is two.

A scan that is a chain of elementwise updates is counted in the ``recurrent`` form at any length.
One that published kernels run by chunks, as products within a chunk and states between chunks, is
counted in the ``chunked`` form in a prefill and in the recurrent one in a step. Its products are
part of the scan, not ``gemm``. Letters: B batch, T new tokens, C channels, W width of a kernel.
"""

from __future__ import annotations

from memorywall.core.forward import Forward
from memorywall.core.numbers import Number, halved
from memorywall.core.tensors import Tensor
from memorywall.layers.tape import Tape


def part(whole: Tensor, rows: Number, width: int) -> Tensor:
    """Return so many rows and columns of an array, as what one operator moves of it."""
    return Tensor(whole.name, whole.shape, whole.format, whole.role, (rows, width))


def recurrent_state(tape: Tape, name: str, *shape: Number) -> Tensor:
    """Return a state, (B, ...), in the format that the question or the architecture says."""
    forward = tape.forward
    format_ = forward.state or forward.activations
    return Tensor(f"{tape.block}.{name}", shape, format_, "state")


def record_scan(
    tape: Tape,
    name: str,
    function: str,
    flops: Number,
    reads: tuple[Tensor, ...],
    state: Tensor,
    out: Tensor,
) -> Tensor:
    """Note one scan; ``function`` names which, ``reads`` are its inputs and weights."""
    if tape.forward.step:
        reads = (*reads, state)
    tape.op(name, "scan", flops, reads, out, state, function=function)
    return out


def short_convolution(
    tape: Tape, name: str, x: Tensor, kernel: int, *, bias: bool, held: int | None = None
) -> Tensor:
    """Convolve every channel with its own last W tokens: [B T, C] or that part of x in, out.

    2 W FLOPs an element, the bias inside. Between steps it keeps a window of ``held`` tokens, W
    unless said otherwise: W - 1 would do, but the published code keeps the newest one too.
    """
    forward = tape.forward
    rows, channels = (x.touched or x.shape)[0], int((x.touched or x.shape)[1])
    shape = (forward.batch, channels, kernel if held is None else held)
    window = Tensor(f"{tape.block}.{name}.window", shape, forward.activations, "state")
    reads: tuple[Tensor, ...] = (x, tape.weight(f"{name}.weight", channels, kernel))
    if bias:
        reads = (*reads, tape.weight(f"{name}.bias", channels))
    if forward.step:
        reads = (*reads, window)
    out = tape.activation(name, rows, channels)
    flops = 2 * kernel * channels * rows
    tape.op(name, "conv", flops, reads, out, window, function="depthwise")
    return out


def selective_scan_flops(rows: Number, channels: int, states: int) -> Number:
    """Return the FLOPs of Mamba's scan over so many tokens, always in the recurrent form.

    Gu and Dao, "Mamba", arXiv 2312.00752, equations 2a and 4 and section 3.3: for a token, of each
    of C channels with N numbers of state

        h = exp(d A) h + (d x) B      d A, exp, two products and a sum, and d x once: 5 N + 1
        y = C h + D x                 2 N + 2
        y silu(z)                     5

    where d = softplus(d + bias) takes 4 (sum, exponential, sum, logarithm). A is made of its
    logarithm once a pass, which is not counted.
    """
    return (7 * states + 12) * channels * rows


def ssd_step_flops(rows: Number, heads: int, head_dim: int, states: int) -> Number:
    """Return the FLOPs of Mamba-2's scan in the recurrent form, for so many tokens.

    Dao and Gu, "Transformers are SSMs", arXiv 2405.21060, section 2: of each of H heads of P
    channels with N numbers of state each, A is one number

        h = exp(d A) h + (d x) B^T    d A and exp: 2; d x: P; outer product, product, sum: 3 P N
        y = C h + D x                 2 P N + 2 P

    where d = softplus(d + bias) takes 4. A gate stands outside.
    """
    return (5 * head_dim * states + 3 * head_dim + 6) * heads * rows


def ssd_chunked_flops(
    forward: Forward, heads: int, head_dim: int, states: int, groups: int, chunk: int
) -> Number:
    """Return the FLOPs of Mamba-2's scan in the chunked form, over tokens with nothing before.

    Dao and Gu, arXiv 2405.21060, section 6 and listing 1, as the kernels of mamba_ssm run it:

        a token and head: d as in a step: 4; d A and its running sum: 2; the decays to the chunk's
            end and from its start, with the difference: 3; d x, times the decay, the state's
            output times its decay, both outputs' sum, D x and its sum: 6 P; the chunk's state
            and the output of the one before, each a product: 4 P N
        a pair (token, one not later, of one chunk): C B^T, which heads of a group share: 2 N a
            group; a head's decay (difference, exponential) times it: 3; times x: 2 P
        a chunk and head: the state before it decayed and added: 2 P N + 1

    Pairs are those of the causal half unless the pass pairs every token of a chunk with all of it.
    """
    tokens = forward.tokens
    whole, rest = tokens // chunk, tokens % chunk
    if forward.full:
        pairs = whole * (chunk * chunk) + rest * rest
    else:
        pairs = whole * (chunk * (chunk + 1) // 2) + halved(rest * (rest + 1))
    by_token = heads * (4 * head_dim * states + 6 * head_dim + 9)
    by_pair = groups * 2 * states + heads * (2 * head_dim + 3)
    by_chunk = heads * (2 * head_dim * states + 1)
    chunks = -(-tokens // chunk)
    return forward.batch * (by_token * tokens + by_pair * pairs + by_chunk * chunks)
