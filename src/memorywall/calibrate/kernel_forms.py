"""Which constants of each kind of kernel are fitted, and which all engines of a device share."""

from __future__ import annotations

from collections.abc import Iterable

from memorywall.answer.analyze import load_hardware
from memorywall.calibrate.kernel_fit import Form
from memorywall.calibrate.samples import Samples
from memorywall.catalog.kernel_tables import BULK, LOADS, kernel_class
from memorywall.core.hardware import Hardware
from memorywall.cost.kernels import find_kernel
from memorywall.cost.kernels.facts import DTYPES, is_served_by_cache

# Copies of the weight that the benchmark of an engine cycles through.
_COPIES = {"trtllm": 5.0}
_USUAL_COPIES = 6.0
# Bytes a clock that feed a processor, from which fits start.
_FEED = {BULK: 72.0, LOADS: 45.0}
# In 16 bits kernels of devices that copy in bulk keep processors busy from wave to wave.
_SHARED_WAVES = 1e-3
_GEMM = ("peak_share", "bandwidth_share", "feed", "tile_s", "overlap", "launch_s")


def form_of(kind: str, hardware: Hardware, dtype: str, engine: str) -> Form:
    """Return the form of a table; engines with the same shared constants are fitted together."""
    if kind == "gemm":
        return _gemm(hardware, dtype, engine)
    cached = is_served_by_cache(hardware)
    names = (constant.name for constant in find_kernel(kind).constants)
    return Form((), tuple(name for name in names if cached or name != "l2_ratio"))


def _gemm(hardware: Hardware, dtype: str, engine: str) -> Form:
    """Products in 16 bits share all constants; quantised ones have other kernels in each engine.

    Sharing those costs 0.2 points of the median error, and 2.5 of the 90th percentile.
    """
    cached = is_served_by_cache(hardware)
    usual = {"feed": _FEED[kernel_class(hardware)]}
    fixed = {"copies": _COPIES.get(engine, _USUAL_COPIES)} if cached else {}
    if DTYPES[dtype].quantises:
        own = (*_GEMM, "whole_waves", "quantise_share", *(("l2_ratio",) if cached else ()))
        return Form((), own, fixed, usual)
    if kernel_class(hardware) == BULK:
        fixed["whole_waves"] = _SHARED_WAVES
    return Form((*_GEMM, "split_s", *(("l2_ratio",) if cached else ())), (), fixed, usual)


def fitted_together(samples: Iterable[Samples]) -> list[list[Samples]]:
    """Return samples that are fitted together: of one device and dtype, if they share constants."""
    found: dict[tuple[str, ...], list[Samples]] = {}
    for each in samples:
        form = form_of(each.kind, load_hardware(each.device), each.dtype, each.engine)
        apart = () if form.shared else (each.engine,)
        if len(each):
            found.setdefault((each.device, each.dtype, *apart), []).append(each)
    return list(found.values())
