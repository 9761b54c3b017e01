"""Capture: run a module without memory, and record every operator."""
