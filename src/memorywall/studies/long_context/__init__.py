"""The cost of decode and prefill from 1k to 1M positions, one model of each kind."""

from __future__ import annotations

from collections.abc import Sequence

from memorywall.core.study import Option, Study, Watch
from memorywall.studies.long_context.computation import CONTEXTS, MODELS, long_contexts
from memorywall.studies.long_context.figure import draw_long_contexts
from memorywall.studies.long_context.findings import LongContexts
from memorywall.studies.long_context.text import show_long_contexts


def _run(
    *,
    watch: Watch,  # noqa: ARG001 - it takes a second
    models: Sequence[str] = MODELS,
    on: str = "h100-sxm",
    batch_size: int = 1,
    contexts: Sequence[int] = CONTEXTS,
    weights: str = "bf16",
    kv_cache: str = "bf16",
    state: str | None = None,
) -> LongContexts:
    return long_contexts(
        models, on=on, batch_size=batch_size, contexts=contexts, weights=weights,
        kv_cache=kv_cache, state=state,
    )  # fmt: skip


STUDY = Study(
    name="long-context",
    question="What does a token cost from 1k to 1M positions?",
    about="""Decode and prefill over the context, and where each model leaves the memory roof.

    Full attention, grouped queries, latents, a sliding window, hybrids and pure state, side by
    side: bytes and time a token, memory, how many sequences fit and what that does to the roof,
    and time to first token.""",
    result=LongContexts,
    run=_run,
    show=show_long_contexts,
    options=(
        Option(
            "models", "Decoders to compare.", "names",
            "one of each kind, of 7 to 9 billion parameters", names="model",
        ),
        Option("on", "One device.", "name", "h100-sxm", names="device"),
        Option(
            "batch_size", "Sequences of a step.", "count", "1", flags=("--batch", "--batch-size")
        ),
        Option(
            "contexts", "Positions, in rising order: 4096, or 4k,32k,1M.", "lengths",
            "1k, 2k, ... 1M",
        ),
        Option("weights", "Format of all weights.", "name", "bf16", names="format"),
        Option("kv_cache", "Format of the KV cache.", "name", "bf16", names="format"),
        Option("state", "Format of recurrent state.", "name", "as prescribed", names="format"),
    ),
    figures={"long-context": draw_long_contexts},
    examples=(
        "", "--on mi300x --batch 16 --figure long-context.svg",
        "--models llama-3.1-8b,zamba2-7b --contexts 4k,128k", "--kv-cache fp8 --state bf16 --json",
    ),
)  # fmt: skip
