"""Trace modules without memory: the operators that they run, with FLOPs, traffic and arrays."""
