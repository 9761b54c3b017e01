"""The format of weights from files of safetensors: one for all."""

from __future__ import annotations

from memorywall.core.formats import find_format
from memorywall.core.storage import Storage, Stored

# The names of safetensors for formats that weights may have.
_FORMATS = {"F64": "fp64", "F32": "fp32", "BF16": "bf16", "F16": "fp16", "F8_E4M3": "fp8",
            "F8_E5M2": "fp8", "I8": "int8"}  # fmt: skip


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
