"""Two roads to one program: a model's config, and transformers' class traced."""

from __future__ import annotations

from collections.abc import Sequence

from memorywall.core.study import Option, Study, Watch
from memorywall.studies.roads.computation import compute
from memorywall.studies.roads.findings import Roads
from memorywall.studies.roads.text import show_roads


def _run(*, watch: Watch, models: Sequence[str] = (), tokens: int = 128) -> Roads:
    return compute(models, tokens, watch.progress)


STUDY = Study(
    name="roads",
    question="Does a config count as transformers' class does, traced?",
    about="""MODELS analysed from their configs, compared with traces of transformers' classes.

    Equal to the last digit should be FLOPs of products and scans, and bytes of weights, the cache
    and state, class by class; within 2 % fused bytes. By default all of the catalogue but diffusion
    transformers, which takes some minutes. Needs the extra 'measure'.""",
    result=Roads,
    run=_run,
    show=show_roads,
    options=(
        Option("models", "Models of the catalogue.", "names", names="model", argument=True),
        Option("tokens", "Positions of a pass.", "length", "128"),
        Option("excess", "List what PyTorch moves beyond, pass by pass.", "flag", text=True),
    ),
    examples=("gpt2 llama-3.2-1b", "--tokens 512 --json"),
    waits="tracing",
    brief={"models": ("gpt2",), "tokens": 16},
)
