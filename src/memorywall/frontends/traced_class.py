"""Configs without a built-in family: transformers' class for a config, traced as the model.

This module does not import torch or transformers; ``tracing.transformers`` does, when such a config
is read and when a pass is priced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memorywall.core.errors import InvalidInputError
from memorywall.core.forward import Forward
from memorywall.core.model import Family
from memorywall.core.program import Program
from memorywall.core.traits import Images, Source, Traits
from memorywall.frontends._bounds import check_bounds
from memorywall.frontends.tracing.capture.trace_lock import one_at_a_time

# Keys that make transformers fetch or run more than its class.
_NOT_READ = frozenset((
    "auto_map", "custom_pipelines", "attn_implementation", "experts_implementation",
    "use_pretrained_backbone", "backbone", "use_timm_backbone", "quantization_config",
    "use_kernels", "model_args", "trust_remote_code", "transformers_version",
    "torch_dtype", "dtype", "architectures", "name_or_path",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class TracedClass:
    """A class of transformers and its config; passes are traced on demand.

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
    images_left_out: bool = False

    @property
    def traits(self) -> Traits:
        """A class run as transformers wrote it; its layers are not known."""
        return _class_traits(self)


@dataclass(frozen=True, slots=True)
class TracedSeq2Seq(TracedClass):
    """A class whose encoder reads a source."""

    fixed_source: int | None = None

    @property
    def traits(self) -> Traits:
        """A class with an encoder that reads a source."""
        return replace(_class_traits(self), source=Source(self.fixed_source))


@dataclass(frozen=True, slots=True)
class TracedSeer(TracedClass):
    """A class that processes images.

    Attributes:
        image_size: height and width in pixels from the config.
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
        """Positions of one image; traced for other sizes if the tower has a free grid.

        Raises:
            InvalidInputError: a size other than the config's, for a tower with a fixed size.
            UnsupportedError: a size that cannot be traced.
        """
        if (height, width) == self.image_size or not self.reads_text:
            return self.tokens
        if self.form != "patches":
            raise InvalidInputError(
                f"image_size is {height}x{width}, but {self.class_name} is traced at "
                f"{self.image_size[0]}x{self.image_size[1]} only.",
                "Remove image_size.",
            )
        tokens: int = _tracing("transformers.classes").image_rows(self, (height, width))
        return tokens

    @property
    def traits(self) -> Traits:
        """A class that processes images."""
        images = Images(self.image_size, self.image_tokens, with_text=self.reads_text)
        return replace(_class_traits(self), images=images)


def _class_traits(architecture: TracedClass) -> Traits:
    return Traits(
        causal=architecture.causal,
        caches=architecture.causal,
        masks=True,
        images_left_out=architecture.images_left_out,
        fixed_words=frozenset(("cache_page", "routing", "mla", "state")),
        traced=True,
    )


def can_trace() -> bool:
    """Return whether torch and transformers are installed."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def read_traced(
    config: Mapping[str, Any], where: str, *, by_family: bool = False
) -> TracedClass | None:
    """Return transformers' class for a config; None if not installed or without such a class.

    Args:
        config: as transformers writes it.
        where: its name in messages.
        by_family: whether a family reads the architecture but does not support the named class;
            then no other class is accepted.

    Raises:
        InvalidInputError: the class cannot be built from the config, or the config is out of
            bounds.
        UnsupportedError: the class cannot be traced.
    """
    if not (can_trace() and _is_mentioned(config.get("model_type"))):
        return None
    check_bounds(config, where)
    architecture: TracedClass | None = _tracing("transformers.classes").read_class(
        config, where, by_family=by_family
    )
    return architecture


def look_up_known(config: Mapping[str, Any], architecture: TracedClass) -> None:
    """Read the keys of transformers' config class in a watched config, to record them."""
    _tracing("transformers.config_keys").look_up_known(config, architecture.model_type)


def _is_mentioned(model_type: object) -> bool:
    """Return whether transformers' tables list a type; importing them takes seconds."""
    spec = find_spec("transformers")
    if not model_type or spec is None or spec.origin is None:
        return False
    tables = (Path(spec.origin).parent / "models" / "auto").glob("*.py")
    return any(f'"{model_type}"' in table.read_text(encoding="utf-8") for table in tables)


def plain_keys(config: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the keys that describe a model, without those that fetch, run or describe files."""
    return {key: _plain(value) for key, value in config.items() if is_handed_on(key)}


def is_handed_on(key: object) -> bool:
    """Return whether a class is built with a key."""
    return not str(key).startswith("_") and key not in _NOT_READ


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain_keys(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def as_text(config: Mapping[str, Any]) -> str:
    """Return a config's plain keys as text, which can be compared and stored."""
    return json.dumps(plain_keys(config), sort_keys=True)


def _lower(architecture: TracedClass, forward: Forward) -> Program:
    program: Program = _tracing("transformers.class_passes").lower_class(architecture, forward)
    return program


def _tracing(module: str) -> Any:
    """Import a module that imports torch, by name, so that counting and pricing do not need torch.

    transformers loads its modules lazily, which two threads must not do at once.
    """
    with one_at_a_time():
        return import_module(f"memorywall.frontends.tracing.{module}")


def _read(config: Mapping[str, Any], where: str) -> TracedClass | None:
    return read_traced(config, where)


TRACED_CLASS = Family("traced", (), _read, _lower)
