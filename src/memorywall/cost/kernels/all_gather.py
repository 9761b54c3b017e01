"""Parts of an array to all ranks, which all have the whole then."""

from memorywall.cost.kernels._collective import collective

KERNEL = collective(
    "all_gather", "Parts of an array to all ranks, which all have the whole then.", 1.0
)
