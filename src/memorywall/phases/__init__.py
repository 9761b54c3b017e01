"""Phases: one file each, holding ``PHASE``; found by the name of the file."""

from __future__ import annotations

from functools import lru_cache

from memorywall.core.errors import UnknownNameError
from memorywall.core.phase import Phase
from memorywall.core.plugin import find, walk
from memorywall.core.traits import Traits


def find_phase(name: object) -> Phase:
    """Return a phase by its name.

    Raises:
        UnknownNameError: no file of this room, nor of an entry point, has that name.
    """
    found = _find(name) if isinstance(name, str) else None
    if found is None:
        known = phase_names()
        raise UnknownNameError("phase", name, known, f"One of {', '.join(known)}.")
    return found


@lru_cache
def _find(name: str) -> Phase | None:
    own: Phase | None = find(__name__, name, "PHASE")
    if own is not None:
        return own
    return next((phase for phase in all_phases() if phase.name == name), None)


def all_phases() -> tuple[Phase, ...]:
    """Return every phase, those of other packages last."""
    return tuple(walk(__name__, "PHASE"))


def phase_names() -> tuple[str, ...]:
    """Return the names of all phases."""
    return tuple(phase.name for phase in all_phases())


def usual_phase(traits: Traits) -> str:
    """Return the phase of a question without one."""
    if traits.denoising is not None:
        return "denoise"
    return "decode" if traits.causal else "encode"
