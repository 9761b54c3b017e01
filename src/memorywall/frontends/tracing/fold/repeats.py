"""Find and fold repeated layers: one of them represents all.

Calls of modules are compared by their operators, shapes and connections, under paths that differ in
a number (``layers.0``, ``layers.1``) or not at all (a shared layer). A run of them, alternating
ones too, becomes one segment with a repeat.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from memorywall.core.numbers import Number
from memorywall.frontends.tracing.fold.layer_names import name_runs
from memorywall.frontends.tracing.fold.layer_paths import LayerPaths
from memorywall.frontends.tracing.fold.segments import (
    Segment,
    alike,
    are_countable,
    weights_by_name,
)
from memorywall.frontends.tracing.interpret.arrays import Array, View
from memorywall.frontends.tracing.interpret.events import Event, Frame

# A loop of bare operators is folded from this many rounds on; layers from two.
_LEAST_ROUNDS = 8
_LONGEST_PERIOD = 256
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


@dataclass(slots=True, eq=False)
class _Token:
    """One call of a module, or one operator of the module above it."""

    frame: Frame | None
    events: list[Event]
    key: Hashable = None


def fold(*phases: tuple[str, list[Event]]) -> list[Segment]:
    """Cut a trace into segments: the phases of a training step one by one, or a single one.

    If folding would give weights of several sizes one name, nothing is folded.
    """
    paths = LayerPaths()
    segments: list[Segment] = []
    for phase, events in phases:
        cut = _join(_fold(events, 1, paths))
        segments += [replace(segment, phase=phase) for segment in cut]
    if len(phases) > 1:  # a layer that is separate in one phase keeps its name of the others
        segments = [replace(segment, layers=paths.given) for segment in segments]
    if not are_countable(weights_by_name(segments)):
        return [Segment("", "", events, phase=phase) for phase, events in phases]
    return segments


def _fold(events: list[Event], depth: int, paths: LayerPaths) -> list[Segment]:
    """Fold the calls at a module depth of ``depth``; ``paths`` are those of segments."""
    tokens = _tokens(events, depth)
    if len(tokens) == 1 and tokens[0].frame is None:
        return [Segment("", "", events)]
    _give_keys(tokens)
    segments: list[Segment] = []
    at = 0
    while at < len(tokens):
        period, rounds = _longest_run(tokens, at)
        runs = [
            [event for token in tokens[start : start + period] for event in token.events]
            for start in range(at, at + period * rounds, period)
        ]
        if rounds > 1 and not _shares_some(runs[0], runs[1]):
            segments.append(_repeated(tokens[at : at + period], runs, paths))
        elif tokens[at].frame is not None:
            segments += _fold(tokens[at].events, depth + 1, paths)
            period = rounds = 1
        else:
            segments.append(Segment("", "", tokens[at].events))
            period = rounds = 1
        at += period * rounds
    return segments


def _join(segments: list[Segment]) -> list[Segment]:
    """Join adjacent segments that are not repeated."""
    joined: list[Segment] = []
    for segment in segments:
        if joined and segment.repeat == joined[-1].repeat == 1:
            joined[-1].events += segment.events
        else:
            joined.append(replace(segment, events=list(segment.events)))
    return joined


def _tokens(events: list[Event], depth: int) -> list[_Token]:
    """Group a run of events by the module at a depth; an operator above it is a group."""
    tokens: list[_Token] = []
    for event in events:
        frame: Frame | None = event.frame
        while frame is not None and frame.depth > depth:
            frame = frame.parent
        frame = frame if frame is not None and frame.depth == depth else None
        if frame is not None and tokens and tokens[-1].frame is frame:
            tokens[-1].events.append(event)
        else:
            tokens.append(_Token(frame, [event]))
    return tokens


def _give_keys(tokens: list[_Token]) -> None:
    """Give equal keys to calls with the same operators; a call of unique length needs none."""
    lengths: dict[tuple[str, int], int] = {}
    looks = [(_pattern(token), len(token.events)) for token in tokens]
    for look in looks:
        lengths[look] = lengths.get(look, 0) + 1
    for number, (token, look) in enumerate(zip(tokens, looks, strict=True)):
        token.key = (look, _signature(token)) if lengths[look] > 1 else number


def _pattern(token: _Token) -> str:
    return token.events[0].op if token.frame is None else _NUMBER.sub("*", token.frame.path)


def _signature(token: _Token) -> Hashable:
    """Return a key of the operators of a run of events, independent of the layer's number."""
    prefix = token.frame.path if token.frame else ""
    met: dict[Array, int] = {}
    parts: list[Hashable] = []
    for event in token.events:
        reads = tuple([_part(view, moved, met, prefix) for view, moved in event.reads])
        writes = tuple([_part(view, moved, met, prefix) for view, moved in event.writes])
        parts.append((event.op, event.kind, event.flops, event.dtype, reads, writes))
    return hash(tuple(parts))


def _part(view: View, moved: Number | None, met: dict[Array, int], prefix: str) -> Hashable:
    """Return a key of a part: the index of its array among those seen, and its view."""
    array = view.array
    name = array.name.removeprefix(prefix) if array.role == "weight" else ""
    number = met.setdefault(array, len(met))
    looks = (array.role, name, array.format.name, array.kept, array.returned)
    return number, looks, view.geometry, moved


def _longest_run(tokens: Sequence[_Token], at: int) -> tuple[int, int]:
    """Return the period and number of rounds of the longest run from this position."""
    best = (1, 1)
    for period in range(1, min((len(tokens) - at) // 2, _LONGEST_PERIOD) + 1):
        if tokens[at + period].key != tokens[at].key:
            continue
        keys = [token.key for token in tokens[at : at + period]]
        rounds = 1
        while [t.key for t in tokens[at + rounds * period : at + (rounds + 1) * period]] == keys:
            rounds += 1
        worth = rounds >= _LEAST_ROUNDS or any(t.frame for t in tokens[at : at + period])
        if worth and rounds > 1 and period * rounds > best[0] * best[1]:
            best = (period, rounds)
    return best


def _repeated(tokens: list[_Token], runs: list[list[Event]], paths: LayerPaths) -> Segment:
    """Use the second run to represent all: the inputs of the first differ."""
    ours = runs[1]
    path, prefix = paths.of([token.frame for token in tokens], runs)
    weights = _weights(ours)
    shared = bool(weights) and all(_weights(run) == weights for run in runs)
    held = alike(runs)
    name_runs(runs, path, prefix)
    return Segment(path, prefix, ours, len(runs), shared, {prefix: path}, alike=held)


def _shares_some(first: list[Event], second: list[Event]) -> bool:
    """Return whether runs share some weights but not all, which a block cannot express."""
    ours, theirs = _weights(first), _weights(second)
    return ours != theirs and not ours.isdisjoint(theirs)


def _weights(events: list[Event]) -> set[Array]:
    return {v.array for e in events for v, _ in e.reads if v.array.role == "weight"}
