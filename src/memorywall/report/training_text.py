"""Training memory as text: a model's peak, and the memory figure's models."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console

from memorywall.core.errors import join_words
from memorywall.core.numbers import Number
from memorywall.core.program import Program
from memorywall.core.traced import Traced
from memorywall.core.training import TrainingMemory
from memorywall.core.units import render
from memorywall.report.table import columns, remark, say
from memorywall.report.trace_text import modules, show_coverage
from memorywall.report.wide_table import print_table

_MOST_MODULES = 15
_ROLES = {
    "weight": "weights", "activation": "activations", "gradient": "gradients",
    "optimizer_state": "optimizer states", "state": "buffers",
}  # fmt: skip


def training_headline(memory: TrainingMemory) -> str:
    """Return the peak in a sentence: how much, when, and of what."""
    moment = memory.peak_moment
    where = f" in {moment.module}" if moment.module else ""
    parts = sorted(memory.at_peak.items(), key=lambda part: -part[1])
    shares = join_words(
        [
            f"{role.replace('_', ' ')} {nbytes / memory.peak_bytes:.0%}"
            for role, nbytes in parts
            if nbytes >= 0.005 * memory.peak_bytes
        ]
    )
    return (
        f"{memory.model}, {memory.parameters:,} parameters: training peaks at "
        f"{render(memory.peak_bytes, 'byte')}, in the {moment.phase} phase at "
        f"{moment.operator}{where}: {shares}."
    )


def show_training(memory: TrainingMemory, console: Console) -> None:
    """Print a training trace: headline, roles, live arrays at the peak by module, conventions."""
    say(console, training_headline(memory), style="bold")
    _show_memory(memory, console)
    words = ", ".join(f"{key} {value}" for key, value in memory.conventions.items())
    say(console, f"conventions: {words}", style="dim")
    for note in memory.notes:
        remark(console, "note:", note)


def show_step(
    traced: Traced, excess: Mapping[tuple[str, str], Number], console: Console, *, depth: int
) -> None:
    """Print a training step: the peak, its live arrays, and the work of every phase and module."""
    assert traced.memory is not None
    say(console, training_headline(traced.memory), style="bold")
    moved = float(traced.moved_bytes)
    fused = moved - float(sum(excess.values()))
    say(
        console,
        f"One step on {', '.join(traced.inputs)} does {render(float(traced.flops), 'FLOP')}, and "
        f"moves {render(moved, 'byte')} as PyTorch's operators do, {render(fused, 'byte')} fused.",
    )  # fmt: skip
    _show_memory(traced.memory, console)
    _show_phases(traced, console)
    console.print()
    console.print(modules(traced, depth))
    console.print()
    show_coverage(traced, console)
    words = ", ".join(f"{key} {value}" for key, value in traced.conventions.items())
    say(console, f"conventions: {words}", style="dim")


def _show_memory(memory: TrainingMemory, console: Console) -> None:
    """Print the live arrays at the peak: by role, and by module."""
    console.print()
    table = columns(("role", "at the peak", "", "at most"))
    for role, nbytes in memory.at_peak.items():
        table.add_row(
            role.replace("_", " "), render(nbytes, "byte"), f"{nbytes / memory.peak_bytes:.1%}",
            render(memory.most[role], "byte"),
        )  # fmt: skip
    console.print(table)
    left = render(memory.activations, "byte")
    console.print(f"A forward pass leaves {left} of activations for the backward pass.\n")
    table = columns(("at the peak, by module", "role", "arrays", "bytes"), words=2)
    for group in memory.by_module[:_MOST_MODULES]:
        place = group.module or "(outermost)"
        kept = group.role.replace("_", " ")
        table.add_row(place, kept, str(group.count), render(group.nbytes, "byte"))
    console.print(table)
    console.print()


def _show_phases(traced: Traced, console: Console) -> None:
    """Print FLOPs and bytes of every phase, the bytes by role."""
    roles = [role for role in _ROLES if traced.traffic.get(role)]
    rows = []
    for phase in ("forward", "backward", "optimizer"):
        part = Program(tuple(b for b in traced.program.blocks if b.name.split(".")[0] == phase))
        flops, traffic = part.work.flops, part.traffic
        sizes = (part.work.moved_bytes, *(traffic.get(role, 0) for role in roles))
        rows.append(
            (
                phase,
                render(float(flops), "FLOP"),
                f"{float(flops) / float(traced.flops):.1%}",
                *(render(float(size), "byte") for size in sizes),
            )
        )
    titles = ("phase", "FLOPs", "", "bytes", *(_ROLES[role] for role in roles))
    print_table(console, titles, rows, joined=(2,))
