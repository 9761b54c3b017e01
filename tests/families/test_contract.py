"""The contract of every family, tested on a config of each of its model types.

The config is a published one or, where the catalogue has none of that type, transformers' default.
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
from memorywall.core.errors import InvalidInputError, MemoryWallError, UnsupportedError
from memorywall.core.phase import Pass
from memorywall.core.program import Program
from memorywall.families import families
from memorywall.frontends.config import model_type_of
from memorywall.layers.element_costs import ACTIVATION_FLOPS, FLOPS_PER_ELEMENT
from memorywall.passes.fuse import fuse
from tests.asking import analyze_alike
from tests.counting import products
from tests.families.default_configs import default_config

FAMILIES = {family.name: family for family in families()}
CONFIGS: dict[str, dict[str, Any]] = {}
for entry in entries():
    CONFIGS.setdefault(model_type_of(entry.config), entry.config)
PAIRS = [(family.name, kind) for family in FAMILIES.values() for kind in family.model_types]


@pytest.fixture(params=PAIRS, ids=[f"{name}-{kind}" for name, kind in PAIRS])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return a config of one model type."""
    name, kind = request.param
    if kind in CONFIGS:
        return CONFIGS[kind]
    if not set(FAMILIES[name].model_types) & set(CONFIGS):
        pytest.fail(f"The family {name} has no model in the catalogue.")
    return default_config(kind)


def phase_of(config: dict[str, Any]) -> Any:
    model = mw.model(config)
    if model.traits.denoising is not None:
        return "denoise"
    return "prefill" if model.causal else "encode"


def ask(config: dict[str, Any], batch: Any = 2, length: Any = 9, **words: Any) -> mw.Analysis:
    words = {"phase": phase_of(config), **words}
    if not only_images(config):
        words["seq_len"] = length + image_positions(config)
    return analyze_alike(config, on="h100-sxm", batch_size=batch, **words)


def only_images(config: dict[str, Any]) -> bool:
    """Return whether a model reads no text, so that the image determines the length."""
    return not mw.model(config).traits.reads_text


def image_positions(config: dict[str, Any]) -> int:
    """Return the positions of a sequence that an image takes before any text."""
    model = mw.model(config)
    images = model.traits.images
    if images is None or not model.causal:
        return 0
    return images.tokens(*images.size)


def resizes(config: dict[str, Any]) -> bool:
    """Return whether every image is made as large as every other."""
    images = mw.model(config).traits.images
    return images is not None and images.tokens(2000, 2000) == images.tokens(*images.size)


def programs(config: dict[str, Any]) -> list[Program]:
    """Return the passes of a model: over 9 tokens and, where it generates, of one more."""
    answer = ask(config)
    question = answer.question
    passes = [*answer.passes]
    if mw.model(config).causal:
        passes.append(Pass(question.seq_len, step=True, stacks="decoder"))
    return [question.model.lower(question.forward(one)) for one in passes]


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
    if "vocab_size" in dict(mw.model(config).reading.used):  # a stored count would stay as it is
        wider = {**config, "vocab_size": config["vocab_size"] + 8}
        assert mw.model(wider).parameters > parameters
    names = {field.name for field in dataclasses.fields(read(config))}
    assert not names & {"parameters", "params", "num_parameters", "flops"}


def test_work_grows_with_batch_and_length(config: dict[str, Any]) -> None:
    small = ask(config)
    longer = {"image_size": 2000} if only_images(config) else {"length": 23}
    if only_images(config) and resizes(config):
        longer = {"batch": 3}  # every image is as long
    for larger in (ask(config, batch=5), ask(config, **longer)):
        assert larger.flops > small.flops
        assert larger.moved_bytes > small.moved_bytes
        assert larger.footprint.total >= small.footprint.total
        assert larger.footprint.weights == small.footprint.weights


def test_arrays_answer_like_scalars(config: dict[str, Any]) -> None:
    batches, lengths = [1, 3], [2, 9, 700]
    if only_images(config):
        lengths = [1]  # its length is not a parameter
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
    model = mw.model(config)
    if not model.causal:
        with pytest.raises(MemoryWallError, match="phase decode"):
            ask(config, phase="decode")
        return
    words: dict[str, Any] = {"logits": "none", "mla": "expanded"}  # in which both do the same
    source = model.traits.source
    if source is not None and source.fixed is None:
        words["source_len"] = 5
    for length in (2, 33):
        step = ask(config, length=length, phase="decode", **words)
        longer, shorter = (ask(config, length=n, **words) for n in (length, length - 1))
        added = products(longer) - products(shorter)
        if getattr(read(config), "ahead", "") == "prefix":
            # Earlier tokens of a prefill attend to the new one too; in a step only it attends
            # backwards.
            assert products(step) < added
        else:
            assert products(step) == pytest.approx(added, rel=1e-12)


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
    first = growth(1)
    if not ask(config, phase="decode").footprint.kv_cache:  # a recurrent model, without keys
        assert first == growth(10**6) == 0
        return
    assert first > 0
    assert 0 <= growth(10**6) <= first
    windows = read(config).traits.windows
    if windows:
        assert growth(max(windows) + 1) < first
    else:
        assert growth(10**6) == first


def spoilt(config: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    part, _, inner = key.rpartition("/")
    if part:
        return {**config, part: {**config[part], inner: value}}
    return {**config, key: value}


def values_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return values by key; of what is nested, as ``vision_config/patch_size``."""
    flat = {}
    for key, value in config.items():
        nested = isinstance(value, dict) and key in ("text_config", "vision_config")
        inner = {f"{key}/{k}": v for k, v in value.items()} if nested else {key: value}
        flat.update(inner)
    return flat


def refused_by_name(config: dict[str, Any], key: str) -> bool:
    """Return whether a spoilt config is refused, naming the key; False where it changes nothing."""
    try:
        mw.model(config)
    except (InvalidInputError, UnsupportedError) as error:
        assert repr(key.rpartition("/")[2]) in error.message  # noqa: PT017 - the other outcome is good as well
        return True
    return False


def test_missing_keys_are_named(config: dict[str, Any]) -> None:
    kinds = ("model_type", "_class_name", "norm_type")
    keys = [key for key in config if key not in kinds]
    try:
        bare = mw.model({key: config[key] for key in kinds if key in config})
    except MemoryWallError:
        missing = ({k: v for k, v in config.items() if k != key} for key in keys)
        assert any(refused_by_name(one, key) for one, key in zip(missing, keys, strict=True))
    else:  # every key has a default, as it has in transformers, and the reading names it
        assert bare.reading.assumed


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize("value", [-7, {"wrong": 1}], ids=["negative", "type"])
def test_bad_values_are_named(config: dict[str, Any], value: object) -> None:
    """A value of a key that is read, if it is a size or of the wrong type."""
    good, refused, counted = read(config), 0, 0
    used = dict(mw.model(config).reading.used)
    for key, old in values_of(config).items():
        if key in ("model_type", "quantization_config") or isinstance(old, str | list | dict):
            continue
        if isinstance(old, bool) and value == -7:
            continue
        bad = spoilt(config, key, value)
        counted += key.replace("/", ".") in used
        if refused_by_name(bad, key):
            refused += 1
        else:
            assert read(bad) == good, f"{key} is read, and {value} was taken for it"
    assert refused >= min(3, counted)


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


@pytest.mark.sampled(every=16)
def test_known_errors_only(config: dict[str, Any]) -> None:
    """For any value of a key, the error is one of the library's."""
    values: tuple[Any, ...] = (None, True, 0, 1.5, "", "x", [], [1], {}, 10**40)
    for key in config:
        for value in values:
            try:
                mw.model(spoilt(config, key, value))
            except MemoryWallError:
                continue
