"""Decode and prefill from 1k to 1M positions, one model of each kind."""
