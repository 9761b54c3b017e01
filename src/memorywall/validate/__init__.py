"""Measurements in, tables of errors of the shipped predictions out."""
