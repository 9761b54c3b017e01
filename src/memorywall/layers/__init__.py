"""Layers: the building blocks that families share, written down operator by operator."""
