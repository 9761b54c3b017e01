"""Invalid input: exit code 2, a message that names the offender, never a traceback.

Ten classes of at least four each, then configs and TOMLs that Hypothesis spoils.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memorywall.app.cli import main
from memorywall.catalog.configs import entries, find_config
from tests.counting import python_calls
from tests.toys import MARIAN_TOY, T5_TOY, TOY, WHISPER_TOY

Captured = pytest.CaptureFixture[str]
# A refusal takes some thousand calls of the library's functions, that of a study up to 330,000.
MOST_CALLS = 1_000_000

DEVICE_TOML = """\
title = "mine"
[sources]
me = "my own measurement"
[peaks]
source = "me"
bf16 = "10 TFLOP/s"
[[memories]]
name = "DRAM"
source = "me"
capacity = "32 GB"
bandwidth = "50 GB/s"
[[links]]
name = "PCIe"
source = "me"
bandwidth = "32 GB/s"
"""


def refused(capsys: Captured, *arguments: str) -> str:
    """Run the command, and return what it said when it refused."""
    with python_calls() as calls:
        code = main(arguments)
    out, err = capsys.readouterr()
    assert code == 2, out
    assert out == ""
    assert "Traceback" not in err
    assert len(err) < 4000
    assert calls.count < MOST_CALLS
    return err


def refused_config(capsys: Captured, tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return refused(capsys, "analyze", str(path), "--on", "h100-sxm")


def refused_toml(capsys: Captured, tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "device.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return refused(capsys, "analyze", "gpt2", "--on", str(path))


# 1. Models that are not there.
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt3", "'gpt3' is not known"),
        ("lama-3.1-8b", "Did you mean meta-llama/Llama-3.1-8B"),
        ("", "'' is not known"),
        ("no such model", "'no such model' is not known"),
        ("x" * 5000, "is not known"),
        ("a\0b", "is not known"),
        ("bert-base", "Did you mean bert-base-uncased"),
    ],
)
def test_unknown_models(capsys: Captured, name: str, said: str) -> None:
    assert said in refused(capsys, "analyze", name, "--on", "h100-sxm")


def test_names_of_the_catalogue_and_their_aliases() -> None:
    for entry in entries():
        for name in (entry.id, *entry.aliases, entry.id.rpartition("/")[2].upper()):
            assert find_config(name) is entry


def test_markup_in_names_is_text(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "[red]x[_y].json"
    path.write_text(json.dumps(TOY))
    assert main(["models", str(path)]) == 0
    assert "[red]x[_y]" in capsys.readouterr().out
    device = tmp_path / "mine.toml"
    device.write_text(DEVICE_TOML.replace('"mine"', '"a [/b] \\u001b[31m c"'))
    assert main(["hardware", str(device)]) == 0
    assert "a [/b] ?[31m c" in capsys.readouterr().out
    assert main(["hardware", str(device), "--toml"]) == 0
    assert capsys.readouterr().out == device.read_text()


# 2. Devices that are not there.
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("h100x", "Did you mean h100-sxm, h100-nvl or h100-pcie"),
        ("", "'' is not known"),
        ("A100x", "a100-"),
        ("rtx 4095", "rtx-4090"),
        ("./no-such.toml", "no-such.toml: no such file"),
        ("x" * 5000, "is not known"),
        ("a\0b.toml", "no such file"),
    ],
)
def test_unknown_devices(capsys: Captured, name: str, said: str) -> None:
    assert said in refused(capsys, "analyze", "gpt2", "--on", name)
    assert said in refused(capsys, "hardware", name)


# 3. JSON that is none, or no config.
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ('{"model_type": "llama",', "line 1, column"),
        ('{"model_type": "llama"} extra', "Extra data"),
        ("[1, 2]", "a config must be a JSON object, got [1, 2]"),
        ("17", "a config must be a JSON object, got 17"),
        # Python writes these; they are not sizes.
        ('{"model_type": "gpt2", "n_embd": NaN}', "'n_embd' must be a whole number"),
        ('{"model_type": "gpt2", "n_embd": -Infinity}', "'n_embd' must be a whole number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "not valid JSON"),
        (b"\xff\xfe{}", "not text in UTF-8"),
        (b"\x00" * 1000, "not valid JSON"),
        (b"{" + b" " * (5 << 20) + b"}", "must be at most 4096 KiB"),
    ],
    ids=range(13),
)
def test_json(capsys: Captured, tmp_path: Path, text: str | bytes, said: str) -> None:
    err = refused_config(capsys, tmp_path, text)
    assert said in err
    assert "config.json" in err


# 4. Values of the wrong type.
@pytest.mark.parametrize("value", ["4096", [4096], {"size": 1}, True, "many", [[[[[[]]]]]]])
@pytest.mark.parametrize("key", ["hidden_size", "num_attention_heads", "num_key_value_heads"])
def test_types(capsys: Captured, tmp_path: Path, key: str, value: Any) -> None:
    err = refused_config(capsys, tmp_path, json.dumps({**TOY, key: value}))
    assert f"'{key}' must be a whole number from 1 to 2147483648" in err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attention_bias": "yes"}, "'attention_bias' must be true or false, got 'yes'"),
        ({"hidden_act": 3}, "'hidden_act' must be a text, got 3"),
        ({"torch_dtype": 16}, "'torch_dtype' must be a text, got 16"),
        ({"tie_word_embeddings": 1}, "'tie_word_embeddings' must be true or false"),
        ({"architectures": "LlamaForCausalLM"}, "'architectures' must be a list"),
        ({"model_type": 5}, "'model_type' must be a text, got 5"),
    ],
)
def test_types_of_words(
    capsys: Captured, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    assert said in refused_config(capsys, tmp_path, json.dumps({**TOY, **change}))


# 5. Sizes that cannot be.
@pytest.mark.parametrize("value", ["-1", "0", "1.5", "1e999", str(2**70), "-1e30", "2147483649"])
@pytest.mark.parametrize("key", ["hidden_size", "vocab_size", "num_hidden_layers", "head_dim"])
def test_sizes(capsys: Captured, tmp_path: Path, key: str, value: str) -> None:
    text = json.dumps({**TOY, key: "PLACE"}).replace('"PLACE"', value)
    assert f"'{key}' must be a whole number" in refused_config(capsys, tmp_path, text)


# 6. Keys that are missing.
@pytest.mark.parametrize(
    "key",
    ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"],
)
def test_missing_keys(capsys: Captured, tmp_path: Path, key: str) -> None:
    config = {k: v for k, v in TOY.items() if k != key}
    assert f"'{key}' is missing" in refused_config(capsys, tmp_path, json.dumps(config))


def test_all_faults_of_one_file_together(capsys: Captured, tmp_path: Path) -> None:
    config = {**TOY, "vocab_size": -1, "hidden_act": "gelo", "torch_dtype": "int9"}
    config["hiddensize"] = config.pop("hidden_size")
    err = refused_config(capsys, tmp_path, json.dumps(config))
    assert "4 faults" in err
    for said in (
        "'vocab_size' must be", "the activation function 'gelo' is not known", "gelu",
        "'int9' is not known", "'hidden_size' is missing (there is 'hiddensize')",
    ):  # fmt: skip
        assert said in err


# 7. Heads that do not divide.
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**TOY, "num_attention_heads": 3, "num_key_value_heads": 1},
         "'hidden_size' (4) is not a multiple of 'num_attention_heads' (3)"),
        ({**TOY, "num_attention_heads": 4, "num_key_value_heads": 3},
         "'num_attention_heads' (4) is not a multiple of 'num_key_value_heads' (3)"),
        ({**TOY, "num_attention_heads": 2, "num_key_value_heads": 4},
         "'num_attention_heads' (2) is not a multiple of 'num_key_value_heads' (4)"),
        ({"model_type": "gpt2", "vocab_size": 9, "n_embd": 10, "n_head": 3, "n_layer": 1},
         "'n_embd' (10) is not a multiple of 'n_head' (3)"),
        ({"model_type": "bert", "vocab_size": 9, "hidden_size": 10, "num_attention_heads": 4,
          "num_hidden_layers": 1, "intermediate_size": 5},
         "'hidden_size' (10) is not a multiple of 'num_attention_heads' (4)"),
    ],
)  # fmt: skip
def test_heads(capsys: Captured, tmp_path: Path, config: dict[str, Any], said: str) -> None:
    assert said in refused_config(capsys, tmp_path, json.dumps(config))


# 8. Architectures without a built-in family.
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "llama5"}, "Near names: llama"),
        ({"model_type": "qlstm"}, "the architecture 'qlstm' is not known"),
        ({"model_type": ""}, "the architecture '' is not known"),
        ({"model_type": None}, "'model_type' must be a text, got None"),
        ({"model_type": "_blocks"}, "the architecture '_blocks' is not known"),
        ({"model_type": "../../x"}, "is not known"),
        ({"architectures": ["LlamaForVision"]}, "the class 'LlamaForVision' is not supported"),
        ({"architectures": ["GPT2LMHeadModel"]}, "LlamaForCausalLM"),
    ],
)
def test_architectures(capsys: Captured, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    assert said in refused_config(capsys, tmp_path, json.dumps({**TOY, **change}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"is_decoder": True},
            "'is_decoder' is True: an encoder used as a decoder is not supported",
        ),
        ({"position_embedding_type": "relative_key"}, "relative positions are not supported"),
        ({"architectures": ["BertForVision"]}, "'BertForVision' is not supported"),
        ({"hidden_act": "mish"}, "the activation function 'mish' is not known"),
    ],
)
def test_architectures_of_bert(
    capsys: Captured, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    config = {
        "model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 5,
    }  # fmt: skip
    assert said in refused_config(capsys, tmp_path, json.dumps({**config, **change}))


# 9. Paths that hold no file to read.
def test_paths(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    (tmp_path / "folder.json").mkdir()
    for name, said in [
        ("empty", "has no config.json"),
        ("pipe.json", "is not a regular file"),
        ("loop.json", "loop.json"),
        ("missing.json", "no such file"),
        ("folder.json", "has no config.json"),
        ("empty/config.json/deeper.json", "no such file"),
    ]:
        assert said in refused(capsys, "analyze", str(tmp_path / name), "--on", "h100-sxm")
    assert "is not a regular file" in refused(capsys, "analyze", "/dev/zero", "--on", "h100-sxm")
    for name, said in [
        ("empty", "must be a device TOML, got a folder"),
        ("missing.toml", "no such file"),
        ("pipe.json", "is not a regular file"),
    ]:
        assert said in refused(capsys, "analyze", "gpt2", "--on", str(tmp_path / name))
    assert "not a regular file" in refused(capsys, "analyze", "gpt2", "--on", "/dev/zero")


def test_no_permission(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As root every file can be read, so the refusal of the system is brought about.
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TOY))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    err = refused(capsys, "analyze", str(path), "--on", "h100-sxm")
    assert "no permission to read it" in err


# 10. Questions that cannot be asked.
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--batch", "0"], "batch_size must be a whole number from 1 to 2^40, got 0"),
        (["--batch", "-4"], "batch_size"),
        (["--batch", "eight"], "must be a whole number, got 'eight'"),
        (["--batch", "1.5"], "must be a whole number, got '1.5'"),
        (["--batch", "1,,2"], "must be a whole number, got ''"),
        (["--batch", str(2**70)], "batch_size"),
        (["--batch", "9" * 5000], "must be a whole number, got"),
        (["--batch", ",".join("1" * 65)], "at most 64 numbers, got 65"),
        (["--batch", "4,0"], "batch_size"),
        (["--seq", "0"], "seq_len"),
        (["--seq", "nan"], "must be a whole number, got 'nan'"),
        (["--seq", "\u0663"], "must be a whole number, got"),
        (["--phase", "learn"], "phase 'learn' is not known"),
        (["--phase", "train"], "phase train requires a traced module"),
        (["--phase", "generate", "--new-tokens", "0"], "new_tokens"),
        (["--phase", "generate", "--new-tokens", str(10**9)], "new_tokens"),
        (["--phase", "generate", "--new-tokens", "x"], "'x'"),
        (["--weights", "int9"], "number format 'int9' is not known"),
        (["--activations", "q4_0"], "activations must be a format with arithmetic, got q4_0"),
        (["--kv-cache", "nf4"], "a cache must be a format of rows, got nf4"),
        (["--kv-cache", "Q4_K_M"], "number format 'Q4_K_M' is not known"),
        (["--weights", "exl2-99bpw"], "number format 'exl2-99bpw' is not known"),
        (["--weights", "int4-g0"], "number format 'int4-g0' is not known"),
        (["--kv-cache", ""], "number format '' is not known"),
        (["--activations", "tf32"], "number format 'tf32' is not known"),
        (["--traffic", "none"], "traffic 'none' is not known"),
        (["--causal", "quarter"], "causal 'quarter' is not known"),
        (["--logits", "first"], "logits 'first' is not known"),
        (["--fast"], "--fast"),
        (["--seq", "2,048"], "--seq is ambiguous, got '2,048': one number, or a list"),
        (["--seq", "2,048"], "Write 2048 or 2k for one number, and '2, 48' for a list."),
        (["--seq", "32,768"], "Write 32768 or 32k for one number, and '32, 768' for a list."),
        (["--batch", "10,000"], "Write 10000 for one number, and '10, 0' for a list."),
        (["--batch", "2k"], "--batch must be a whole number, got '2k'"),
        (["--seq", "1.1k"], "--seq must be a whole number, got '1.1k'"),
        (["--weights", "int8", "--weights", "int4"], "--weights requires one value, got 2"),
        (["--phase", "generate", "--new-tokens", "8,16"], "--new-tokens requires one value, got 2"),
        (["--phase", "prefill,decod"], "phase 'decod' is not known"),
        (["--on", "h100-sxm,h999"], "device 'h999' is not known"),
        (["--batch", "1,2", "--ops"], "--ops conflicts with several values of batch_size"),
        (["--source", "0"], "source_len must be a whole number from 1 to 2^40, got 0"),
        (
            ["--source", "7"],
            "source_len requires an encoder with a decoder, which gpt2 does not have",
        ),
        (["--on", "tpu-v2", "--activations", "fp32"], "no peak for fp32"),
    ],
)
def test_questions(capsys: Captured, arguments: list[str], said: str) -> None:
    on = [] if "--on" in arguments else ["--on", "h100-sxm"]
    assert said in refused(capsys, "analyze", "gpt2", *on, *arguments)


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        ("bert-base-uncased", ["--source", "7"], "source_len requires an encoder with a decoder"),
        (
            "whisper-tiny",
            ["--source", "7"],
            "source_len must be 1500, the positions of every source",
        ),
        (
            "whisper-tiny",
            ["--source", "1500,7"],
            "source_len must be 1500, the positions of every source",
        ),
        (
            "whisper-tiny",
            ["--phase", "encode", "--seq", "7"],
            "seq_len has no effect on openai/whisper-tiny in phase encode",
        ),
        ("t5-small", ["--phase", "encode", "--seq", "7", "--source", "7"], "Leave seq_len out"),
        ("t5-small", ["--phase", "generate", "--seq", "0"], "Give source_len."),
        ("t5-small", ["--source", "many"], "must be a whole number, got 'many'"),
        (
            "t5-small",
            ["--source", "1,2", "--ops"],
            "--ops conflicts with several values of source_len",
        ),
    ],
)
def test_sources(capsys: Captured, model: str, arguments: list[str], said: str) -> None:
    assert said in refused(capsys, "analyze", model, "--on", "h100-sxm", *arguments)


@pytest.mark.parametrize(
    ("config", "change", "said"),
    [
        (MARIAN_TOY, {"decoder_attention_heads": 3}, "not a multiple of 'decoder_attention_heads'"),
        (MARIAN_TOY, {"tie_word_embeddings": False}, "a table of words for each half"),
        (MARIAN_TOY, {"architectures": ["MarianForVision"]}, "'MarianForVision' is not supported"),
        (MARIAN_TOY, {"model_type": "marian2"}, "the architecture 'marian2' is not known"),
        (T5_TOY, {"model_type": "t5x"}, "Near names: t5"),
        (T5_TOY, {"architectures": ["T5ForVision"]}, "'T5ForVision' is not supported"),
        (T5_TOY, {"feed_forward_proj": "gated-mish"}, "'feed_forward_proj' must be an activation"),
        (T5_TOY, {"feed_forward_proj": "twice-gelu"}, "got 'twice-gelu'"),
        (T5_TOY, {"feed_forward_proj": 3}, "'feed_forward_proj' must be a text"),
        (WHISPER_TOY, {"max_source_positions": 0}, "'max_source_positions' must be a whole number"),
    ],
)
def test_encoder_decoders(
    capsys: Captured, tmp_path: Path, config: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    assert said in refused_config(capsys, tmp_path, json.dumps({**config, **change}))


# 11. TOMLs of devices.
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[peaks]", "[peaks", "not valid TOML"),
        ('bf16 = "10 TFLOP/s"', "", "'peaks' is missing"),
        ("10 TFLOP/s", "-10 TFLOP/s", "peaks.bf16: expected a positive quantity in FLOP/s"),
        ("10 TFLOP/s", "0 TFLOP/s", "peaks.bf16"),
        ("10 TFLOP/s", "inf TFLOP/s", "peaks.bf16"),
        ("10 TFLOP/s", "1e999 TFLOP/s", "peaks.bf16"),
        ("10 TFLOP/s", "10 TB/s", "peaks.bf16"),
        ('"10 TFLOP/s"', "10", "peaks.bf16: expected a positive quantity in FLOP/s"),
        ('"10 TFLOP/s"', "true", "peaks.bf16"),
        ('"10 TFLOP/s"', "9" * 5000, "not valid TOML"),
        ("bf16 =", "bf17 =", "peaks.bf17 is not known (near: bf16"),
        ('"50 GB/s"', '"50 GB"', "memories[1].bandwidth"),
        ('bandwidth = "50 GB/s"', "", "the main memory) needs a 'bandwidth'"),
        ("[[memories]]", "[memories]", "'memories' must be a list"),
        ('name = "DRAM"', "name = 7", "memories[1]: 'name' must be a text, got 7"),
        ('me = "my own measurement"', "", "source 'me' is not listed under [sources]"),
        ('[peaks]\nsource = "me"', "[peaks]\nsource = 3", "peaks.bf16: source 3 is not listed"),
        ("title =", "titel =", "'titel' is not a key of a device (near: title)"),
        ('title = "mine"', "title = 3", "'title' must be a text"),
        ('title = "mine"', 'kind = "magic"', "'kind' must be one of"),
        ('bandwidth = "32 GB/s"', "", "links[1]: 'bandwidth' is missing"),
        ('title = "mine"', "x = " + "[" * 5000 + "]" * 5000, "not valid TOML"),
        ('title = "mine"', ".".join("a" * 5000) + " = 1", "more dots than any device's file"),
        ('title = "mine"', ".".join("a" * 60) + " = 1", "'a' is not a key of a device"),
    ],
)  # fmt: skip
def test_tomls(capsys: Captured, tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in DEVICE_TOML
    err = refused_toml(capsys, tmp_path, DEVICE_TOML.replace(old, new))
    assert said in err
    assert "device.toml" in err


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "'peaks' is missing"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"#" * (1 << 20), "must be at most 64 KiB"),
        (b"\x00", "not valid TOML"),
    ],
    ids=range(4),
)
def test_files_that_are_not_toml(capsys: Captured, tmp_path: Path, data: bytes, said: str) -> None:
    assert said in refused_toml(capsys, tmp_path, data)


def test_all_faults_of_one_toml_together(capsys: Captured, tmp_path: Path) -> None:
    text = DEVICE_TOML.replace("10 TFLOP/s", "fast").replace("32 GB/s", "slow").replace("50 G", "-")
    err = refused_toml(capsys, tmp_path, text)
    assert "3 faults" in err
    for place in ("peaks.bf16", "memories[1].bandwidth", "links[1].bandwidth"):
        assert place in err


# 12. The other commands.
MANY = ",".join("1" * 64)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hardware", "compare", "h100-sxm"], "compare requires two devices or more, got 1"),
        (["hardware", "compare", "h100-sxm", "h999"], "'h999' is not known"),
        (["hardware", "h100-sxm", "mi300x", "--toml"], "the name of one device, got 2 names"),
        (["models", "gpt2", "gpt9"], "'gpt9' is not known"),
        (["models", "--explain"], "--explain requires a model"),
        (["models", "gpt2", "--stored"], "--stored requires --explain"),
        (["models", "./no-such.gguf"], "no-such.gguf: there is no such file"),
        (["models", "./no-such.safetensors"], "has no config.json"),
        (["models", "~nobody-of-that-name/x"], "home is not known"),
        (["hardware", "~nobody-of-that-name/x.toml"], "home is not known"),
        (["hardware", "h100-sxm", "--toml", "--json"], "--toml conflicts with --json"),
        (
            [
                "analyze",
                "t5-small",
                "--on",
                "h100-sxm",
                "--phase",
                "prefill",
                *["--batch", MANY] * 16,
                *["--seq", MANY] * 16,
                *["--source", MANY] * 16,
            ],
            "1,073,741,824 points",
        ),
        (["analyze", "gpt2", "--on", "h100-sxm", "--ops", "--json"], "--ops conflicts with --json"),
        (["hardware", "compare", "h100-sxm", "mi300x", "--toml"], "the name of one device"),
        (["measure", "--device", "cuda"], "Write --backend cuda."),
        (["profile", "gpt2", "--device", "cpu"], "Write --backend cpu."),
        (["measure", "--backend", "tpu"], "backend must be cpu or cuda, got 'tpu'"),
        (["measure", "--threads", "1", "--threads", "2"], "--threads requires one value, got 2"),
        (["measure", "--threads", "1,2"], "--threads requires one value, got 2"),
        (["trends", "bandwidth", "--dtype", "fp8", "--dtype", "fp8"], "--dtype requires one value"),
        (["trends", "bandwidth", "--draw", "fig1"], "--draw requires --figure"),
        (["trends", "dram-latency", "--dtype", "fp8"], "dtype has no effect on dram-latency"),
        (["trends", "parameters", "--only", "consumer"], "only has no effect on parameters"),
        (["study", "papers"], "papers"),
        (["study", "paper", "--on", "h100-sxm"], "--on requires --batch"),
        (["study", "paper", "--quick"], "--quick requires --measured"),
        (["study", "paper", "--backend", "cpu"], "--backend requires --measured"),
        (["study", "paper", "--device", "cuda"], "Write --backend cuda."),
        (["study", "paper", "--measured", "--quick", "--long"], "--quick conflicts with --long"),
        (["study", "roads", "gpt2", "--excess", "--json"], "--excess conflicts with --json"),
        (["study", "memory", "--model", "VGG19", "--attention", "eager"], "--attention requires"),
        (["study", "long-context", "--models", "gpt2", "--state", "fp8"], "state requires"),
        (
            ["study", "long-context", "--models", "falcon-mamba-7b", "--kv-cache", "fp8"],
            "requires a",
        ),
        (["study", "long-context", "--on", "h100-sxm,mi300x"], "'h100-sxm,mi300x' is not known"),
        (["study", "paper", "--batch", "0"], "batch_size"),
        (["study", "paper", "--batch", "1", "--on", "h999"], "'h999' is not known"),
        (["study", "paper", "--batch", "1", "--seq", "0"], "seq_len"),
    ],
)
def test_other_commands(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *arguments)


JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
        st.sampled_from([0, -1, 2**31, 2**70, 1e308, "llama", "4096", "bf16"]),
        st.sampled_from(["[/x]", "[bold]", "\ud800", "\x1b[31m", "a\nb", ":smile:"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip
KEYS = [
    *TOY, "architectures", "head_dim", "attention_bias", "mlp_bias", "hidden_act", "sliding_window",
    "use_sliding_window", "layer_types", "max_window_layers", "tie_word_embeddings", "id2label",
    "num_labels", "partial_rotary_factor", "dtype", "quantization_config", "_name_or_path",
]  # fmt: skip


def either_works_or_says_why(capsys: Captured, *arguments: str) -> None:
    for form in ((), ("--json",)):
        code = main([*arguments, *form])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert (code == 0 and out) or (code == 2 and err.startswith("memorywall: "))
        if form and code == 0:
            json.loads(out)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=4), st.sampled_from(sorted(TOY)))
def test_spoilt_configs(
    capsys: Captured, tmp_path: Path, changes: dict[str, Any], dropped: str
) -> None:
    config = {**TOY, "model_type": "qwen2", **changes}
    if len(changes) % 2:
        config.pop(dropped)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    either_works_or_says_why(capsys, "analyze", str(path), "--on", "h100-sxm")


PUBLISHED = [entry.config for entry in entries()]
# Values of keys that count, mixed with junk.
VALUES = st.one_of(JUNK, st.integers(-2, 2**33), st.sampled_from(["gptq", "awq", "fp8", "mxfp4"]))
QUANTISATION = st.dictionaries(
    st.sampled_from([
        "quant_method", "bits", "group_size", "load_in_4bit", "load_in_8bit", "weight_block_size",
        "bnb_4bit_quant_type", "config_groups", "format", "ignore", "modules_to_not_convert",
        "quant_algo", "lm_head",
    ]),
    st.one_of(VALUES, st.lists(st.sampled_from(["lm_head", "model.layers.3.mlp", "re:(a*)*b"]))),
    max_size=5,
)  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_spoilt_published_configs(capsys: Captured, tmp_path: Path, data: st.DataObject) -> None:
    config = dict(data.draw(st.sampled_from(PUBLISHED)))
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), max_size=2, unique=True)):
        if data.draw(st.booleans()):
            config[key] = data.draw(VALUES)
        else:
            del config[key]
    if data.draw(st.booleans()):
        config["quantization_config"] = data.draw(st.one_of(QUANTISATION, JUNK))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    either_works_or_says_why(capsys, "analyze", str(path), "--on", "h100-sxm")
    either_works_or_says_why(capsys, "models", "--explain", str(path))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from([MARIAN_TOY, T5_TOY, WHISPER_TOY]), st.data())
def test_spoilt_configs_of_encoder_decoders(
    capsys: Captured, tmp_path: Path, toy: dict[str, Any], data: st.DataObject
) -> None:
    keys = st.sampled_from([*toy, "architectures", "tie_word_embeddings", "decoder_vocab_size"])
    config = {**toy, **data.draw(st.dictionaries(keys, JUNK, max_size=3))}
    config.pop(data.draw(st.sampled_from([*toy, ""])), None)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    phase = data.draw(st.sampled_from(["encode", "prefill", "decode", "generate"]))
    either_works_or_says_why(capsys, "analyze", str(path), "--on", "h100-sxm", "--phase", phase)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_spoilt_tomls(capsys: Captured, tmp_path: Path, data: st.DataObject) -> None:
    lines = DEVICE_TOML.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        left = lines[at].partition("=")[0]
        junk = data.draw(
            st.one_of(
                st.text(max_size=12),
                st.sampled_from(['"[/x]"', '["[/x]"]', '"1e-320 B/s"', '"1e308 FLOP/s"']),
                st.sampled_from(["1", "true", '"1 GB"', '"x"', "[]", "{}", "nan", "1979-05-27"]),
            )
        )
        lines[at] = data.draw(st.sampled_from([f"{left}= {junk}", junk, "", lines[at] + junk]))
    path = tmp_path / "device.toml"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    either_works_or_says_why(capsys, "analyze", "gpt2", "--on", str(path))
