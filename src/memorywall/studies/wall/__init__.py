"""The argument of 1995: how often a cache must hit for a program not to be bound by DRAM."""
