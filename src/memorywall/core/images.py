"""Sizes of images as text."""

from __future__ import annotations


def written(size: tuple[int, int]) -> str:
    """Return a height and width as a person writes them: 448x336."""
    return f"{size[0]}x{size[1]}"
