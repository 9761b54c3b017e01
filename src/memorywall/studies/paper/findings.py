"""What the case study holds: quantities over lengths, latencies, and decode by batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LengthCurve:
    """One quantity of one model over sequence lengths: ours, published, and measured here.

    Of an experiment, ours and measured are of the first lengths only.
    """

    model: str
    quantity: str
    lengths: tuple[int, ...]
    ours: tuple[float, ...]
    published: tuple[float, ...]
    measured: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """One run of the case study here, in times BERT-Base at the first length, and in seconds.

    Attributes:
        model, seq_len, batch_size: what ran.
        predicted, measured, published: relative; None where it did not run or is not printed.
        predicted_s, measured_s: of one run.
    """

    model: str
    seq_len: int
    batch_size: int
    predicted: float
    measured: float | None
    published: float | None
    predicted_s: float
    measured_s: float | None


@dataclass(frozen=True, slots=True)
class Roof:
    """Decode on one device: how it waits on memory at each batch size, and where that ends.

    Attributes:
        device, dtype, seq_len: on what, in which format, at which context.
        batch_sizes: those asked for.
        waiting: for each, the share of the time in memory-bound operators.
        leaves_at: the smallest batch that is compute-bound at this context; None for none.
        longest_leaving: the longest of the contexts looked at where a batch is compute-bound, or 0.
    """

    device: str
    dtype: str
    seq_len: int
    batch_sizes: tuple[int, ...]
    waiting: tuple[float, ...]
    leaves_at: int | None
    longest_leaving: int
