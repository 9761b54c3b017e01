"""The state of a GPU from its driver's tool: clocks, temperature, and reasons of throttling."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

_ASKED = (
    "name", "driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "temperature.gpu",
    "power.draw", "power.limit", "memory.total", "clocks_event_reasons.active",
)  # fmt: skip

# Bits of NVML's nvmlClocksEventReasons that slow a kernel down; idling and a clock set by the user
# are not among them.
_HELD_BACK = {
    0x04: "its power limit (software)",
    0x08: "a hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "the power supply's brake",
}


def describe() -> dict[str, Any]:
    """Return the state of the first GPU; empty without its driver's tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    words = [tool, "-i", "0", f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader,nounits"]
    try:
        run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return read(run.stdout) if run.returncode == 0 else {}


def read(line: str) -> dict[str, Any]:
    """Read the tool's answer: one line, one field per query; Hz, W and degrees C."""
    fields = [field.strip() for field in line.strip().split(",")]
    if len(fields) != len(_ASKED):
        return {}
    said = dict(zip(_ASKED, fields, strict=True))
    return {
        "gpu": said["name"],
        "driver": said["driver_version"],
        "clock_hz": _number(said["clocks.sm"], 1e6),
        "most_clock_hz": _number(said["clocks.max.sm"], 1e6),
        "memory_clock_hz": _number(said["clocks.mem"], 1e6),
        "temperature_c": _number(said["temperature.gpu"]),
        "power_w": _number(said["power.draw"]),
        "power_limit_w": _number(said["power.limit"]),
        "gpu_memory_bytes": _number(said["memory.total"], 2**20),
        "throttled": list(_held_back(said["clocks_event_reasons.active"])),
    }


def _held_back(bits: str) -> Iterator[str]:
    try:
        active = int(bits, 16)
    except ValueError:  # an older driver has no such field
        return
    for bit, reason in _HELD_BACK.items():
        if active & bit:
            yield reason


def _number(text: str, unit: float = 1.0) -> float | None:
    try:
        return float(text) * unit
    except ValueError:
        return None
