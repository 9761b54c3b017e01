"""Interpret: the reads, writes and FLOPs of a captured operator."""
