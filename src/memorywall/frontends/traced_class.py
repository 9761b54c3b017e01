"""What no family reads: transformers' own class for a config, traced in a family's place.

Nothing here imports torch or transformers; ``tracing.classes`` does, once such a config comes, and
``tracing.passes`` once a pass is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Program
from memorywall.frontends._bounds import check_bounds
from memorywall.frontends.tracing.capture.trace_lock import one_at_a_time

# Keys that make transformers fetch or run more than its own class.
_NOT_READ = frozenset((
    "auto_map", "custom_pipelines", "attn_implementation", "experts_implementation",
    "use_pretrained_backbone", "backbone", "use_timm_backbone", "quantization_config",
    "use_kernels", "model_args", "trust_remote_code", "transformers_version",
    "torch_dtype", "dtype", "architectures", "name_or_path",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class TracedClass:
    """A class of transformers and the config that it is built from; passes are traced when asked.

    Attributes:
        config: the keys that the class is built with, as JSON.
        reads: ``text``, ``images`` or ``both``.
    """

    class_name: str
    model_type: str
    config: str
    causal: bool
    dtype: str
    max_positions: int | None
    notes: tuple[str, ...]
    reads: str = "text"
    windows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedSeq2Seq(TracedClass):
    """One whose encoder reads a source."""

    fixed_source: int | None = None


@dataclass(frozen=True, slots=True)
class TracedSeer(TracedClass):
    """One that looks at images.

    Attributes:
        image_size: height and width in pixels that the config names.
        form: how its towers take images, one of ``_looks.FORMS``.
        tokens: positions that an image of that size takes.
    """

    image_size: tuple[int, int] = (0, 0)
    form: str = "batch"
    tokens: int = 1

    @property
    def reads_text(self) -> bool:
        """Whether it reads a text as well."""
        return self.reads == "both"

    def image_tokens(self, height: int, width: int) -> int:
        """Positions that one image takes; where the tower has a free grid, traced for other sizes.

        Raises:
            InvalidInputError: a size other than the config's, of a tower that is made for that one.
            UnsupportedError: a size that cannot be traced.
        """
        if (height, width) == self.image_size or not self.reads_text:
            return self.tokens
        if self.form != "patches":
            raise InvalidInputError(
                f"image_size is {height}x{width}, but {self.class_name} is traced at "
                f"{self.image_size[0]}x{self.image_size[1]} only.",
                "Leave image_size out.",
            )
        tokens: int = _tracing("transformers.classes").image_rows(self, (height, width))
        return tokens

    def image_notes(self, height: int, width: int) -> tuple[str, ...]:  # noqa: ARG002 - a protocol
        """What to know of images of that size: nothing."""
        return ()


def can_trace() -> bool:
    """Tell whether torch and transformers are here."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def read_traced(
    config: Mapping[str, Any], where: str, *, by_family: bool = False
) -> TracedClass | None:
    """Return transformers' class for a config; None where it is not here or has none.

    Args:
        config: as transformers writes it.
        where: its name in messages.
        by_family: whether a family reads the architecture, and does not cover the class that is
            named; then no other class will do.

    Raises:
        InvalidInputError: a config that the class cannot be built from, or that is out of bounds.
        UnsupportedError: a class that cannot be traced.
    """
    if not (can_trace() and _is_mentioned(config.get("model_type"))):
        return None
    check_bounds(config, where)
    architecture: TracedClass | None = _tracing("transformers.classes").read_class(
        config, where, by_family=by_family
    )
    return architecture


def look_up_known(config: Mapping[str, Any], architecture: TracedClass) -> None:
    """Look up, in a config that is watched, the keys that transformers' config class has."""
    _tracing("transformers.config_keys").look_up_known(config, architecture.model_type)


def _is_mentioned(model_type: object) -> bool:
    """Tell whether transformers' tables mention a type: to import them takes seconds."""
    spec = find_spec("transformers")
    if not model_type or spec is None or spec.origin is None:
        return False
    tables = (Path(spec.origin).parent / "models" / "auto").glob("*.py")
    return any(f'"{model_type}"' in table.read_text(encoding="utf-8") for table in tables)


def plain_keys(config: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the keys that describe a model, without those that fetch, run or describe files."""
    return {key: _plain(value) for key, value in config.items() if is_handed_on(key)}


def is_handed_on(key: object) -> bool:
    """Tell whether a class is built with a key."""
    return not str(key).startswith("_") and key not in _NOT_READ


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain_keys(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def as_text(config: Mapping[str, Any]) -> str:
    """Return a config's plain keys as text, which can be compared and kept."""
    return json.dumps(plain_keys(config), sort_keys=True)


def _lower(architecture: TracedClass, forward: Forward) -> Program:
    program: Program = _tracing("transformers.class_passes").lower_class(architecture, forward)
    return program


def _tracing(module: str) -> Any:
    """Import what imports torch: found by name, so that counting and pricing need none of it.

    Transformers fills its modules in as they are asked for, which two threads must not do at once.
    """
    with one_at_a_time():
        return import_module(f"memorywall.frontends.tracing.{module}")


def _read(config: Mapping[str, Any], where: str) -> TracedClass | None:
    return read_traced(config, where)


TRACED_CLASS = Family("traced", (), _read, _lower)
