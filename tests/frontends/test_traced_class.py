"""Configs without a built-in family: transformers' class, against families and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import memorywall as mw
from memorywall.app.cli import app, main
from memorywall.core.axes import unnamed
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.formats import FORMATS
from memorywall.core.geometry import Counted, Space
from memorywall.core.model import Model
from memorywall.core.program import Block, Op, Program
from memorywall.core.tensors import Tensor
from memorywall.frontends import config as configs
from memorywall.frontends._bounds import check_bounds, check_built
from memorywall.frontends.traced_class import TRACED_CLASS, TracedSeer, as_text, read_traced
from memorywall.frontends.tracing.fold.decode_growth import between
from memorywall.frontends.tracing.transformers.image_inputs import image_size_of
from tests.asking import analyze_alike

# A type that transformers knows and no family does.
UNREAD: dict[str, Any] = {
    "model_type": "diffllama", "architectures": ["DiffLlamaForCausalLM"], "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100, "dtype": "bfloat16",
    "max_position_embeddings": 512, "tie_word_embeddings": False,
}  # fmt: skip


# Bytes of the constants that a class keeps beside its weights: frequencies of the rotation in fp32,
# half of a head's elements, 64 / 2 and 128 / 2; BERT's 512 positions and types of tokens in int64.
CONSTANTS = {
    "Qwen/Qwen2.5-0.5B": 32 * 4, "Qwen/Qwen3-30B-A3B": 64 * 4, "bert-base-uncased": 2 * 512 * 8,
}  # fmt: skip


def by_class(name: str) -> Model:
    """Return a model of the catalogue as if it had no built-in family."""
    model = mw.model(name)
    architecture = read_traced(model.config, name)
    assert architecture is not None
    return Model(name, TRACED_CLASS, architecture, model.config)


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("gpt2", "prefill"), ("gpt2", "decode"), ("Qwen/Qwen2.5-0.5B", "prefill"),
        ("Qwen/Qwen2.5-0.5B", "decode"), ("bert-base-uncased", "encode"),
        ("google-t5/t5-small", "prefill"), ("google-t5/t5-small", "decode"),
        ("google-t5/t5-small", "encode"), ("Qwen/Qwen3-30B-A3B", "prefill"),
    ],
)  # fmt: skip
def test_class_and_family_agree(name: str, phase: str) -> None:
    """FLOPs of products and parameters to the last digit.

    Fused bytes within 3 %: the roads fuse one pass over the hidden state a layer more or less.
    """
    words: dict[str, Any] = {"on": "h100-sxm", "phase": phase, "batch_size": 2}
    words |= {"causal": "full", "logits": "all"}
    if phase == "encode" and "t5" in name:
        words["source_len"] = 96
    else:
        words |= {"seq_len": 128} | ({"source_len": 96} if "t5" in name else {})
    traced = by_class(name)
    theirs, ours = analyze_alike(traced, **words), analyze_alike(name, **words)
    assert traced.parameters == ours.parameters
    for kind in ("gemm", "attention"):
        counts = [sum(op.flops for op in a.ops if op.kind == kind) for a in (theirs, ours)]
        assert counts[0] == counts[1], kind
    assert float(theirs.moved_bytes) == pytest.approx(float(ours.moved_bytes), rel=0.03)
    constants = CONSTANTS.get(name, 0)
    assert float(theirs.footprint.weights) == float(ours.footprint.weights) + constants


def test_generation_agrees() -> None:
    """A prefill and 31 steps, three of which are traced: the sum of what the family says of all."""
    words: dict[str, Any] = {"on": "h100-sxm", "phase": "generate", "seq_len": 64}
    theirs = mw.analyze(by_class("gpt2"), new_tokens=32, causal="full", **words)
    ours = mw.analyze("gpt2", new_tokens=32, causal="full", **words)
    products = [
        sum(float(op.flops) for op in a.ops if op.kind in ("gemm", "attention"))
        for a in (theirs, ours)
    ]
    assert products[0] == products[1]
    assert float(theirs.bound_s) == pytest.approx(float(ours.bound_s), rel=0.02)


def test_formats_are_those_asked_for() -> None:
    """int8 weights are a byte each; what is cached in fp8 is half of what is in bf16."""
    model = by_class("gpt2")
    plain = mw.analyze(model, on="h100-sxm", seq_len=128)
    packed = mw.analyze(model, on="h100-sxm", seq_len=128, weights="int8", kv_cache="fp8")
    assert plain.footprint.weights == 2 * model.parameters
    family = mw.analyze("gpt2", on="h100-sxm", seq_len=128, weights="int8", kv_cache="fp8")
    assert packed.footprint.weights == family.footprint.weights
    assert 2 * packed.footprint.kv_cache == plain.footprint.kv_cache


def _cached(config: dict[str, Any], formats: dict[str, Any]) -> float:
    """Return the bytes of cache that a decode step moves."""
    answer = mw.analyze(config, on="h100-sxm", phase="decode", seq_len=2000, **formats)
    return sum(float(op.traffic.get("kv_cache", 0)) for op in answer.ops)


@pytest.mark.parametrize(
    ("formats", "times"),
    [
        ({"kv_cache": "fp8"}, 0.5),
        ({"kv_cache": "fp32"}, 2),
        ({"activations": "fp8", "kv_cache": "bf16"}, 1),
    ],
)
def test_a_cache_in_another_format_is_read_as_often(formats: dict[str, str], times: float) -> None:
    """A step reads 2 layers x keys and values x 32 x 2000 positions, and writes one, of 2 B."""
    config = {
        "model_type": "nanochat", "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 100,
        "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 64,
        "max_position_embeddings": 4096,
    }  # fmt: skip
    plain, other = (_cached(config, changed) for changed in ({}, formats))
    assert plain == 2 * 2 * 32 * (2000 + 1) * 2
    assert other == times * plain


def test_a_config_without_a_family_is_traced_and_reported() -> None:
    """Parameters of DiffLlama by hand, and the note first."""
    model = mw.model(UNREAD)
    assert model.traits.traced
    # Embedding and head 2 x 100 x 64; a layer: q and o 2 x 64 x 64, k and v 2 x 64 x 32,
    # feed-forward 3 x 64 x 96, two norms of 64, four lambdas of 16; its group norm has no weights.
    # The last norm 64.
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64 + 4 * 16
    assert model.parameters == 2 * 100 * 64 + 2 * layer + 64
    answer = mw.analyze(model, on="h100-sxm", phase="prefill", seq_len=32)
    assert "No built-in family reads 'diffllama'" in " ".join(answer.notes)
    assert "DiffLlamaForCausalLM" in " ".join(answer.notes)


def test_a_class_that_a_family_does_not_cover_is_traced() -> None:
    """CLIP's classifier: its tower by the family, and 2 labels' weights and biases on top."""
    config = {"model_type": "clip", "architectures": ["CLIPForImageClassification"]}
    model = mw.model(config)
    assert model.traits.traced
    assert model.architecture.notes[0].startswith(
        "No built-in family supports this class of 'clip'"
    )
    tower = mw.model({"model_type": "clip_vision_model", "architectures": ["CLIPVisionModel"]})
    assert model.parameters == tower.parameters + 2 * 768 + 2


# Keys that transformers' classes support and families do not: one of each.
UNCOVERED = (
    {
        "model_type": "xlm-roberta", "architectures": ["XLMRobertaForCausalLM"],
        "is_decoder": True, "num_hidden_layers": 1, "hidden_size": 48, "num_attention_heads": 2,
        "intermediate_size": 96, "vocab_size": 100,
    },
    {
        "model_type": "roformer", "architectures": ["RoFormerForMaskedLM"], "rotary_value": True,
        "num_hidden_layers": 1, "hidden_size": 48, "embedding_size": 48, "num_attention_heads": 2,
        "intermediate_size": 96, "vocab_size": 100,
    },
    {
        "model_type": "swin", "architectures": ["SwinForImageClassification"],
        "use_absolute_embeddings": True, "embed_dim": 24, "depths": [1, 1], "num_heads": [1, 2],
        "image_size": 56,
    },
    {
        "model_type": "llava", "architectures": ["LlavaForConditionalGeneration"],
        "image_token_index": 90,
        "text_config": {
            "model_type": "llama", "hidden_size": 48, "intermediate_size": 96, "vocab_size": 100,
            "num_hidden_layers": 1, "num_attention_heads": 2,
        },
        "vision_config": {
            "model_type": "pixtral", "hidden_size": 48, "intermediate_size": 96, "image_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16,
        },
    },
)  # fmt: skip


@pytest.mark.parametrize("config", UNCOVERED, ids=lambda config: config["model_type"])
def test_what_a_family_does_not_cover_is_traced(config: dict[str, Any]) -> None:
    import torch
    import transformers

    model = mw.model(config)
    said = {key: value for key, value in config.items() if key != "model_type"}
    built = transformers.AutoConfig.for_model(config["model_type"], **said)
    with torch.device("meta"):
        module = getattr(transformers, config["architectures"][0])(built)
    assert model.traits.traced
    assert model.parameters == sum(weight.numel() for weight in module.parameters())
    with pytest.raises(UnsupportedError, match="not supported"):
        mw.model({**config, "architectures": ["AClassOfOurOwn"]})


def test_the_command_says_so_first(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(UNREAD))
    told = CliRunner().invoke(app, ["analyze", str(path), "--on", "h100-sxm", "--json"])
    assert told.exit_code == 0, told.output
    assert told.stderr.startswith("No built-in family reads 'diffllama'")
    assert json.loads(told.stdout)["flops"] > 0


def test_without_torch_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memorywall.frontends.traced_class.find_spec", lambda _: None)
    with pytest.raises(UnsupportedError, match="is not known") as caught:
        mw.model(UNREAD)
    assert "memorywall[measure]" in caught.value.hint


def test_what_neither_knows_is_refused() -> None:
    """The way out is named, and a few near names, not hundreds."""
    with pytest.raises(UnsupportedError, match="is not known, and transformers has no") as caught:
        mw.model({**UNREAD, "model_type": "quantum_llama"})
    assert "memorywall trace FILE.py:make" in caught.value.hint
    assert "'memorywall models'" in caught.value.hint
    assert len(caught.value.hint) < 400


@pytest.mark.parametrize("model_type", ["blip", "blip-2", "kosmos-2"])
def test_what_needs_images_beside_its_text_is_refused_when_read(
    model_type: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything of it is printed, and with what to do."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert main(["analyze", str(tmp_path), "--on", "h100-sxm"]) == 2
    said = capsys.readouterr()
    assert "pixel_values" in said.err
    assert "memorywall trace FILE.py:make" in said.err
    assert not said.out


@pytest.mark.parametrize(
    ("model_type", "inputs"),
    [
        ("wav2vec2", ["input_values='float32[1,16000]'"]),
        ("moonshine", ["input_values='float32[1,16000]'", "decoder_input_ids='int64[1,1]'"]),
        ("patchtst", ["past_values='float32[1,512,1]'"]),
        ("encodec", ["input_values='float32[1,16000]'"]),
        ("blip", ["pixel_values='float32[1,3,224,224]'", "input_ids='int64[1,16]'"]),
        ("blip-2", ["pixel_values='float32[1,3,224,224]'", "input_ids='int64[1,16]'"]),
    ],
)
def test_what_reads_neither_text_nor_image_is_reported(model_type: str, inputs: list[str]) -> None:
    """As text, without Python's message, and with the required inputs."""
    with pytest.raises(UnsupportedError, match="It requires") as caught:
        mw.model({"model_type": model_type})
    assert "Error" not in caught.value.message
    for given in inputs:
        assert given.partition("=")[0] in caught.value.message
        assert f"--input {given}" in caught.value.hint


def _glm_ocr() -> Model:
    text = {
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "vocab_size": 200,
        "num_attention_heads": 4, "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 64, "num_heads": 4, "intermediate_size": 64,
        "out_hidden_size": 64, "patch_size": 14, "image_size": 56,
    }  # fmt: skip
    return mw.model({
        "model_type": "glm_ocr", "text_config": text, "vision_config": vision,
        "image_token_id": 150, "video_token_id": 151,
    })  # fmt: skip


def test_a_free_grid_encodes_other_sizes() -> None:
    """Squares of 2 x 2 patches of 14 pixels: 4 positions at 56 x 56, and 8 at 112 x 56."""
    model = _glm_ocr()
    seer = model.architecture
    assert isinstance(seer, TracedSeer)
    assert [seer.image_tokens(56, 56), seer.image_tokens(112, 56)] == [4, 8]
    with pytest.raises(InvalidInputError, match="must be a multiple of 28x28"):
        seer.image_tokens(60, 56)
    small, large = (
        mw.analyze(model, on="h100-sxm", phase="encode", image_size=side, images=1)
        for side in (56, 112)
    )
    for kind, times in (("gemm", 4), ("attention", 16)):
        flops = [sum(op.flops for op in a.ops if op.kind == kind) for a in (small, large)]
        assert flops[1] == times * flops[0] > 0


def test_a_fixed_tower_encodes_its_own_size() -> None:
    seer = TracedSeer(
        "A", "a", "{}", True, "bf16", None, (), reads="both", image_size=(56, 56), tokens=4
    )
    assert seer.image_tokens(56, 56) == 4
    with pytest.raises(InvalidInputError, match="traced at 56x56 only"):
        seer.image_tokens(112, 112)


def test_towers_that_are_not_traced_are_reported() -> None:
    """Mllama reads a text; its towers, and the layers that attend to them, are weights alone."""
    model = mw.model({"model_type": "mllama"})
    assert model.traits.images_left_out
    assert any("so do the layers" in note for note in model.architecture.notes)
    with pytest.raises(InvalidInputError, match="image towers of"):
        mw.analyze(model, on="h100-sxm", seq_len=8, images=1)


def test_a_dtype_that_is_assumed_is_reported() -> None:
    said = "The config has no dtype: bf16 is assumed."
    assert said not in mw.model(UNREAD).architecture.notes
    silent = {key: value for key, value in UNREAD.items() if key != "dtype"}
    assert said in mw.model(silent).architecture.notes


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers says it over several lines: what to install, and nothing of keys."""
    import transformers

    def missing(_self: object, _config: object) -> None:
        raise ImportError("\nX requires the timm library.\nYou can install it: `pip install timm`.")

    monkeypatch.setattr(transformers.DiffLlamaForCausalLM, "__init__", missing)
    with pytest.raises(UnsupportedError, match="requires timm, which is not installed") as caught:
        mw.model(UNREAD)
    assert caught.value.hint == "Install it: pip install timm"


def test_keys_of_the_config_class_are_read() -> None:
    """The class has ``lambda_std_dev``; ``flux`` and unused arguments are unknown."""
    reading = mw.model({**UNREAD, "flux": 3, "lambda_std_dev": 0.1, "auto_map": {}}).reading
    assert {*dict(reading.used)} == {*UNREAD, "lambda_std_dev"}
    assert {*dict(reading.unused)} == {"flux", "auto_map"}


def test_a_head_for_every_position_is_reported() -> None:
    """DiffLlama's class can keep the last position's logits; BERT's cannot."""
    last, every = (
        mw.analyze(UNREAD, on="h100-sxm", phase="prefill", seq_len=32, logits=logits)
        for logits in ("last", "all")
    )
    assert every.flops - last.flops == 2 * 31 * 64 * 100  # 31 rows more of the head's product
    assert not any("every position" in note for note in last.notes)
    assert any("every position" in n for n in by_class("bert-base-uncased").architecture.notes)


def test_what_cannot_be_traced_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LED asks for the values of its mask: the command says where, and ends with 2."""
    led = {"model_type": "led", "architectures": ["LEDForConditionalGeneration"]}
    (tmp_path / "config.json").write_text(json.dumps(led))
    assert main(["analyze", str(tmp_path), "--on", "h100-sxm"]) == 2
    said = capsys.readouterr()
    assert "in module 'led.encoder'" in said.err
    assert not said.out


def test_code_of_a_model_is_never_run(tmp_path: Path) -> None:
    """Keys that make transformers fetch code, kernels or weights are not handed on."""
    trap = {
        "auto_map": {"AutoModelForCausalLM": "modeling_trap.Trap"},
        "_attn_implementation": "owner/kernel",
        "attn_implementation": "owner/kernel",
        "use_pretrained_backbone": True,
        "vision_config": {"auto_map": {}, "_attn_implementation_internal": "owner/kernel"},
    }
    kept = json.loads(as_text({**UNREAD, **trap}))
    assert not {*trap} - {"vision_config"} & {*kept}
    assert kept["vision_config"] == {}
    (tmp_path / "modeling_trap.py").write_text("raise SystemExit('ran')")
    (tmp_path / "config.json").write_text(json.dumps({**UNREAD, **trap, "vision_config": {}}))
    assert mw.model(tmp_path).parameters == mw.model(UNREAD).parameters


@pytest.mark.parametrize("model_type", ["mra", "yoso"])
def test_kernels_are_not_fetched(model_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes that load a kernel where there is a GPU do not, and fetching is as before after."""
    from transformers.integrations import hub_kernels
    from transformers.models.mra import modeling_mra
    from transformers.models.yoso import modeling_yoso

    fetched: list[object] = []
    recorder = fetched.append
    monkeypatch.setattr(hub_kernels, "get_kernel", lambda *args, **_: recorder(args))
    for module in (modeling_mra, modeling_yoso):
        for asked in ("is_torch_cuda_available", "is_cuda_platform", "is_ninja_available"):
            monkeypatch.setattr(module, asked, lambda: True, raising=False)
        monkeypatch.setattr(module, "is_kernels_available", lambda: True, raising=False)
    config = {
        "model_type": model_type, "hidden_size": 32, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 32, "vocab_size": 50,
    }  # fmt: skip
    assert mw.model(config).parameters > 0
    assert not fetched
    hub_kernels.get_kernel("owner/kernel", version=1)
    assert fetched == [("owner/kernel",)]


PROPHETNET = {
    "model_type": "prophetnet", "hidden_size": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
    "num_encoder_layers": 1, "num_decoder_layers": 1, "num_encoder_attention_heads": 2,
    "num_decoder_attention_heads": 2, "vocab_size": 300,
}  # fmt: skip
GEMMA3N = {
    "model_type": "gemma3n_text", "hidden_size": 64, "intermediate_size": 128, "head_dim": 32,
    "num_hidden_layers": 5, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 300,
    "vocab_size_per_layer_input": 300, "num_kv_shared_layers": 0,
}  # fmt: skip


@pytest.mark.parametrize("config", [PROPHETNET, GEMMA3N], ids=lambda config: config["model_type"])
def test_checks_of_values_are_left_out(config: dict[str, Any]) -> None:
    """Both classes check values in their forward; other checks are restored afterwards."""
    import torch

    model = mw.model(config)
    assert mw.analyze(model, on="h100-sxm", seq_len=8).flops
    with pytest.raises(ValueError, match="constraint"):
        torch.distributions.Normal(0.0, -1.0)


@pytest.mark.parametrize("name", ["AutoConfig", "pipeline", "LlamaForCausalLM", "__version__"])
def test_only_its_own_classes_are_built(name: str) -> None:
    """A class of another type, or no class at all, is passed over for the type's own."""
    model = mw.model({**UNREAD, "architectures": [name]})
    assert model.architecture.class_name == "DiffLlamaForCausalLM"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 10**7}, "num_hidden_layers is 10000000"),
        ({"hidden_size": "wide"}, "transformers"),
        ({"num_attention_heads": 0}, "transformers"),
    ],
)
def test_bad_configs_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises((InvalidInputError, UnsupportedError), match=said):
        mw.model({**UNREAD, **change})


def _nested(levels: int) -> dict[str, Any]:
    deep: dict[str, Any] = {}
    for _ in range(levels):
        deep = {"more": deep}
    return deep


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_labels": 20_000_000}, "num_labels is 20000000"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be at least 1, got 0"),
        ({"n_layer": -3}, "n_layer must be at least 1, got -3"),
        ({"depths": [10_000_000, 1, 1]}, "depths is 10000000"),
        ({"num_hidden_layers": 1025}, "num_hidden_layers is 1025"),
        ({"depths": [1024] * 4 + [1]}, "the sum of depths is 4097"),
        ({"block_sizes": [1025]}, "block_sizes is 1025"),
        ({"num_residual_layers": 65}, "num_residual_layers is 65"),
        ({"image_size": [32, 4097]}, "image_size is 4097"),
        ({"use_tpu_fourier_optimizations": True}, "use_tpu_fourier_optimizations is True"),
        ({"parts": [{"num_experts": 10**6}]}, "num_experts is 1000000"),
        ({"conv_dim": [1] * 4097}, "has 4097 entries"),
        ({"vocab_size": 2**31 + 1}, "vocab_size is 2147483649"),
        ({"rope_theta": float("inf")}, "rope_theta must be a finite number, got inf"),
        ({"more": _nested(900)}, "nested deeper than 64"),
    ],
)
def test_sizes_of_a_config_are_bounded(change: dict[str, Any], said: str) -> None:
    """Refused before anything is built: some of them would take the machine's memory."""
    with pytest.raises(InvalidInputError, match=said):
        read_traced({**UNREAD, **change}, "config")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "switch_transformers", "num_experts": 2**14}, "12 layers of 16384 experts"),
        (
            {"model_type": "nllb-moe", "encoder_layers": 64, "num_experts": 1025},
            "64 layers of 1025 experts are 65600",
        ),
        ({"model_type": "levit", "image_size": 2048}, "pairs of patches"),
        (
            {"model_type": "levit", "image_size": 512, "depths": [64] * 3},
            "the number of pairs of patches at image_size 512 is 201326592",
        ),
    ],
)
def test_what_multiplies_is_bounded(config: dict[str, Any], said: str) -> None:
    """With the class's own defaults: 12 layers, and patches of 16 pixels."""
    with pytest.raises(InvalidInputError, match=said):
        read_traced(config, "config")


@pytest.mark.parametrize(("layers", "experts"), [(61, 256), (94, 512), (61, 384)])
def test_experts_of_the_largest_models_are_let_through(layers: int, experts: int) -> None:
    text = {"num_hidden_layers": layers, "n_routed_experts": experts}
    check_bounds({"text_config": text}, "config")
    check_built({"text_config": text}, "config")


def test_widths_are_not_counts() -> None:
    """Keys that look like a count or a depth but are a width, length or index are accepted."""
    check_bounds(
        {
            "n_positions": 131_072, "n_embd": 2**17, "stage_out_channels": [2048, 4096],
            "expert_dim": 8192, "num_shared_experts": 0, "vision_feature_layer": -2,
            "depths": [3, 4, 6, 3], "id2label": {str(n): "label" for n in range(1000)},
        },
        "config",
    )  # fmt: skip


SMALL_SWIN: dict[str, Any] = {
    "model_type": "swin", "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1],
    "window_size": 7, "image_size": 64, "out_features": ["stage1", "stage2", "stage3", "stage4"],
}  # fmt: skip


def test_a_backbone_is_the_one_named() -> None:
    """As many parameters as the class has that transformers builds with it."""
    import torch
    import transformers

    config = {
        "model_type": "mask2former",
        "backbone_config": {**SMALL_SWIN, "auto_map": {"a": "b"}},
    }
    kept = json.loads(as_text(config))["backbone_config"]
    assert kept == SMALL_SWIN
    backbone = transformers.SwinConfig(**{k: v for k, v in SMALL_SWIN.items() if k != "model_type"})
    with torch.device("meta"):
        built = transformers.Mask2FormerModel(
            transformers.Mask2FormerConfig(backbone_config=backbone)
        )
    model = mw.model({**config, "architectures": ["Mask2FormerModel"]})
    assert model.parameters == sum(p.numel() for p in built.parameters())


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "microsoft/resnet-50"},
        {"use_timm_backbone": True},
        {"backbone_config": "resnet"},
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "resnet18"}},
        {"backbone_config": {"model_type": "unheard_of"}},
        {"parts": [{"backbone": "resnet50"}]},
    ],
)
def test_backbones_from_elsewhere_are_refused(change: dict[str, Any]) -> None:
    """One that transformers would fetch, or that timm makes, is not left out in silence."""
    with pytest.raises(UnsupportedError, match="backbone"):
        read_traced({"model_type": "mask2former", **change}, "config")


_EVIL: dict[str, Any] = {
    "architecture": "hf-hub:evil/evil", "model_args": {"checkpoint_path": "/etc/passwd"},
}  # fmt: skip
_BY_TIMM = {"model_type": "timm_wrapper", **_EVIL}


@pytest.mark.parametrize(
    "config",
    [
        _BY_TIMM,
        {"model_type": "encoder-decoder", "encoder": _BY_TIMM, "decoder": {"model_type": "bert"}},
        {"model_type": "perception_lm", "vision_config": _BY_TIMM},
        {"model_type": "perception_lm", "vision_config": _EVIL},
        {"model_type": "perception_lm"},
        {"model_type": "gemma3n", "vision_config": {"architecture": "local-dir:/tmp"}},
        {"model_type": "gemma3n", "parts": [[{"model_type": "timm_backbone"}]]},
    ],
)
def test_timm_makes_nothing(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before a class is built, which timm would fetch or read files for."""
    monkeypatch.setattr(
        "memorywall.frontends.tracing.transformers.classes.built_class", lambda *_: 1 / 0
    )
    with pytest.raises(
        UnsupportedError, match=r"are built by timm|must be a name, got the location"
    ):
        read_traced(config, "config")


def test_keys_that_make_timm_read_are_not_handed_on() -> None:
    assert json.loads(as_text({**_EVIL, "trust_remote_code": True})) == {
        "architecture": _EVIL["architecture"]
    }


def test_a_class_that_is_not_there_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers' tables name some that it does not have."""
    monkeypatch.setattr(
        "memorywall.frontends.tracing.transformers.classes.usual_class",
        lambda *_, **__: "NoSuchModel",
    )
    with pytest.raises(UnsupportedError, match="cannot build NoSuchModel"):
        read_traced({"model_type": "diffllama"}, "config")


def test_a_cache_that_cannot_be_made_is_reported() -> None:
    """Blt's config counts the layers of its parts alone."""
    with pytest.raises(UnsupportedError, match="cannot make a cache for BltForCausalLM") as caught:
        mw.model({"model_type": "blt", "architectures": ["BltForCausalLM"]})
    assert "BltForCausalLM" in caught.value.hint


@pytest.mark.parametrize("size", [[3, "x"], [None, 4], [3, True], [0, 4], [4], -1, False])
def test_sizes_of_images_are_whole(size: object) -> None:
    with pytest.raises(InvalidInputError, match=r"image_size must be"):
        image_size_of(SimpleNamespace(image_size=size))


def test_an_odd_size_of_images_is_not_a_traceback() -> None:
    with pytest.raises(
        InvalidInputError,
        match=r"image_size must be one or two positive whole numbers, got \[3, 'x'\]",
    ):
        read_traced({"model_type": "segformer", "image_size": [3, "x"]}, "config")


@pytest.mark.parametrize("size", [32, [32, 32], {"height": 32, "width": 32}])
def test_sizes_of_images_are_one_or_two(size: object) -> None:
    assert image_size_of(SimpleNamespace(image_size=size)) == (32, 32)
    tower = SimpleNamespace(vision_config=SimpleNamespace(image_size=size))
    assert image_size_of(tower) == (32, 32)


def test_quantised_weights_need_a_format() -> None:
    """Which weights a method packs, a class does not say; a format that is named settles it."""
    model = mw.model({**UNREAD, "quantization_config": {"quant_method": "gptq", "bits": 4}})
    with pytest.raises(UnsupportedError, match="quantised"):
        mw.analyze(model, on="h100-sxm", seq_len=32)
    assert mw.analyze(model, on="h100-sxm", seq_len=32, weights="int4").flops


@pytest.mark.parametrize(
    "asked",
    [{"cache_page": 16}, {"routing": "skewed"}, {"mla": "expanded"}, {"state": "fp32"}],
)
def test_options_without_effect_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=next(iter(asked))):
        mw.analyze(UNREAD, on="h100-sxm", phase="decode", seq_len=32, **asked)


@pytest.mark.parametrize("phase", ["prefill", "decode", "generate"])
def test_many_sizes_are_each_size(phase: str) -> None:
    """A grid of batches and lengths is what each pair would be by itself."""
    batches, lengths = np.array([[1], [3]]), np.array([33, 64, 17])
    words: dict[str, Any] = {"on": "h100-sxm", "phase": phase}
    if phase == "generate":
        words["new_tokens"] = 6
    together = mw.analyze(UNREAD, batch_size=batches, seq_len=lengths, **words)
    for row, batch in enumerate(batches[:, 0]):
        for column, length in enumerate(lengths):
            alone = mw.analyze(UNREAD, batch_size=int(batch), seq_len=int(length), **words)
            for name in ("flops", "moved_bytes", "latency_s"):
                here = np.broadcast_to(getattr(together, name), (2, 3))[row, column]
                assert here == pytest.approx(getattr(alone, name), rel=1e-12), name
            for name in ("weights", "kv_cache", "activations"):
                here = np.broadcast_to(getattr(together.footprint, name), (2, 3))[row, column]
                assert here == getattr(alone.footprint, name), name


def test_sizes_are_traced_in_their_number() -> None:
    with pytest.raises(UnsupportedError, match="at most 16 batches"):
        mw.analyze(UNREAD, on="h100-sxm", seq_len=32, batch_size=np.arange(1, 18))


def test_many_steps_are_each_step() -> None:
    """An array of positions, from three traces, is what each would be by itself."""
    lengths = np.array([33, 40, 64])
    together = mw.analyze(UNREAD, on="h100-sxm", phase="decode", seq_len=lengths)
    alone = [mw.analyze(UNREAD, on="h100-sxm", phase="decode", seq_len=int(n)) for n in lengths]
    assert np.asarray(together.flops).tolist() == [float(a.flops) for a in alone]
    assert np.asarray(together.moved_bytes).tolist() == [float(a.moved_bytes) for a in alone]


def _program(flops: int, keys: int) -> Program:
    cache = Tensor("cache", unnamed(2, keys), FORMATS["bf16"], "kv_cache")
    work = Counted((Space(flops, ()),), "attention")
    return Program((Block("layer", (Op("attend", work, (cache,), (), "bf16"),)),))


def test_growth_by_hand() -> None:
    """From 10 + 3 n FLOPs and 2 x n keys at n = 4 and 8: at 6 they are 28 and 2 x 6 x 2 B."""
    grown = between(np.array([4.0, 6.0, 8.0]), lambda n: _program(10 + 3 * n, n))
    work = grown.work
    assert np.asarray(work.flops).tolist() == [22, 28, 34]
    assert np.asarray(work.moved_bytes).tolist() == [16, 24, 32]


def test_uneven_growth_is_refused() -> None:
    """A window: from 6 on no more keys."""
    with pytest.raises(UnsupportedError, match="are not linear"):
        between(np.array([4.0, 8.0]), lambda n: _program(min(n, 6), min(n, 6)))


def test_an_image_is_encoded_by_size() -> None:
    """BiT has no family: four times the pixels are four times the products' FLOPs, but the head."""
    config = {"model_type": "bit", "architectures": ["BitForImageClassification"]}
    small, large = (
        mw.analyze(config, on="h100-sxm", phase="encode", image_size=size) for size in (224, 448)
    )
    convolutions = [sum(op.flops for op in a.ops if op.kind == "conv") for a in (small, large)]
    assert convolutions[1] == 4 * convolutions[0] > 0
    assert configs.model_from_config(config, "config").causal is False
