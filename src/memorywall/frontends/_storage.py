"""The format of weights from files of safetensors: one for all, or the mean of their bytes."""

from __future__ import annotations

from memorywall.core.formats import find_format
from memorywall.core.storage import MeanFormat, Storage, Stored

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


def mean_of_files(stored: Stored, parameters: int, reason: str) -> Storage:
    """Return one format for every weight, so that their total is that of the files.

    Args:
        stored: the tensors of the files.
        parameters: weights of the model.
        reason: why the format of single weights is not known; a clause.
    """
    bits = 8 * stored.nbytes // max(1, parameters)
    mean = MeanFormat(
        "mean of the files", bits, stored_bytes=stored.nbytes, stored_elements=max(1, parameters)
    )
    note = f"The mean of the files' bytes is counted for every weight: {reason}."
    return Storage(
        f"{mean.bits_per_element:.2f} bits, the mean of the files", mean, mean, notes=(note,)
    )
