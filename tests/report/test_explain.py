"""``models --explain``: the record of the very reading that the counts come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import memorywall as mw
from memorywall.app.cli import main
from memorywall.catalog.configs import entries
from memorywall.reading.ignored_keys import bearing
from memorywall.reading.published import as_published
from memorywall.report.explain import explained
from tests.frontends.files import GGUF_METADATA, LLAMA, gguf, gguf_tensors, plain, save
from tests.toys import TOY

Captured = pytest.CaptureFixture[str]
ENTRIES = {entry.id: entry.config for entry in entries()}


def test_by_hand() -> None:
    config = {**TOY, "rope_theta": 1e4, "colour": "red", "head_dim": None, "partial": {"a": 1}}
    reading = mw.model(config).reading
    assert dict(reading.used) == TOY
    assert dict(reading.assumed) == {
        "head_dim": 2,  # 4 over 2 heads
        "hidden_act": "silu",
        "mlp_bias": False,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "architectures": ["LlamaForCausalLM"],
    }
    assert dict(reading.unused) == {"rope_theta": 1e4, "colour": "red", "partial": {"a": 1}}
    assert bearing("rope_theta") == "changes values, not shapes"
    assert bearing("colour") == "not known"


def test_keys_of_a_mapping_within() -> None:
    settings = {"quant_method": "gptq", "bits": 4, "sym": True}
    reading = mw.model({**TOY, "quantization_config": settings}).reading
    used, assumed = dict(reading.used), dict(reading.assumed)
    assert used["quantization_config.bits"] == 4
    assert assumed["quantization_config.group_size"] == 128
    assert dict(reading.unused) == {"quantization_config.sym": True}
    assert bearing("quantization_config.sym") == "changes values, not bytes"


@pytest.mark.parametrize("name", ENTRIES)
def test_every_key_is_reported_once(name: str) -> None:
    reading = mw.model(name).reading
    told = [key for part in (reading.used, reading.unused) for key, _ in part]
    assumed = [key for key, _ in reading.assumed]
    assert len(set(told + assumed)) == len(told + assumed)
    top = {key.partition(".")[0] for key in told}
    # Custom code's keys are listed under transformers' names.
    config = as_published(ENTRIES[name], name, ()).config
    assert set(config) - top <= {key for key in config if config[key] in (None, [])} & set(assumed)


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased", "meta-llama/Llama-3.1-8B"])
def test_keys_of_well_known_models_are_known(name: str) -> None:
    unused = mw.model(name).reading.unused
    assert [key for key, _ in unused if bearing(key) == "not known"] == []


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased", "Qwen/Qwen3-0.6B"])
def test_what_was_assumed_is_what_counts(name: str) -> None:
    """A config with its assumptions written out is the same model; a key left out changes none."""
    model = mw.model(name)
    config = dict(model.config)
    for key, _ in model.reading.unused:
        config.pop(key, None)
    written = {key: value for key, value in model.reading.assumed if value is not None}
    again = mw.model(config | written)
    assert again.parameters == model.parameters
    assert again.architecture.dtype == model.architecture.dtype


def record_of(capsys: Captured, *arguments: str) -> dict[str, Any]:
    assert main(["models", "--explain", *arguments, "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["models"]
    return dict(record)


def test_the_command_says_what_the_library_says(capsys: Captured, tmp_path: Path) -> None:
    assert record_of(capsys, "gpt2") == explained(mw.model("gpt2")).to_dict()
    folder = save(tmp_path / "toy", LLAMA, plain())
    record = record_of(capsys, str(folder))
    assert record["stored"]["bytes"] == sum(array.nbytes for array in plain().values())
    assert record["weights"] is None  # all in the config's dtype
    assert main(["models", "--explain", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "toy: family llama, counted as LlamaForCausalLM, 1,377,536 parameters in fp16" in out
    assert "head_dim" in out
    assert "absent: assumed" in out
    assert "stored: 2,755,072 B in 21 tensors of 1 files: F16 2,755,072 B" in out


def test_a_gguf_reports_its_metadata(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "toy.gguf"
    path.write_bytes(gguf(GGUF_METADATA, gguf_tensors()))
    record = record_of(capsys, str(path))
    assert record["used"]["num_hidden_layers"] == GGUF_METADATA["llama.block_count"]
    assert record["weights"] == "Q4_K, Q6_K, F32"
    assert record["stored"]["bytes_by_format"].keys() == {"Q4_K", "Q6_K", "F32"}


def test_a_quantisation_that_is_not_known_is_reported(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**TOY, "quantization_config": {"quant_method": "unheard"}}))
    assert "quantised by 'unheard'" in record_of(capsys, str(path))["weights"]
