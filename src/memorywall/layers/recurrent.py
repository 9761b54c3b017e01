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

from memorywall.core.axes import Axes, named
from memorywall.core.forward import Forward
from memorywall.core.geometry import Conv, Scan, Space
from memorywall.core.tensors import Tensor
from memorywall.layers.recurrence_flops import chunk_pairs
from memorywall.layers.tape import Tape, join, spaces_of


def recurrent_state(tape: Tape, name: str, axes: Axes, row: int = 1) -> Tensor:
    """Return a state of every sequence, in the format that the question or architecture says."""
    forward = tape.forward
    format_ = forward.state or forward.activations
    axes = (("batch", forward.batch), *axes)
    return Tensor(f"{tape.block}.{name}", axes, format_, "state", row=row)


def record_scan(
    tape: Tape,
    name: str,
    geometry: Scan,
    reads: tuple[Tensor, ...],
    state: Tensor,
    out: Tensor,
) -> Tensor:
    """Note one scan; ``reads`` are its inputs and weights."""
    if tape.forward.step:
        reads = (*reads, state)
    tape.op(name, geometry, reads, out, state)
    return out


def short_convolution(
    tape: Tape,
    name: str,
    x: Tensor,
    kernel: int,
    *channels: Axes,
    bias: bool,
    held: int | None = None,
) -> Tensor:
    """Convolve every channel with its own last W tokens: [B T, C] or that part of x in, out.

    ``channels`` are their axes, of several parts side by side those of each. 2 W FLOPs an element,
    the bias inside. Between steps it keeps a window of ``held`` tokens, W unless said otherwise:
    W - 1 would do, but the published code keeps the newest one too.
    """
    forward, rows, taps = tape.forward, x.rows_axes, named(kernel=kernel)
    parts = channels if len(channels) > 1 else ()
    every = join(parts) if parts else channels[0]
    window = Tensor(
        f"{tape.block}.{name}.window",
        (("batch", forward.batch), *every, ("kernel", kernel if held is None else held)),
        forward.activations,
        "state",
        parts=parts,
    )
    weight = tape.weight(f"{name}.weight", every + taps, parts=parts)
    reads: tuple[Tensor, ...] = (x.part(rows + every), weight)
    if bias:
        reads = (*reads, tape.weight(f"{name}.bias", every, len(every), parts=parts))
    if forward.step:
        reads = (*reads, window)
    out = tape.activation(name, rows + every, len(every), parts=parts)
    tape.op(name, Conv(spaces_of(2 * kernel, out), kernel, (), "depthwise"), reads, out, window)
    return out


def selective_scan(rows: Axes, channels: Axes, states: int) -> Scan:
    """Return Mamba's scan over some rows, always in the recurrent form.

    Gu and Dao, "Mamba", arXiv 2312.00752, equations 2a and 4 and section 3.3: for a token, of each
    of C channels with N numbers of state

        h = exp(d A) h + (d x) B      d A, exp, two products and a sum, and d x once: 5 N + 1
        y = C h + D x                 2 N + 2
        y silu(z)                     5

    where d = softplus(d + bias) takes 4 (sum, exponential, sum, logarithm). A is made of its
    logarithm once a pass, which is not counted.
    """
    each = rows + channels
    return Scan((Space(7, each + named(state=states)), Space(12, each)), "selective_scan")


def ssd_step(rows: Axes, heads: int, head_dim: int, states: int) -> Scan:
    """Return Mamba-2's scan in the recurrent form, over some rows.

    Dao and Gu, "Transformers are SSMs", arXiv 2405.21060, section 2: of each of H heads of P
    channels with N numbers of state each, A is one number

        h = exp(d A) h + (d x) B^T    d A and exp: 2; d x: P; outer product, product, sum: 3 P N
        y = C h + D x                 2 P N + 2 P

    where d = softplus(d + bias) takes 4. A gate stands outside.
    """
    each, channel = rows + named(ssm_heads=heads), named(ssm_head_dim=head_dim)
    work = (
        Space(5, each + channel + named(state=states)), Space(3, each + channel), Space(6, each),
    )  # fmt: skip
    return Scan(work, "ssd")


def ssd_chunked(
    forward: Forward, heads: int, head_dim: int, states: int, groups: int, chunk: int
) -> Scan:
    """Return Mamba-2's scan in the chunked form, over tokens with nothing before.

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
    batch, head = named(batch=forward.batch), named(ssm_heads=heads)
    channel, state = named(ssm_head_dim=head_dim), named(state=states)
    token = forward.row_axes + head
    pairs = batch + named(pairs=chunk_pairs(forward, chunk))
    every = batch + named(chunks=-(-forward.tokens // chunk)) + head
    work = (
        Space(4, token + channel + state), Space(6, token + channel), Space(9, token),
        Space(2, pairs + named(groups=groups) + state), Space(2, pairs + head + channel),
        Space(3, pairs + head), Space(2, every + channel + state), Space(1, every),
    )  # fmt: skip
    return Scan(work, "ssd")
