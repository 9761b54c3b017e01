"""Formulas of the time of kernels, one file a kind; constants come from calibrations."""
