"""Transformers: its classes, built from a config, and traced pass by pass."""
