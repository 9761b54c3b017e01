"""Capture: a module runs without memory, and every operator is heard."""
