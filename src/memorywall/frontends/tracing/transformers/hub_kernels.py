"""Block the download of hub kernels by transformers while a class runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from transformers.integrations import hub_kernels

_FETCHING = ("get_kernel", "get_kernel_hub")


@contextmanager
def no_hub_kernels() -> Iterator[None]:
    """Make the functions that fetch kernels fail, under every imported name.

    Classes that request a kernel while they are built continue without it, as without a GPU.
    """
    fetch = [vars(hub_kernels)[name] for name in _FETCHING if name in vars(hub_kernels)]
    places = list(_places(fetch))
    for names, name, _ in places:
        names[name] = _refuse
    try:
        yield
    finally:
        for names, name, before in places:
            names[name] = before


def _places(fetch: list[Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Yield the modules of transformers, and of kernels, that hold one of some functions."""
    for path, module in list(sys.modules.items()):
        if module is None or path.partition(".")[0] not in ("transformers", "kernels"):
            continue
        names = vars(module)
        for name in _FETCHING:
            if any(names.get(name) is function for function in fetch):
                yield names, name, names[name]


def _refuse(*_args: Any, **_words: Any) -> NoReturn:
    raise FileNotFoundError("kernels are not fetched from a hub while a class is traced")
