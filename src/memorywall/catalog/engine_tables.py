"""Tables of serving engines: of the time of an output token, and of the first one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from memorywall.catalog.table_files import read_tables
from memorywall.core.errors import UnknownNameError
from memorywall.core.kernels import Table

FOLDER = Path(__file__).parent / "calibrations" / "engines"


def engine_names() -> tuple[str, ...]:
    """Return the engines with tables."""
    return tuple(dict.fromkeys(engine for _, engine in _tables()))


def engine_table(kind: str, engine: str) -> Table:
    """Return the constants of an engine: of its steps, ``tpot``, or of first tokens, ``ttft``.

    Raises:
        UnknownNameError: no such engine.
    """
    found = _tables().get((kind, engine))
    if found is None:
        raise UnknownNameError("engine", engine, engine_names())
    return found


@lru_cache
def _tables() -> dict[tuple[str, str], Table]:
    return {(t.kind, t.engine): t for t in read_tables(FOLDER / "engines.toml")}
