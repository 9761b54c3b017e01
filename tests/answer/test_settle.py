"""One question, settled once: what is asked of one model may be asked of any other, on every road.

Every parameter of the table either changes the answer, or is refused: for every kind of model, in
every phase, in the library, as a scenario, in the command and for a traced module.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import memorywall as mw
from memorywall.app.cli import main
from memorywall.core.errors import MemoryWallError
from memorywall.core.layout import AskedLayout
from memorywall.core.model import Model
from memorywall.core.parameters import PARAMETERS, Adjustments, Parameter, Words
from memorywall.core.workload import LENGTHS
from memorywall.frontends.traced import model_of
from memorywall.phases import phase_names

H100 = "h100-sxm"
SD3 = "stabilityai/stable-diffusion-3-medium-diffusers"

# Values of every parameter beside its default, some of them default values of some models.
VALUES: dict[str, tuple[Any, ...]] = {
    "batch_size": (3,),
    "seq_len": (100, 4096),
    "source_len": (77,),
    "image_size": (224, 448),
    "images": (2,),
    "new_tokens": (5,),
    "steps": (3,),
    "guidance": ("on", "off"),
    "weights": ("int4",),
    "activations": ("fp32", "bf16"),
    "kv_cache": ("fp8",),
    "state": ("fp8", "fp16"),
    "traffic": ("unfused",),
    "causal": ("full",),
    "logits": ("all", "none"),
    "routing": ("skewed",),
    "mla": ("absorbed", "expanded", "reexpanded"),
    "cache_page": (4096,),
    "ceilings": ("spec",),
    "launch": ("eager",),
    "input_len": (16,),
    "output_len": (5,),
    "concurrency": (3,),
    "request_rate": (0.01,),
    "engine": ("trtllm", "sglang"),
    "devices": (2,),
    "tensor": (2,),
    "pipeline": (2,),  # refused so far
    "expert": (2,),
    "attention_data": (2,),
}
# A parameter with an effect is tried with values of its kind.
_BY_KIND: dict[str, tuple[Any, ...]] = {
    "length": (16, 3000), "count": (3,), "pixels": (224, 448), "format": ("fp8", "fp32"),
}  # fmt: skip
VALUES |= {
    parameter.name: parameter.choices or _BY_KIND[parameter.kind]
    for parameter in PARAMETERS.values()
    if parameter.part == "adjustments"
}
# Some parameters matter at few tokens alone (popular experts: many tokens reach all experts), some
# at many (causality past the chunks of Llama 4).
BASES: tuple[dict[str, Any], ...] = (
    {},
    {"batch_size": 4},
    {"seq_len": 8},
    {"seq_len": 20_000},
    {"images": 0},  # without an image PaliGemma's prefill masks pairs, else none
    {"tensor": 2},
    {"concurrency": 4},
    {"images": 0, "seq_len": 8},  # tokens so few that they do not choose all experts
)
# Parameters that the answer may only repeat: images that a model resizes to its own size, and the
# length of a decode step that recurrent state makes as cheap as any other.
REPEATED = ("image_size", "seq_len")


@cache
def model(name: str) -> Model:
    return mw.model(name)


def outcome(ask: Any) -> tuple[Any, ...]:
    """Return an answer as numbers and its headline, or the message of a refusal."""
    try:
        answer = ask()
    except MemoryWallError as error:
        return ("refused", type(error).__name__, error.message, error.hint)
    footprint = answer.footprint
    return (
        answer.flops, answer.moved_bytes, answer.latency_s, footprint.weights, footprint.kv_cache,
        footprint.activations, footprint.state, mw.headline(answer),
    )  # fmt: skip


def refused(result: tuple[Any, ...]) -> bool:
    return bool(result[0] == "refused")


def scenario(name: str, words: dict[str, Any]) -> mw.Scenario:
    """Return what is asked, made by hand of the parts of a scenario."""
    parts: dict[str, dict[str, Any]] = {
        "workload": {}, "precision": {}, "conventions": {}, "adjustments": {}, "layout": {},
    }  # fmt: skip
    for word, value in words.items():
        parts[PARAMETERS[word].part][word] = value
    return mw.Scenario(
        model(name),
        mw.Workload(**parts["workload"]),
        mw.hardware(H100),
        mw.Precision(**parts["precision"]),
        mw.Conventions(**parts["conventions"]),
        Adjustments(tuple(parts["adjustments"].items())),
        AskedLayout(**parts["layout"]),
    )


# The table.


def test_keywords_are_those_of_the_table() -> None:
    others = ("hardware", "adjustments")
    asked = [parameter for parameter in PARAMETERS.values() if parameter.part not in others]
    names = [name for parameter in asked for name in (parameter.name, *parameter.aliases)]
    assert sorted(Words.__annotations__) == sorted(names)
    described = inspect.getdoc(mw.analyze) or ""
    assert all(name in described for name in names)


def test_fields_of_a_scenario_are_those_of_the_table() -> None:
    for part, kind in (
        ("workload", mw.Workload), ("precision", mw.Precision), ("conventions", mw.Conventions),
        ("layout", AskedLayout),
    ):  # fmt: skip
        assert {field.name for field in fields(kind)} == {
            parameter.name for parameter in PARAMETERS.values() if parameter.part == part
        }
    lengths = [parameter for parameter in PARAMETERS.values() if parameter.kind == "length"]
    assert set(LENGTHS) == {p.name for p in lengths if p.part != "adjustments"}
    adjusted = {p.name for p in PARAMETERS.values() if p.part == "adjustments"}
    assert adjusted == {p.name for p in PARAMETERS.values() if p.effect is not None}


def test_every_parameter_has_values_to_test() -> None:
    assert set(VALUES) | {"on", "phase"} == set(PARAMETERS)


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ({"batch": 8}, {"batch_size": 8}),
        ({"seq": "2k"}, {"seq_len": 2048}),
        ({"seq": "0.5k", "batch": "1,4"}, {"seq_len": 512, "batch_size": [1, 4]}),
    ],
)
def test_aliases_and_texts(words: Any, same: Any) -> None:
    asked, meant = (mw.analyze("gpt2", on=H100, **given).to_dict() for given in (words, same))
    assert asked == meant


def test_sources_and_images_as_text() -> None:
    answer = mw.analyze("t5-small", on=H100, source="1k")
    assert answer.question.source_len == 1024
    answer = mw.analyze("vit-base-patch16-224", on=H100, image_size="448x224")
    assert answer.question.image_size == (448, 224)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"batch": 1, "batch_size": 2}, "batch and batch_size are one parameter, got 1 and 2"),
        ({"seq_length": 8}, "parameter 'seq_length' is not known"),
        ({"seq": "2,048"}, "seq_len is ambiguous, got '2,048'"),
        ({"batch": "2k"}, "batch_size must be a whole number, got '2k'"),
        ({"phase": "generate", "new_tokens": "1,2"}, "new_tokens must be one whole number"),
    ],
)
def test_words_that_cannot_be_used(words: Any, said: str) -> None:
    with pytest.raises(MemoryWallError, match=said):
        mw.analyze("gpt2", on=H100, **words)


# Asked apart from settled.


@st.composite
def asked_words(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True))
    words = {name: draw(st.sampled_from(VALUES[name])) for name in names}
    phase = draw(st.sampled_from([None, *phase_names()]))
    return words if phase is None else {**words, "phase": phase}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(mw.model_names()), st.sampled_from(mw.model_names()), asked_words(),
    asked_words(),
)  # fmt: skip
def test_another_model_or_workload_in_a_scenario_is_a_question_asked_afresh(
    one: str, other: str, words: dict[str, Any], more: dict[str, Any]
) -> None:
    asked = scenario(one, words)
    with suppress(MemoryWallError):  # what one model refuses may be asked of the other
        asked = mw.analyze(model(one), on=H100, **words).scenario
    fresh = outcome(lambda: mw.analyze(model(other), on=H100, **words))
    assert outcome(lambda: mw.analyze_scenario(replace(asked, model=model(other)))) == fresh

    both = scenario(other, {**words, **more})
    parts = replace(
        asked, model=both.model, workload=both.workload, precision=both.precision,
        conventions=both.conventions, adjustments=both.adjustments, layout=both.layout,
    )  # fmt: skip
    fresh = outcome(lambda: mw.analyze(model(other), on=H100, **{**words, **more}))
    assert outcome(lambda: mw.analyze_scenario(parts)) == fresh


def test_guidance_is_each_models_own() -> None:
    asked = mw.analyze(SD3, on=H100).scenario
    flux = mw.analyze_scenario(replace(asked, model=model("black-forest-labs/FLUX.1-dev")))
    assert mw.analyze_scenario(asked).question.guidance == "on"
    assert flux.question.guidance == "off"  # its guidance is distilled into the weights


def test_size_and_steps_are_each_models_own() -> None:
    asked = mw.analyze(SD3, on=H100).scenario
    sd3 = mw.analyze_scenario(asked)
    dit = mw.analyze_scenario(replace(asked, model=model("facebook/DiT-XL-2-256")))
    # The defaults of diffusers' StableDiffusion3Pipeline and DiTPipeline.
    assert (sd3.question.image_size, sd3.question.steps) == ((1024, 1024), 28)
    assert (dit.question.image_size, dit.question.steps) == ((256, 256), 50)


def test_images_are_each_models_own() -> None:
    asked = mw.analyze("llava-1.5-7b-hf", on=H100, phase="prefill").scenario
    llama = mw.analyze_scenario(replace(asked, model=model("meta-llama/Llama-3.1-8B")))
    assert (llama.question.seq_len, llama.question.images) == (2048, None)


def test_a_workload_by_hand_has_the_lengths_of_a_call() -> None:
    by_hand = mw.Scenario(model("bert-base-uncased"), mw.Workload("encode"), mw.hardware(H100))
    assert mw.analyze_scenario(by_hand).question.seq_len == 512
    assert mw.analyze("bert-base-uncased", on=H100).question.seq_len == 512


# Honoured or refused.


def kinds() -> list[str]:
    """Return one model of every kind: of every combination of traits that words depend on."""
    found: dict[tuple[Any, ...], str] = {}
    for name in mw.model_names():
        traits = model(name).traits
        source, images, state = traits.source, traits.images, traits.state
        found.setdefault(
            (
                traits.causal, traits.caches, traits.masks, traits.head, traits.experts,
                traits.latent, bool(traits.windows), bool(traits.chunks), traits.traced,
                state and state.dtype, source and source.fixed is None, images and images.with_text,
                traits.denoising and traits.denoising.guided, traits.fixed_words,
            ),
            name,
        )  # fmt: skip
    return list(found.values())


KINDS = kinds()
ASKED = [parameter for parameter in PARAMETERS.values() if parameter.name in VALUES]


@cache
def plain_outcome(name: str, words: tuple[tuple[str, Any], ...]) -> tuple[Any, ...]:
    return outcome(lambda: mw.analyze(model(name), on=H100, **dict(words)))


def tries(name: str, parameter: Parameter, phase: str) -> Iterator[tuple[Any, Any]]:
    """Yield the outcomes without a parameter and with it, over bases that can be asked."""
    for base in BASES:
        if parameter.name not in base:
            words = {**base, "phase": phase}
            without = plain_outcome(name, tuple(words.items()))
            if refused(without):
                continue
            for value in VALUES[parameter.name]:
                with_it = {**words, parameter.name: value}
                yield (
                    without,
                    outcome(lambda words=with_it: mw.analyze(model(name), on=H100, **words)),
                )


@pytest.mark.parametrize("name", KINDS)
def test_a_parameter_is_honoured_or_refused(name: str) -> None:
    idle = []
    for phase in phase_names():
        for parameter in ASKED:
            honoured = None  # until an answer is not refused
            for without, answer in tries(name, parameter, phase):
                if refused(answer):
                    assert parameter.name in answer[2] or answer[2].startswith("seq_len must")
                    continue
                repeated = parameter.name in REPEATED and answer[-1] != without[-1]
                honoured = answer[:-1] != without[:-1] or repeated
                if honoured:
                    break
            if honoured is False:
                idle.append((phase, parameter.name))
    assert not idle


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        # LFM2 keeps the last inputs of its convolutions alone, in the activations' format.
        ("LiquidAI/LFM2-350M", {"state": "fp32"}, "state requires recurrent state"),
        ("llava-1.5-7b-hf", {"images": 2}, "images has no effect on llava-hf/llava-1.5-7b-hf in"),
        ("llava-1.5-7b-hf", {"phase": "prefill", "images": 0, "image_size": 224}, "image_size "),
        ("gpt2", {"causal": "full"}, "causal has no effect on gpt2 in phase decode"),
        ("gpt2", {"phase": "prefill", "new_tokens": 3}, "new_tokens has no effect on gpt2 in"),
        ("bert-base-uncased", {"kv_cache": "fp8"}, "kv_cache requires a KV cache"),
        ("gpt2", {"mla": "absorbed"}, "mla requires latent attention"),
        ("gpt2", {"routing": "skewed"}, "routing requires a mixture of experts"),
        ("gpt2", {"steps": 3}, "steps requires denoising"),
    ],
)
def test_a_parameter_without_effect_is_refused(name: str, words: Any, said: str) -> None:
    with pytest.raises(MemoryWallError, match=f"^{said}"):
        mw.analyze(model(name), on=H100, **words)


def flag_of(parameter: Parameter, value: Any) -> list[str]:
    return [parameter.flags[0], str(value)]


# The command loads a model each time, which takes seconds where its class is traced.
@pytest.mark.parametrize("name", [name for name in KINDS if not model(name).traits.traced])
def test_library_scenario_and_command_agree(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One question three ways: a parameter is honoured alike, or refused in the same words."""
    for parameter in ASKED:
        value = VALUES[parameter.name][0]
        words = {parameter.name: value}
        library = outcome(lambda words=words: mw.analyze(model(name), on=H100, **words))
        asked = scenario(name, words)
        assert outcome(lambda asked=asked: mw.analyze_scenario(asked)) == library
        code = main(["analyze", name, "--on", H100, "--json", *flag_of(parameter, value)])
        out, err = capsys.readouterr()
        if refused(library):
            assert (code, out) == (2, "")
            assert library[2] in err
        else:
            record = mw.analyze_scenario(asked).to_dict()
            assert (code, json.loads(out)) == (0, json.loads(json.dumps(record)))


def test_a_traced_module_has_one_pass() -> None:
    traced = mw.trace(lambda: torch.nn.Linear(4, 3), "float32[2,4]")
    plain = outcome(lambda: mw.analyze(traced, on=H100))
    # Its values ask the same question: it was traced in float32, as an encoder's pass.
    own = mw.analyze(traced, on=H100, phase="encode", batch_size=2, weights="fp32", causal="half")
    assert outcome(lambda: own) == plain
    assert outcome(lambda: mw.analyze(traced, on=H100, traffic="unfused"))[1] == plain[1]
    for parameter in ASKED:
        if parameter.name not in ("traffic", "ceilings", "launch"):
            words: Any = {parameter.name: VALUES[parameter.name][-1]}
            answers = [
                outcome(lambda words=words: mw.analyze(traced, on=H100, **words)),
                outcome(
                    lambda words=words: mw.analyze_scenario(
                        replace(scenario("gpt2", words), model=model_of(traced))
                    )
                ),
            ]
            for answer in answers:
                assert refused(answer)
                assert answer[2].startswith(f"{parameter.name} conflicts with the trace of Linear")
