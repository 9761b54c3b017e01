"""What every family promises, tried on the published configs of each of its model types.

A new family is tested by being there; it fails as long as the catalogue has none of its models.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import memorywall as mw
from memorywall.catalog.configs import entries
from memorywall.core.errors import InvalidInputError, MemoryWallError
from memorywall.core.program import Program
from memorywall.families import families
from memorywall.families._costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.passes.fuse import fuse

FAMILIES = {family.name: family for family in families()}
CONFIGS: dict[str, dict[str, Any]] = {}
for entry in entries():
    CONFIGS.setdefault(entry.config["model_type"], entry.config)
PAIRS = [(family.name, kind) for family in FAMILIES.values() for kind in family.model_types]


@pytest.fixture(params=PAIRS, ids=[f"{name}-{kind}" for name, kind in PAIRS])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a published config of one model type."""
    name, kind = request.param
    if kind in CONFIGS:
        return CONFIGS[kind]
    if not set(FAMILIES[name].model_types) & set(CONFIGS):
        pytest.fail(f"The family {name} has no model in the catalogue.")
    pytest.skip(f"The catalogue has no model of this model_type; the family {name} has others.")


def phase_of(config: dict[str, Any]) -> Any:
    return "prefill" if mw.model(config).causal else "encode"


def ask(config: dict[str, Any], batch: Any = 2, length: Any = 9, **words: Any) -> mw.Analysis:
    words = {"phase": phase_of(config), **words}
    return mw.analyze(config, on="h100-sxm", batch_size=batch, seq_len=length, **words)


def programs(config: dict[str, Any]) -> list[Program]:
    """Return the passes of a model: over 9 tokens and, where it generates, of one more."""
    answer = ask(config)
    phases = [phase_of(config), *(["decode"] if mw.model(config).causal else [])]
    return [answer.scenario.model.lower(answer.scenario.forward(phase, 9)) for phase in phases]


def products(answer: mw.Analysis) -> Any:
    return sum(op.flops for op in answer.ops if op.kind in ("gemm", "attention"))


def read(config: dict[str, Any]) -> Any:
    return mw.model(config).architecture


def test_published_configs_are_read_without_torch() -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import memorywall as mw\n"
        "from memorywall.catalog.configs import entries\n"
        "print(sum(mw.model(entry.config).parameters > 0 for entry in entries()))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) == len(list(entries()))


def test_parameters_are_those_of_the_shapes(config: dict[str, Any]) -> None:
    parameters = mw.model(config).parameters
    assert type(parameters) is int
    assert parameters > 0
    assert {program.parameters for program in programs(config)} == {parameters}
    if "vocab_size" in config:  # a stored count would stay as it is
        wider = {**config, "vocab_size": config["vocab_size"] + 8}
        assert mw.model(wider).parameters > parameters
    names = {field.name for field in dataclasses.fields(read(config))}
    assert not names & {"parameters", "params", "num_parameters", "flops"}


def test_work_grows_with_batch_and_length(config: dict[str, Any]) -> None:
    small = ask(config)
    for larger in (ask(config, batch=5), ask(config, length=23)):
        assert larger.flops > small.flops
        assert larger.moved_bytes > small.moved_bytes
        assert larger.footprint.total >= small.footprint.total
        assert larger.footprint.weights == small.footprint.weights


def test_arrays_answer_like_scalars(config: dict[str, Any]) -> None:
    batches, lengths = [1, 3], [2, 9, 700]
    grid = ask(config, np.array(batches)[:, None], np.array(lengths))
    shape = (len(batches), len(lengths))
    for i, batch in enumerate(batches):
        for j, length in enumerate(lengths):
            point = ask(config, batch, length)
            for one, many in zip(point.ops, grid.ops, strict=True):
                assert np.broadcast_to(many.flops, shape)[i, j] == pytest.approx(one.flops)
                moved = np.broadcast_to(many.moved_bytes, shape)[i, j]
                assert moved == pytest.approx(one.moved_bytes)


def test_scalars_stay_whole_numbers(config: dict[str, Any]) -> None:
    for program in programs(config):
        for path, op, _ in program.walk():
            # How many experts a batch meets is an expectation, and no whole number.
            assert type(op.flops) is int or "expert" in path, path
            assert type(op.moved_bytes) is int or "expert" in path, path


def test_a_step_is_what_a_longer_prefill_adds(config: dict[str, Any]) -> None:
    if not mw.model(config).causal:
        pytest.skip("An encoder makes no steps.")
    if mw.model(config).reads_source:
        pytest.skip("A longer prefill reads a longer source: tests/laws holds the two together.")
    words = {"logits": "none", "mla": "expanded"}  # the one form in which both do the same
    for length in (2, 33):
        step = ask(config, length=length, phase="decode", **words)
        longer, shorter = (ask(config, length=n, **words) for n in (length, length - 1))
        assert products(step) == pytest.approx(products(longer) - products(shorter), rel=1e-12)


def test_fusing_never_adds_bytes(config: dict[str, Any]) -> None:
    for program in programs(config):
        fused = fuse(program)
        assert fused.work.flops == program.work.flops
        assert fused.work.moved_bytes <= program.work.moved_bytes


def test_the_cache_grows_until_the_windows(config: dict[str, Any]) -> None:
    def growth(length: int) -> Any:
        here, next_ = (
            ask(config, length=n, phase="decode").footprint.kv_cache for n in (length, length + 1)
        )
        return next_ - here

    if not mw.model(config).causal:
        assert ask(config).footprint.kv_cache == 0
        return
    if not ask(config, phase="decode").footprint.kv_cache:
        pytest.skip("It keeps no keys.")
    first = growth(1)
    assert first > 0
    assert 0 <= growth(10**6) <= first
    windows = read(config).windows
    if windows:
        assert growth(max(windows) + 1) < first
    else:
        assert growth(10**6) == first


def spoilt(config: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    return {**config, key: value}


def refused_by_name(config: dict[str, Any], key: str) -> bool:
    """Tell whether a spoilt config is refused, naming the key; False where it changes nothing."""
    try:
        mw.model(config)
    except InvalidInputError as error:
        assert repr(key) in error.message  # noqa: PT017 - the other outcome is good as well
        return True
    return False


def test_missing_keys_are_named(config: dict[str, Any]) -> None:
    keys = [key for key in config if key != "model_type"]
    assert any(refused_by_name({k: v for k, v in config.items() if k != key}, key) for key in keys)


@pytest.mark.parametrize("value", [-7, {"wrong": 1}], ids=["negative", "type"])
def test_bad_values_are_named(config: dict[str, Any], value: object) -> None:
    """A value of a key that is read, if it is a size or of the wrong type."""
    good, refused = read(config), 0
    for key, old in config.items():
        if key in ("model_type", "quantization_config") or isinstance(old, str | list | dict):
            continue
        if isinstance(old, bool) and value == -7:
            continue
        bad = spoilt(config, key, value)
        if refused_by_name(bad, key):
            refused += 1
        else:
            assert read(bad) == good, f"{key} is read, and {value} was taken for it"
    assert refused >= 3


def test_unknown_keys_change_nothing(config: dict[str, Any]) -> None:
    assert read({**config, "no_such_key": 5, "another": {"a": [None]}}) == read(config)


def test_a_tensor_has_one_shape(config: dict[str, Any]) -> None:
    for program in programs(config):
        shapes: dict[str, tuple[Any, ...]] = {}
        for path, op, _ in program.walk():
            for tensor in (*op.reads, *op.writes):
                assert shapes.setdefault(tensor.name, tensor.shape) == tensor.shape, path


def test_every_function_has_its_cost(config: dict[str, Any]) -> None:
    listed = set(FLOPS_PER_ELEMENT) | set(ACTIVATION_FLOPS)
    for program in programs(config):
        for path, op, _ in program.walk():
            if op.kind in ("elementwise", "norm"):
                assert op.function.removesuffix(" gated") in listed, path


def test_known_errors_only(config: dict[str, Any]) -> None:
    """Whatever stands in a key, what is raised is one of the library's own errors."""
    values: tuple[Any, ...] = (None, True, 0, 1.5, "", "x", [], [1], {}, 10**40)
    for key in config:
        for value in values:
            try:
                mw.model(spoilt(config, key, value))
            except MemoryWallError:
                continue
