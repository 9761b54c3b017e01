"""The description of this machine, and its load from other processes."""

from __future__ import annotations

import datetime as dt
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_LIBRARIES = ("numpy", "numba", "torch", "transformers")


def describe(threads: int) -> dict[str, Any]:
    """Return the metadata of every record."""
    return {
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "threads": threads,
        "memory_bytes": _memory_bytes(),
        "caches": caches(),
        "transparent_huge_pages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clock_hz": _clock_hz(),
        "temperature_c": _temperature(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def cpu_name() -> str:
    """Return the processor's name."""
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def caches() -> dict[str, int]:
    """Return the size in bytes of each data cache that core 0 sees, by level."""
    found: dict[str, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level = _text(folder / "type"), _text(folder / "level")
        size = _text(folder / "size") or ""
        if kind in ("Data", "Unified") and size.endswith("K") and size[:-1].isdigit():
            found[f"L{level}"] = int(size[:-1]) * 1024
    return found


def busy_share(seconds: float = 0.3) -> float | None:
    """Return the load of other processes in cores; None if the system does not report it.

    From the kernel's counts over a pause in which this process sleeps.
    """
    before = _busy_and_total()
    time.sleep(seconds)
    after = _busy_and_total()
    if before is None or after is None or after[1] == before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1]) * (os.cpu_count() or 1)


def wait_until_idle(patience_s: float = 5.0, most_busy: float = 0.15) -> float | None:
    """Wait, up to a limit, for other processes to be idle; return their remaining load."""
    deadline = time.monotonic() + patience_s
    busy = busy_share()
    while busy is not None and busy > most_busy and time.monotonic() < deadline:
        busy = busy_share()
    return busy


class Company:
    """The load of other processes during a measurement, from the creation of this object."""

    def __init__(self) -> None:
        self._begun, self._before = time.monotonic(), _busy_and_total()
        self._stolen, self._own = _stolen_s(), _own_s()

    def seen(self) -> dict[str, float | None]:
        """Return the load of other processes and the time that the host withheld, both in cores."""
        after, seconds = _busy_and_total(), max(1e-9, time.monotonic() - self._begun)
        if self._before is None or after is None:
            return {"others_cores": None, "stolen_cores": None}
        busy_s = (after[0] - self._before[0]) / _TICKS
        others = max(0.0, busy_s - (_own_s() - self._own))
        return {
            "others_cores": others / seconds,
            "stolen_cores": (_stolen_s() - self._stolen) / seconds,
        }


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def _own_s() -> float:
    """Return the processor time of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _stolen_s() -> float:
    """Return the time in which a host ran other guests on these cores; 0 on bare metal."""
    fields = (_text("/proc/stat") or "").partition("\n")[0].split()
    return int(fields[8]) / _TICKS if len(fields) > 8 else 0.0


def _busy_and_total() -> tuple[int, int] | None:
    line = (_text("/proc/stat") or "").partition("\n")[0]
    if not line.startswith("cpu "):
        return None
    times = [int(field) for field in line.split()[1:9]]
    waited = times[3] + times[4] + times[7]  # idle, idle for a disk, and withheld by the host
    return sum(times) - waited, sum(times)


def _memory_bytes() -> int | None:
    for line in (_text("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _clock_hz() -> float | None:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        if line.startswith("cpu MHz"):
            return float(line.partition(":")[2]) * 1e6
    return None


def _temperature() -> float | None:
    text = _text("/sys/class/thermal/thermal_zone0/temp")
    return int(text) / 1000 if text and text.lstrip("-").isdigit() else None


def _text(path: str | Path) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
