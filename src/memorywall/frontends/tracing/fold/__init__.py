"""Fold: layers and sizes that repeat, made into one program."""
