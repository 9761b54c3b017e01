"""The formats of GGUF files by number: name, weights in a block, and the bytes of one.

The numbers are those of ggml.h (https://github.com/ggml-org/ggml); the blocks are in the table of
formats.
"""

from __future__ import annotations

from memorywall.core.formats import FORMATS

_QUANTISED = {
    2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS",
    19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0",
    35: "TQ2_0", 41: "Q1_0", 42: "Q2_0",
}  # fmt: skip


def _block(name: str) -> tuple[str, int, int]:
    format_ = FORMATS[name.casefold()]
    return name, format_.block, format_.block_bytes


# Number: name, weights of a block, its bytes.
BLOCKS = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    30: ("BF16", 1, 2),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    **{number: _block(name) for number, name in _QUANTISED.items()},
}
