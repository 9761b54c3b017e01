"""Benches: a machine in, measurements out. They require the extra ``measure``."""
