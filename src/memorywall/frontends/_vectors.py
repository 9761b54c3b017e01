"""Methods whose weights are numbers of vectors in a table; arithmetic is in the activations'."""

from __future__ import annotations

from memorywall.core.errors import shown
from memorywall.core.formats import Beside, Format
from memorywall.core.storage import Storage
from memorywall.frontends._layouts import (
    WHOLE,
    NotCoveredError,
    Plain,
    by_name,
    choose,
    each_within,
    none_of,
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
    codes = Beside(books * (8 if bits <= 8 else 16), rows=out, columns=inner)
    tables = Beside(books * 2**bits * inner * out * plain.rest.bits, rows=WHOLE, columns=WHOLE)
    name = f"AQLM {books}x{bits}"
    return Storage(name, _coded(name, codes, tables, scale(plain.rest, rows=out)), plain.rest)


def _coded(name: str, *beside: Beside) -> Format:
    """Return weights of which nothing is stored one by one."""
    return Format(name, 0, beside=beside)


def read_vptq(part: Config, plain: Plain) -> Storage:
    """Packed codes of runs of rows, their tables, an order and two scales of the inputs.

    VPTQ, vptq/layers/vqlinear.py: what has no settings by its path is left.
    """
    none_of(part, "shared_layer_config", "enable_proxy_error")
    own = {
        name: _vptq_format(settings, plain)
        for name, settings in each_within(part.within("config_for_layers"))
        if settings is not None
    }
    if not own:
        raise NotCoveredError("no 'config_for_layers'")
    titles = dict.fromkeys(format_.name for format_ in own.values())
    return Storage(
        " and ".join(titles), plain.rest, plain.rest, by_module=by_name(own, plain.layers)
    )


def _vptq_format(settings: Config, plain: Plain) -> Format:
    length, codes, residues = (
        _second(settings, key) for key in ("vector_lens", "num_centroids", "num_res_centroids")
    )
    is_packed = settings.flag("is_indice_packed", True)
    if length < 1 or codes < 2 or not is_packed or settings.size("group_num", 1) != 1:
        raise NotCoveredError(f"'vector_lens' {length} of {codes} in groups, or unpacked codes")
    # The base of a logarithm as VPTQ takes it: whole bits.
    bits = codes.bit_length() - 1 + (residues.bit_length() - 1 if residues > 0 else 0)
    tables = (codes + max(0, residues)) * length * plain.rest.bits
    beside = [
        Beside(bits, rows=length, columns=1),
        Beside(tables, rows=WHOLE, columns=WHOLE),
    ]
    if settings.flag("enable_perm", False):
        beside.append(Beside(16, rows=WHOLE, columns=1))
    if settings.flag("enable_norm", False):
        beside.append(Beside(2 * plain.rest.bits, rows=WHOLE, columns=1))
    return _coded(f"VPTQ v{length}-k{codes}-{max(0, residues)}", *beside)


def _second(settings: Config, key: str) -> int:
    """Return the second of two numbers: the first, of outliers, must be absent, written -1."""
    value = settings.data.get(key)
    pair = value if isinstance(value, list) and len(value) == 2 else [None, None]
    if pair[0] not in (-1, 0) or type(pair[1]) is not int or not -1 <= pair[1] <= 2**20:
        raise NotCoveredError(f"{key!r} {shown(value)}")
    return pair[1]


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
