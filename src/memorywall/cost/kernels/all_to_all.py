"""A part of each rank's array to every other rank."""

from memorywall.cost.kernels._collective import collective

KERNEL = collective("all_to_all", "A part of each rank's array to every other rank.", 1.0)
