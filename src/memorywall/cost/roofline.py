"""The roofline: every operator takes the longer of its arithmetic and its traffic.

Williams, Waterman and Patterson, "Roofline", CACM 2009: attainable rate = min(peak, intensity x
bandwidth), so time = max(FLOPs / peak, bytes / bandwidth). Operators run one after the other. Not
modelled: launch overhead, how much of peak and bandwidth real kernels reach, traffic between cache
levels, and any network. Traffic counts against the main memory.
"""

from __future__ import annotations

from memorywall.core.hardware import Hardware
from memorywall.core.numbers import Number, maximum
from memorywall.core.program import Program
from memorywall.core.results import Cost, OpCost


def price(program: Program, hardware: Hardware) -> Cost:
    """Return the cost of one run of a program on a device; numbers are scalars or arrays.

    Raises:
        UnsupportedError: the device has no peak for the program's arithmetic or a wider one.
    """
    bandwidth = hardware.bandwidth
    peaks: dict[str, Number] = {}
    flops: Number = 0
    moved: Number = 0
    compute: Number = 0.0
    memory: Number = 0.0
    latency: Number = 0.0
    waiting: Number = 0.0
    for block in program.blocks:
        # Sums instead of objects, and no avoidable pass over an array: a sweep over a million
        # points spends its time here.
        for op in block.ops:
            times = block.repeat
            op_flops, op_moved = op.flops * times, op.moved_bytes * times
            if op.dtype not in peaks:
                peaks[op.dtype] = hardware.peak(op.dtype)
            compute_s = op_flops / peaks[op.dtype]
            flops, compute = flops + op_flops, compute + compute_s
            if type(op_moved) is int and op_moved == 0:  # it is fused into another operator
                latency = latency + compute_s
                continue
            memory_s = op_moved / bandwidth
            slower = maximum(compute_s, memory_s)
            moved, memory = moved + op_moved, memory + memory_s
            latency = latency + slower
            waiting = waiting + slower * (memory_s >= compute_s)
    return Cost(flops, moved, compute, memory, latency, maximum(compute, memory), waiting)


def price_ops(program: Program, hardware: Hardware) -> list[OpCost]:
    """Return the cost of every operator, over its block's repetitions, in order of execution."""
    costs = []
    for path, op, repeat in program.walk():
        flops, moved = op.flops, op.moved_bytes
        compute_s, memory_s = flops / hardware.peak(op.dtype), moved / hardware.bandwidth
        slower = maximum(compute_s, memory_s)
        waiting = slower * (memory_s >= compute_s)
        parts = (flops, moved, compute_s, memory_s, slower, slower, waiting)
        cost = Cost(*(part * repeat for part in parts))
        traffic = {role: moved * repeat for role, moved in op.traffic.items()}
        waits = {
            role: waiting * repeat * part / maximum(moved, 1) for role, part in op.traffic.items()
        }
        costs.append(OpCost(path, op.kind, repeat if op.runs else 0, cost, traffic, waits))
    return costs
