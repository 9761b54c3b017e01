"""The memory that engines keep beside a model, by the class of a device: one rule a class."""

from __future__ import annotations

from dataclasses import replace

from memorywall.core.errors import InvalidInputError, shown
from memorywall.core.fit import Reserve

_MIB = 2**20
_VLLM = (
    "class rule: vLLM takes 0.9 of the memory by default (gpu_memory_utilization, "
    "https://docs.vllm.ai/en/latest/configuration/engine_args.html), and reports 0.25 GiB beside "
    "PyTorch's (https://github.com/vllm-project/vllm/issues/13061)"
)
_ACCELERATOR = Reserve(0.9, 256 * _MIB, _VLLM)
_SYSTEM_ON_CHIP = Reserve(
    1.0, 256 * _MIB, "class rule: the usable memory leaves the system's out; a runtime of 0.25 GiB"
)
_PROCESSOR = Reserve(0.9, 0, "class rule: a tenth of the memory is left to the system")
# By the class of a device, and of any other.
RESERVES = {
    "consumer GPU": _ACCELERATOR,
    "workstation GPU": _ACCELERATOR,
    "data-centre GPU": _ACCELERATOR,
    "TPU": _ACCELERATOR,
    "system on chip": _SYSTEM_ON_CHIP,
    "server CPU": _PROCESSOR,
    "desktop CPU": _PROCESSOR,
}


def reserve_of(device_class: str, utilisation: float | None = None) -> Reserve:
    """Return the reserve of a class of devices, with another utilisation if one is given.

    Raises:
        InvalidInputError: a utilisation that is not a share above 0 and up to 1.
    """
    known = RESERVES.get(device_class, _ACCELERATOR)
    if utilisation is None:
        return known
    good = isinstance(utilisation, int | float) and not isinstance(utilisation, bool)
    if not good or not 0 < utilisation <= 1:
        raise InvalidInputError(
            f"utilisation must be a share above 0 and up to 1, got {shown(utilisation)}.",
            "For example 0.9.",
        )
    return replace(known, utilisation=float(utilisation))
