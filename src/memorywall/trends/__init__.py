"""Dated numbers in, growth out: fits, breaks, coverage, forecasts."""
