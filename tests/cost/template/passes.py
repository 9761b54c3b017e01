"""Forward passes of the catalogue at any point, for tests that lower them twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import memorywall as mw
from memorywall.core.formats import FORMATS
from memorywall.core.forward import Forward
from memorywall.core.model import Model
from memorywall.core.numbers import Number
from memorywall.core.program import Program
from memorywall.cost.template import Point, Template, template_of
from memorywall.passes.fuse import fuse

# Weights, activations and cache: plain, with groups in the weights, with groups everywhere.
FORMAT_SETS = [
    ("bf16", "bf16", "bf16"),
    ("int4", "bf16", "fp8"),
    ("mxfp4", "nvfp4", "int4"),
    ("fp8", "mxfp4", "mxfp4"),
]
# Each with whether traffic is fused.
CONVENTIONS: list[tuple[bool, dict[str, Any]]] = [
    (True, {}),
    (False, {"full": True, "logits": "all", "routing": "skewed", "cache_page": 16}),
    (True, {"cache_page": 16, "mla": "expanded"}),
]


@dataclass(frozen=True)
class Kind:
    """A kind of forward pass of a model, without its lengths."""

    model: Model
    step: bool
    formats: tuple[str, str, str]
    fused: bool
    words: dict[str, Any]

    def forward(self, point: Point) -> Forward:
        """Return the pass at a point."""
        weights, activations, kv_cache = (FORMATS[name] for name in self.formats)
        pictured = self.model.traits.images
        words = {"mla": "absorbed" if self.step else "reexpanded", **self.words}
        return Forward(
            batch=point.batch,
            tokens=1 if self.step else point.length,
            past=point.length - 1 if self.step else 0,
            weights=weights,
            activations=activations,
            kv_cache=kv_cache,
            source=point.source,
            stacks="decoder" if self.step else "both",
            images=point.images,
            image_size=(0, 0) if pictured is None else pictured.size,
            step=self.step,
            **words,
        )

    def lower(self, point: Point) -> Program:
        """Return the program at a point, as it is priced."""
        program = self.model.lower(self.forward(point))
        return fuse(program) if self.fused else program

    def template(self, like: Point) -> Template:
        """Return the template of the pass at any point."""
        return template_of(self.model, self.forward(like), fuse if self.fused else None)

    def point(self, batch: Number, length: Number, source: Number, images: Number = 1) -> Point:
        """Return a point that the model has: some lengths follow from it."""
        traits = self.model.traits
        if traits.source is not None and traits.source.fixed is not None:
            source = traits.source.fixed
        if traits.images is not None and not traits.images.with_text:
            length = traits.images.tokens(*traits.images.size)
        return Point(batch, length, source, images)


def kinds_of(name: str) -> list[Kind]:
    """Return the kinds of passes of a model of the catalogue, in some formats and conventions."""
    model = mw.model(name)
    steps = (False, True) if model.traits.causal else (False,)
    return [
        Kind(model, step, formats, fused, words)
        for step in steps
        for formats in FORMAT_SETS
        for fused, words in CONVENTIONS
    ]
