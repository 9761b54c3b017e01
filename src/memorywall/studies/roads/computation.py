"""Two roads to one program: a model's config, and transformers' class traced.

For a model of the catalogue, in each of its passes: the FLOPs of matrix products, convolutions and
scans, and the bytes of weights, of the cache and of state, class by class, which must be equal; and
fused bytes, which should lie within 2 %. Where a class stays wholly on chip by the config, what the
trace moves for it is compared with the whole pass. The excess traffic of PyTorch's operators is
reported by class and cause. Every pair of a query and a key is counted.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from memorywall.answer.analyze import analyze
from memorywall.answer.programs import program_of
from memorywall.answer.settle import applicable
from memorywall.catalog.configs import entries
from memorywall.core.errors import MemoryWallError, MissingDependencyError, UnsupportedError
from memorywall.core.forward import Forward
from memorywall.core.model import Model
from memorywall.core.program import Program
from memorywall.frontends.hf import load_model
from memorywall.passes.collapse import fuse_traced
from memorywall.phases import find_phase
from memorywall.studies.roads.findings import PassComparison, Roads

EXACT = ("gemm", "attention", "conv", "scan")
_CAUSAL = ("prefill", "decode")


def compare(name: str, phase: str, tokens: int = 128, dtype: str = "bf16") -> PassComparison:
    """Return one pass of a model of the catalogue by both roads."""
    model = load_model(name)
    answer = analyze(name, on="h100-sxm", phase=phase, **_asked(model, phase, tokens, dtype))
    question, one = answer.question, answer.passes[0]
    ours = program_of(question, one)
    traced = traced_class(model, question.forward(one))
    theirs, excess = fuse_traced(traced)
    exact = {"parameters": (model.parameters, traced.parameters)}
    for what, count in _EXACTLY.items():
        a, b = count(ours), count(theirs)
        exact |= {f"{what} of {kind}": (a[kind], b[kind]) for kind in sorted({*a, *b})}
    a, b = _bytes(ours), _bytes(theirs)
    fused = {kind: (a[kind], b[kind]) for kind in sorted({*a, *b})}
    told = {f"{kind}: {cause}": int(size) for (kind, cause), size in excess.items()}
    return PassComparison(name, phase, exact, fused, told)


def traced_class(model: Model, forward: Forward) -> Program:
    """Trace a pass of transformers' class of a model of the catalogue."""
    try:
        from memorywall.frontends.tracing.transformers.class_passes import lower_class  # noqa: PLC0415
        from memorywall.frontends.tracing.transformers.classes import read_class  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name), "measure", "its classes") from None
    named = {**model.config, "architectures": [model.architecture.class_name]}
    traced = read_class(named, model.name)
    if traced is None:
        raise UnsupportedError(f"{model.name}: transformers has no class of its type.")
    return lower_class(traced, forward)


def _asked(model: Model, phase: str, tokens: int, dtype: str) -> dict[str, Any]:
    """Return what the config is asked: as many positions as it allows, or the images themselves.

    Latents of a cache are expanded again, as the classes do.
    """
    asked: dict[str, Any] = {
        "logits": "all", "causal": "full", "mla": "reexpanded", "weights": dtype,
        "activations": dtype, "kv_cache": dtype,
    }  # fmt: skip
    source = model.traits.source
    if source is not None and source.fixed is None:
        asked["source_len"] = tokens
    if model.traits.reads_text:
        positions = _positions(model, phase, tokens)
        asked["seq_len"] = min(positions, model.architecture.max_positions or positions)
    return applicable(model, phase, asked)


def _positions(model: Model, phase: str, tokens: int) -> int:
    """Return a number of positions of text, with those of one image if it is among them."""
    images = model.traits.images
    if images is None or "images" not in find_phase(phase).words(model.traits) or not model.causal:
        return tokens
    return tokens + images.tokens(*images.size)


def _flops(program: Program) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, op, repeat in program.walk():
        if op.kind in EXACT:
            found[op.kind] += int(op.flops) * repeat
    return found


def _of_role(role: str, program: Program) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, op, repeat in program.walk():
        if role in op.traffic:
            found[op.kind] += int(op.traffic[role]) * repeat
    return found


def _of_state(program: Program) -> Counter[str]:
    """Return the bytes of state by class: of what some operator writes, which buffers are not."""
    written = {t.name for _, op, _ in program.walk() for t in op.writes}
    found: Counter[str] = Counter()
    for _, op, repeat in program.walk():
        for tensor in (*op.reads, *op.writes):
            if tensor.role == "state" and tensor.name in written:
                found[op.kind] += int(tensor.moved_bytes) * repeat
    return found


def _bytes(program: Program) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, op, repeat in program.walk():
        found[op.kind] += int(op.moved_bytes) * repeat
    return Counter({kind: size for kind, size in found.items() if size})


_EXACTLY: dict[str, Callable[[Program], Counter[str]]] = {
    "FLOPs": _flops,
    "bytes of weights": partial(_of_role, "weight"),
    "bytes of the cache": partial(_of_role, "kv_cache"),
    "bytes of state": _of_state,
}


def passes(names: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield models and phases to compare, by default of all the catalogue.

    Diffusion models are left out: their classes are not part of transformers.
    """
    for name in names or [entry.id for entry in entries()]:
        model = load_model(name)
        if model.traits.denoising is None:
            yield from ((name, phase) for phase in (_CAUSAL if model.causal else ("encode",)))


def compute(
    names: Iterable[str] = (),
    tokens: int = 128,
    progress: Callable[[int, int], object] = lambda _done, _total: None,
) -> Roads:
    """Return the whole study: the passes of some models, by default of all the catalogue.

    Args:
        names: of models.
        tokens: positions of a pass.
        progress: called with the number of passes that are done, and the number of all.

    Raises:
        MissingDependencyError: transformers or PyTorch is not installed.
    """
    for library in ("torch", "transformers"):
        if importlib.util.find_spec(library) is None:
            raise MissingDependencyError(library, "measure", "tracing transformers' classes")
    cases = list(passes(names))
    found, failed = [], {}
    for done, (name, phase) in enumerate(cases):
        try:
            found.append(compare(name, phase, tokens))
        except MemoryWallError as error:
            failed[f"{name}, {phase}"] = error.message
        progress(done + 1, len(cases))
    return Roads(tokens, tuple(found), failed)
