"""Benches: a machine in, measurements out. They need the extra ``measure``."""
