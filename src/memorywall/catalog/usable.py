"""The usable part of a main memory whose driver's figure is not published: one rule a class.

A label of 24 GB is 24 GiB of chips. Drivers keep a part of them, and GDDR5 and GDDR6 hold the codes
of ECC in 1/16 of the data. The shares below are of the label read in GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30
_SMALL_APPLE = 36  # GiB up to which macOS gives the GPU two thirds by default, not three quarters


@dataclass(frozen=True, slots=True)
class UsableRule:
    """The share of memory that a class of devices reports as usable.

    Attributes:
        device_class, vendor, memory: what a device must have; ``memory`` is how the name of its
            main memory begins, and "" is any.
        share: of the label in GiB.
        reason: the published figures from which the share follows.
    """

    device_class: str
    vendor: str
    memory: str
    share: float
    reason: str


# The first that applies. Each reason names totals that CUDA, ROCm, XLA or Level Zero report.
RULES = (
    UsableRule(
        "data-centre GPU", "NVIDIA", "HBM", 0.99,
        "CUDA reports 79.15 of 80 GiB on A100, 178.35 of 180 on B200",
    ),
    UsableRule(
        "data-centre GPU", "NVIDIA", "GDDR7", 0.989, "CUDA reports 94.97 of 96 GiB on RTX PRO 6000"
    ),
    UsableRule(
        "data-centre GPU", "NVIDIA", "GDDR", 0.92,
        "ECC takes 1/16; CUDA reports 14.7 of 16 GiB on T4, 22.1 of 24 on A10, 44.4 of 48 on L40S",
    ),
    UsableRule(
        "workstation GPU", "NVIDIA", "", 0.985, "ECC is off by default; CUDA reports 47.5 of 48 GiB"
    ),
    UsableRule(
        "consumer GPU", "NVIDIA", "", 0.97, "CUDA reports 15.47 of 16 GiB, 11.63 of 12, 7.63 of 8"
    ),
    UsableRule("data-centre GPU", "AMD", "", 0.998, "ROCm reports 191.7 of 192 GiB on MI300X"),
    UsableRule("workstation GPU", "AMD", "", 0.998, "ROCm reports 23.98 of 24 GiB on 7900 XTX"),
    UsableRule("consumer GPU", "AMD", "", 0.998, "ROCm reports 23.98 of 24 GiB on 7900 XTX"),
    UsableRule("workstation GPU", "Intel", "", 0.944, "XPU reports 15,473 of 16,384 MiB on A770"),
    UsableRule("consumer GPU", "Intel", "", 0.944, "XPU reports 15,473 of 16,384 MiB on A770"),
    UsableRule(
        "TPU", "Google", "", 0.976, "XLA reports 31.25 of 32 GiB on v6e, 15.75 of 16 on v5e"
    ),
    UsableRule(
        "system on chip", "Apple", "", 0.75,
        "recommendedMaxWorkingSetSize of Metal; two thirds up to 36 GiB",
    ),
    UsableRule(
        "system on chip", "NVIDIA", "", 0.95,
        "CUDA reports 121.7 of 128 GiB on GB10, 122.8 on Thor; the system takes a part of it",
    ),
    UsableRule(
        "system on chip", "", "", 0.75, "the most that firmware gives the GPU is 96 of 128 GB"
    ),
)  # fmt: skip


def usable_by_class(
    device_class: str, vendor: str, memory: str, capacity: float
) -> tuple[float, str] | None:
    """Return the usable bytes of a main memory by its class, and their source; None without a rule.

    Args:
        device_class, vendor, memory: of the device, as its file gives them.
        capacity: byte, the label: decimal gigabytes, unless they are whole GiB.
    """
    for rule in RULES:
        wanted = (rule.device_class, rule.vendor or vendor)
        if (device_class, vendor) == wanted and memory.startswith(rule.memory):
            label = capacity / GIB if capacity % GIB == 0 else capacity / 1e9
            share = 2 / 3 if vendor == "Apple" and label <= _SMALL_APPLE else rule.share
            said = f"class rule: {share:.3g} of the label in GiB ({rule.reason})"
            return round(label * share * GIB), said
    return None
