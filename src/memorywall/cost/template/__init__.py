"""Templates: a forward pass lowered once with symbols, then asked at any number of points."""

from memorywall.cost.template.point import Point
from memorywall.cost.template.template import Template, template_of

__all__ = ["Point", "Template", "template_of"]
