"""Methods whose weights are numbers of vectors in a table; arithmetic is in the activations'."""

from __future__ import annotations

from memorywall.core.formats import Beside, Format
from memorywall.core.storage import Storage
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    Plain,
    choose,
    scale,
    title_of,
    with_beside,
)
from memorywall.reading.config_values import Config


def read_aqlm(part: Config, plain: Plain) -> Storage:
    """Codes for blocks of weights, tables of the blocks behind the codes, a scale a row of blocks.

    AQLM, inference_lib/src/aqlm/inference.py: codes are kept in 8 or 16 bits.
    """
    inner, out = part.size("in_group_size", 8), part.size("out_group_size", 1)
    books, bits = part.size("num_codebooks", 1), part.size("nbits_per_codebook", 16, most=16)
    kept_bits = books * (8 if bits <= 8 else 16)
    if kept_bits % (inner * out):
        raise NotCoveredError(f"codes of {kept_bits} bits for {inner * out} weights")
    tables = Beside(books * 2**bits * inner * out * plain.rest.bits, rows=WHOLE, columns=WHOLE)
    each = kept_bits // (inner * out)
    format_ = with_beside(Format(f"int{each}", each), tables, scale(plain.rest, rows=out))
    return Storage(f"AQLM {books}x{bits}", format_, plain.rest)


def read_higgs(part: Config, plain: Plain) -> Storage:
    """Codes, a scale for each group, and two tables of values (transformers' HiggsLinear)."""
    bits = choose(part, "bits", (2, 3, 4))
    group = _choose_group(part)
    values = (2**bits + 2 * 4**bits) * plain.rest.bits
    format_ = Format(f"int{bits}", bits, group, plain.rest.bits)
    tables = Beside(values, rows=WHOLE, columns=WHOLE)
    return Storage(f"HIGGS {title_of(format_)}", with_beside(format_, tables), plain.rest)


def _choose_group(part: Config) -> int:
    group = part.size("group_size", 256)
    if group not in (64, 128, 256):
        raise NotCoveredError(f"'group_size' {group}")
    return group
