"""Two roads to one program: a model's config, and transformers' class traced.

For a model of the catalogue, in prefill and decode: the FLOPs of matrix products, convolutions and
scans, and the bytes of weights and of the cache, class by class, which must be equal; and fused
bytes, which should lie within 2 %. Where a class stays wholly on chip by the config, what the trace
moves for it is compared with the whole pass. What PyTorch's operators move beyond that is told by
class and cause. Every pair of a query and a key is counted.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from memorywall.app.analyze import analyze
from memorywall.app.steps import program_of
from memorywall.app.trace import trace
from memorywall.catalog.configs import entries
from memorywall.core.errors import MissingDependencyError
from memorywall.core.program import Program
from memorywall.core.traced import Traced
from memorywall.frontends.hf import load_model
from memorywall.passes.collapse import fuse_traced

EXACT = ("gemm", "attention", "conv", "scan")
CLOSE = 0.02
_CAUSAL = ("prefill", "decode")
_NOT_SHAPES = ("architectures", "dtype", "torch_dtype", "auto_map", "_name_or_path", "model_type")


@dataclass(frozen=True)
class Comparison:
    """One pass by both roads.

    Attributes:
        exact: by what is compared, (by the config, traced); all must be equal.
        fused: by class, bytes (by the config, traced).
        excess: bytes that PyTorch moves beyond, by "class: cause".
    """

    model: str
    phase: str
    exact: Mapping[str, tuple[int, int]]
    fused: Mapping[str, tuple[int, int]]
    excess: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return its record."""
        return {
            "model": self.model,
            "phase": self.phase,
            "exact": {what: list(pair) for what, pair in self.exact.items()},
            "fused": {kind: list(pair) for kind, pair in self.fused.items()},
            "apart": self.apart,
            "excess": dict(self.excess),
        }

    @property
    def unequal(self) -> dict[str, tuple[int, int]]:
        """What should be equal and is not."""
        return {what: pair for what, pair in self.exact.items() if pair[0] != pair[1]}

    @property
    def apart(self) -> dict[str, float]:
        """By class, how far the traced bytes are from the config's, as a share of them."""
        total = sum(ours for ours, _ in self.fused.values())
        return {
            kind: (traced - ours) / (ours or total) for kind, (ours, traced) in self.fused.items()
        }

    @property
    def outside(self) -> dict[str, float]:
        """The classes that lie further apart than 2 %."""
        return {kind: share for kind, share in self.apart.items() if abs(share) > CLOSE}


def compare(name: str, phase: str, tokens: int = 128, dtype: str = "bf16") -> Comparison:
    """Return one pass of a model of the catalogue by both roads."""
    model = load_model(name)
    length = min(tokens, model.architecture.max_positions or tokens)
    answer = analyze(
        name, on="h100-sxm", phase=phase, seq_len=length, logits="all", causal="full",
        weights=dtype, activations=dtype, kv_cache=dtype,
    )  # fmt: skip
    scenario = answer.scenario
    ours = program_of(scenario, scenario.workload.phase, length)
    traced = traced_class(name, phase, length, dtype)
    theirs, excess = fuse_traced(traced.program)
    exact = {"parameters": (model.parameters, traced.parameters)}
    for what, count in _EXACTLY.items():
        a, b = count(ours), count(theirs)
        exact |= {f"{what} of {kind}": (a[kind], b[kind]) for kind in sorted({*a, *b})}
    a, b = _bytes(ours), _bytes(theirs)
    fused = {kind: (a[kind], b[kind]) for kind in sorted({*a, *b})}
    told = {f"{kind}: {cause}": int(size) for (kind, cause), size in excess.items()}
    return Comparison(name, phase, exact, fused, told)


def traced_class(name: str, phase: str, length: int, dtype: str) -> Traced:
    """Trace transformers' class of a model of the catalogue."""
    tokens = 1 if phase == "decode" else length
    seq_len = length if phase == "decode" else None
    return trace(
        factory(name), f"int64[1,{tokens}]", phase=phase, seq_len=seq_len, dtype=dtype,
        causal="full",
    )  # fmt: skip


def factory(name: str) -> Callable[[], Any]:
    """Return a function that builds transformers' class of a model of the catalogue."""
    try:
        import transformers  # noqa: PLC0415 - an extra, and slow
    except ModuleNotFoundError:
        raise MissingDependencyError("transformers", "measure", "its classes") from None
    transformers.logging.set_verbosity_error()
    model = load_model(name)
    words = {key: value for key, value in model.config.items() if key not in _NOT_SHAPES}
    config = transformers.AutoConfig.for_model(model.config["model_type"], **copy.deepcopy(words))
    return partial(getattr(transformers, model.architecture.class_name), config)


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


def _bytes(program: Program) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, op, repeat in program.walk():
        found[op.kind] += int(op.moved_bytes) * repeat
    return Counter({kind: size for kind, size in found.items() if size})


_EXACTLY: dict[str, Callable[[Program], Counter[str]]] = {
    "FLOPs": _flops,
    "bytes of weights": partial(_of_role, "weight"),
    "bytes of the cache": partial(_of_role, "kv_cache"),
}


def passes(names: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield models and phases to compare, by default of all the catalogue.

    Encoder-decoders, which read two inputs, are left out.
    """
    for name in names or [entry.id for entry in entries()]:
        model = load_model(name)
        if not model.reads_source:
            yield from ((name, phase) for phase in (_CAUSAL if model.causal else ("encode",)))


def summary(found: Iterable[Comparison]) -> dict[str, Any]:
    """Return counts over comparisons, and what PyTorch moves beyond, all of them together."""
    ones = list(found)
    models = {one.model for one in ones}
    excess: Counter[str] = Counter()
    for one in ones:
        excess.update(one.excess)
    return {
        "models": len(models),
        "equal": len(models - {one.model for one in ones if one.unequal}),
        "passes": len(ones),
        "pairs": sum(len(one.fused) for one in ones),
        "within": sum(len(one.fused) - len(one.outside) for one in ones),
        "excess": dict(excess.most_common()),
    }
