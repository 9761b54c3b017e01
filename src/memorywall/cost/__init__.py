"""Costs: program and hardware in, profile out."""
