"""Fold: merge repeated layers and sizes into one program."""
