"""Streams over memory, and a pointer chase, in numba.

Arrays are mapped with a request for huge pages, since the page size alone can change the rate of
one core by more than twofold; ``page_size`` returns the size that the kernel gave. A stream counts
its explicit bytes: read 8 per element, copy and scale 16, add and triad 24 (McCalpin's STREAM); the
reads that a processor does for a write are not counted.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.extending import intrinsic

from memorywall.core.numbers import Array

# A loop over memory in one stream of vectors: unrolled four times, LLVM's default, the triad
# reached 0.92 of C's on the recorded machine, and in this form 0.96 (benchmarks/fidelity.py).
binding.set_option("memorywall", "--force-vector-interleave=1")

HUGE = 2 * 1024 * 1024
BYTES_PER_ELEMENT = {
    "read": 8, "copy": 16, "scale": 16, "add": 24, "triad": 24, "triad_nontemporal": 24,
}  # fmt: skip
_FAST = {"nogil": True, "fastmath": True, "parallel": True, "cache": True}


def allocate(count: int) -> Array:
    """Return ``count`` float64 in private memory with huge pages requested, every page touched."""
    size = count * 8 + HUGE
    # Private, because another setting controls the huge pages of shared memory.
    block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(block, dtype=np.uint8)
    start = -whole.ctypes.data % HUGE
    array = whole[start : start + count * 8].view(np.float64)
    array[:] = 1.0
    return array


def page_size(array: Array) -> int:
    """Return the size of the pages that back most of an array, as the kernel reports it."""
    address, small = array.ctypes.data, mmap.PAGESIZE
    try:
        text = Path("/proc/self/smaps").read_text(encoding="utf-8")
    except OSError:
        return small
    inside = False
    for line in text.splitlines():
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if found:
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("AnonHugePages:"):
            return HUGE if int(line.split()[1]) * 1024 > array.nbytes / 2 else small
    return small


@intrinsic  # type: ignore[untyped-decorator]
def _store_past_caches(_typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Store an element without reading its line into the caches first."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        struct = context.make_array(array_type)(context, builder, arguments[0])
        place = builder.gep(struct.data, [arguments[1]])
        store = builder.store(arguments[2], place)
        one = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        store.set_metadata("nontemporal", one)
        return context.get_dummy_value()

    return numba.void(array, index, value), generate


@numba.njit(**_FAST)  # type: ignore[untyped-decorator]
def read(a: Array) -> float:
    """Add all elements up."""
    total = 0.0
    for i in numba.prange(a.size):
        total += a[i]
    return total


@numba.njit(**_FAST)  # type: ignore[untyped-decorator]
def copy(a: Array, b: Array) -> None:
    """A = b."""
    for i in numba.prange(a.size):
        a[i] = b[i]


@numba.njit(**_FAST)  # type: ignore[untyped-decorator]
def scale(a: Array, b: Array) -> None:
    """A = 3 b."""
    for i in numba.prange(a.size):
        a[i] = 3.0 * b[i]


@numba.njit(**_FAST)  # type: ignore[untyped-decorator]
def add(a: Array, b: Array, c: Array) -> None:
    """A = b + c."""
    for i in numba.prange(a.size):
        a[i] = b[i] + c[i]


@numba.njit(**_FAST)  # type: ignore[untyped-decorator]
def triad(a: Array, b: Array, c: Array) -> None:
    """A = b + 3 c, with ordinary stores."""
    for i in numba.prange(a.size):
        a[i] = b[i] + 3.0 * c[i]


@numba.njit(nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def triad_nontemporal(a: Array, b: Array, c: Array) -> None:
    """A = b + 3 c, stored past the caches."""
    for i in numba.prange(a.size):
        _store_past_caches(a, i, b[i] + 3.0 * c[i])


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def chase(following: Array, steps: int) -> int:
    """Follow a ring of indices, each load waiting for the one before."""
    at = 0
    for _ in range(steps):
        at = following[at]
    return at


def ring(elements: int) -> Array:
    """Return a ring of places one cache line apart, in an order that no prefetcher predicts."""
    line = 8
    places = max(2, elements // line)
    order = np.random.default_rng(1).permutation(places) * line
    array = allocate(places * line).view(np.int64)
    array[order] = np.roll(order, -1)
    return array


@numba.njit(nogil=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def _sum(a: Array) -> float:
    """Add up four quarters at once, so that no addition waits for the one before."""
    quarter = a.size // 4
    first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
    for i in range(quarter):  # from 0, so that the compiler knows that no index wraps
        first += a[i]
        second += a[quarter + i]
        third += a[2 * quarter + i]
        fourth += a[3 * quarter + i]
    return first + second + third + fourth


@numba.njit(nogil=True, parallel=True, cache=True)  # type: ignore[untyped-decorator]
def read_again(a: Array, parts: int, times: int) -> Array:
    """Add up ``parts`` shares of an array, one per thread, each ``times`` times."""
    totals = np.zeros(parts)
    share = a.size // parts
    for part in numba.prange(parts):
        total = 0.0
        for _ in range(times):
            total += _sum(a[part * share : (part + 1) * share])
        totals[part] = total
    return totals
