"""Classes of devices, which share the constants of a pass."""

from __future__ import annotations

from memorywall.core.hardware import Hardware

# A class by the kind of device, where the vendor does not matter.
_BY_KIND = {
    "desktop CPU": "desktop-cpu",
    "server CPU": "server-cpu",
    "single-board CPU": "board-cpu",
    "TPU": "tpu",
    "AI accelerator": "npu",
}
_GPUS = ("consumer GPU", "workstation GPU", "data-centre GPU")
_BY_VENDOR = {"NVIDIA": "nvidia", "AMD": "amd", "Intel": "intel"}
CLASSES = (
    "nvidia-gpu", "nvidia-data-centre-gpu", "amd-gpu", "amd-data-centre-gpu", "intel-gpu",
    "intel-data-centre-gpu", "apple", "unified-memory-pc", "desktop-cpu", "server-cpu",
    "board-cpu", "tpu", "npu", "other",
)  # fmt: skip


def class_of(hardware: Hardware) -> str:
    """Return the class of a device, one of ``CLASSES``.

    Data-centre GPUs with GDDR memory, such as the L40S, have the chips of workstation GPUs and are
    of their class. A forecast or a device of unknown kind is ``other``.
    """
    kind = hardware.device_class
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    if kind == "system on chip":
        return "apple" if hardware.vendor == "Apple" else "unified-memory-pc"
    vendor = _BY_VENDOR.get(hardware.vendor)
    if kind not in _GPUS or vendor is None:
        return "other"
    stacked = kind == "data-centre GPU" and hardware.main_memory.name.startswith("HBM")
    return f"{vendor}-data-centre-gpu" if stacked else f"{vendor}-gpu"
