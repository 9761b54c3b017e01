"""Sum of an array over ranks, which each have a part of it then."""

from memorywall.cost.kernels._collective import collective

KERNEL = collective(
    "reduce_scatter", "Sum of an array over ranks, which each have a part of it then.", 1.0
)
