"""Passes: program in, program out."""
