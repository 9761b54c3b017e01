"""The page that answers are printed on: names reach it as text, never as commands to a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from memorywall.core.errors import visible


class Page(Console):
    """A console on which only its own styles steer the terminal."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Render as a console does, without control characters in the text."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)
