"""Measurements in, constants of calibrations out."""
