"""Skip checks of values by libraries, and their warnings: a trace has no values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import transformers
from torch.distributions import Distribution

# transformers' switch that hides its checks from torch.compile.
_SWITCH = "TRANSFORMERS_DISABLE_TORCH_CHECK"


@contextmanager
def unchecked() -> Iterator[None]:
    """Disable transformers' checks of values, and those of torch's distributions."""
    said = os.environ.get(_SWITCH)
    validates = Distribution._validate_args  # noqa: SLF001 - it has a setter and no getter
    os.environ[_SWITCH] = "1"
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(validates)
        if said is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = said


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress transformers' warnings: they address users of a class, not a trace."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
