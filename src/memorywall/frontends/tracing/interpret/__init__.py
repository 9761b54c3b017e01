"""Interpret: what an operator that was captured reads, writes and computes."""
