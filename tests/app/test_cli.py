"""The command: that it says what the library says, and how it says no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

import memorywall as mw
from memorywall.app.cli import app, main
from memorywall.core.parameters import PARAMETERS
from memorywall.phases import phase_names
from tests.toys import TOY

Captured = pytest.CaptureFixture[str]


def run(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_json_is_the_librarys_record(capsys: Captured) -> None:
    code, out, _ = run(
        capsys, "analyze", "gpt2", "--on", "a100-sxm-80gb", "--phase", "prefill", "--batch", "8",
        "--seq", "512", "--weights", "int8", "--traffic", "unfused", "--causal", "full",
        "--logits", "all", "--kv-cache", "fp8", "--activations", "fp16", "--json",
    )  # fmt: skip
    answer = mw.analyze(
        "gpt2", on="a100-sxm-80gb", phase="prefill", batch_size=8, seq_len=512, weights="int8",
        traffic="unfused", causal="full", logits="all", kv_cache="fp8", activations="fp16",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out) == answer.to_dict()
    for word in ("weights", "activations", "kv_cache", "traffic", "causal", "logits"):
        assert word in json.loads(out)["conventions"]


def test_record_has_its_fields() -> None:
    record = mw.analyze(TOY, on="h100-sxm").to_dict()
    assert list(record) == [
        "schema", "model", "parameters", "active_parameters", "hardware", "phase", "batch_size",
        "seq_len", "source_len", "new_tokens", "flops", "moved_bytes", "arithmetic_intensity",
        "ridge_point", "latency_s", "latency_low_s", "latency_high_s", "time_provenance",
        "bound_s", "overlapped_s", "serial_s", "compute_s", "memory_s", "network_s",
        "overhead_s", "compute_bound_s", "memory_bound_s", "network_bound_s", "overhead_bound_s",
        "bound", "binding", "tokens_per_s", "ttft_s", "tpot_s", "mfu", "mbu", "fits", "fit",
        "in_use_bytes", "budget_bytes", "footprint", "ops", "time_shares", "conventions", "notes",
    ]  # fmt: skip
    assert list(record["footprint"]) == [
        "weights", "kv_cache", "activations", "gradients", "optimizer_states", "total", "capacity",
    ]  # fmt: skip
    assert set(record["ops"][0]) == {
        "name", "kind", "count", "flops", "moved_bytes", "latency_s", "bound",
    }  # fmt: skip


def test_a_person_reads_the_verdict_first(capsys: Captured) -> None:
    code, out, _ = run(capsys, "analyze", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "8",
                       "--ceilings", "spec")  # fmt: skip
    lines = out.splitlines()
    assert code == 0
    assert "one decode step at 2048 positions, batch 8" in lines[0]
    assert lines[1] == "at least 5.14 ms, at most 1,557 tokens/s"
    assert lines[2].startswith("memory-bound: 87% of the time waits on weights, 12% on the KV")
    for word in ("gemm", "attention", "total", "fits in 85.5 GB", "conventions:", "note:"):
        assert word in " ".join(out.split())


def test_a_grid_is_a_row_a_point(capsys: Captured) -> None:
    code, out, _ = run(
        capsys, "analyze", "gpt2", "--on", "h100-sxm", "--batch", "1,512", "--seq", "128,1024"
    )
    assert code == 0
    rows = [line.split() for line in out.splitlines() if line.split()[0].isdigit()]
    assert [(row[0], row[1]) for row in rows] == [
        ("1", "128"), ("1", "1024"), ("512", "128"), ("512", "1024"),
    ]  # fmt: skip


def test_lists_and_repeated_options_are_alike(capsys: Captured) -> None:
    """Several devices and phases are answers one after the other, a list of records in JSON."""
    words = ("analyze", "gpt2", "--seq", "1k", "--json")
    _, out, _ = run(capsys, *words, "--on", "h100-sxm,mi300x", "--phase", "prefill,decode")
    _, repeated, _ = run(
        capsys, *words, "--on", "h100-sxm", "--on", "mi300x", "--phase", "prefill", "--phase",
        "decode",
    )  # fmt: skip
    assert out == repeated
    records = json.loads(out)
    assert [(record["hardware"], record["phase"]) for record in records] == [
        ("h100-sxm", "prefill"), ("h100-sxm", "decode"), ("mi300x", "prefill"),
        ("mi300x", "decode"),
    ]  # fmt: skip
    assert {record["seq_len"] for record in records} == {1024}
    for record in records:
        alone = mw.analyze("gpt2", on=record["hardware"], phase=record["phase"], seq_len=1024)
        assert record == alone.to_dict()
    _, out, _ = run(capsys, *words[:-1], "--on", "h100-sxm", "--phase", "prefill,decode")
    assert "prefill of 1024 tokens" in out
    assert "one decode step at 1024 positions" in out


def test_a_repeated_number_adds_to_a_grid(capsys: Captured) -> None:
    words = ("analyze", "gpt2", "--on", "h100-sxm", "--json")
    _, out, _ = run(capsys, *words, "--batch", "1", "--batch-size", "8,64", "--seq", "2k,0.5k")
    _, same, _ = run(capsys, *words, "--batch", "1,8,64", "--seq-len", "2048", "--seq", "512")
    assert json.loads(out) == json.loads(same)


def test_a_grid_of_sources(capsys: Captured) -> None:
    code, out, _ = run(
        capsys, "analyze", "t5-small", "--on", "h100-sxm", "--seq", "8,16", "--source", "100,200"
    )
    assert code == 0
    assert "source" in out.splitlines()[1]
    rows = [line.split() for line in out.splitlines() if line.split()[0].isdigit()]
    assert [tuple(row[:3]) for row in rows] == [
        ("1", "8", "100"), ("1", "8", "200"), ("1", "16", "100"), ("1", "16", "200"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        ("t5-small", ["--seq", "8"], "one decode step at 8 positions, source of 8, batch 1"),
        ("t5-small", ["--phase", "encode", "--source", "8"], "encoding 8 tokens, batch 1"),
        ("whisper-tiny", ["--phase", "encode"], "encoding 1500 positions, batch 1"),
        ("whisper-tiny", ["--phase", "generate"], "generating 128 tokens after 0, source of 1500"),
    ],
)
def test_headlines_of_encoder_decoders(
    capsys: Captured, model: str, arguments: list[str], said: str
) -> None:
    code, out, _ = run(capsys, "analyze", model, "--on", "h100-sxm", *arguments)
    assert code == 0
    headline = out.partition("-bound:")[0]
    assert said in " ".join(headline.split())


def test_what_does_not_run_is_not_listed(capsys: Captured) -> None:
    _, out, _ = run(capsys, "analyze", "whisper-tiny", "--on", "h100-sxm", "--ops")
    rows = "".join(line.strip().split(" ")[0] for line in out.splitlines())
    assert "decoder:" in rows
    assert "layers.cross_attention.scores" in rows
    assert "encoder:" not in rows.replace("decoder:", "")
    assert "cross_attention.k_proj" not in rows


def test_listings(capsys: Captured) -> None:
    _, out, _ = run(capsys, "models", "--json")
    assert [m["name"] for m in json.loads(out)["models"]] == mw.model_names()
    _, out, _ = run(capsys, "hardware", "--json")
    assert [h["name"] for h in json.loads(out)["hardware"]] == mw.hardware_names()
    _, out, _ = run(capsys, "hardware", "h100-sxm")
    assert "989 TFLOP/s" in out
    assert "3.35 TB/s" in out
    _, out, _ = run(capsys, "models", "gpt2")
    assert "124,439,808" in out


@pytest.mark.parametrize("command", ["analyze", "models", "hardware"])
def test_help_has_examples(capsys: Captured, command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"memorywall {command}" in out


@pytest.mark.parametrize("words", [(), ("study",)])
def test_no_line_of_help_is_cut(capsys: Captured, words: tuple[str, ...]) -> None:
    code, out, _ = run(capsys, *words, "--help")
    listed = [line for line in out.partition("Show ")[2].splitlines() if line.startswith("  ")]
    listed = [line for line in listed if not line.startswith("  -")]
    assert code == 0
    assert len(listed) > 5
    assert not any(line.endswith("...") for line in listed)
    entries = [line for line in listed if line[2] != " "]  # the others continue them
    assert len(entries) > 5
    assert listed[-1].endswith((".", "?"))


def test_help_groups_the_commands(capsys: Captured) -> None:
    _, out, _ = run(capsys, "--help")
    groups = {}
    for block in out.split("\n\n"):
        heading, *lines = block.splitlines()
        groups[heading] = [line.split()[0] for line in lines if line.strip()]
    assert {"analyze", "hardware", "models", "trace"} <= set(groups["Ask:"])
    assert {"measure", "profile"} <= set(groups["Measure:"])
    assert {"study", "trends"} <= set(groups["Learn:"])


def test_every_parameter_of_the_table_is_an_option(capsys: Captured) -> None:
    _, out, _ = run(capsys, "analyze", "--help")
    text = " ".join(out.split())
    for parameter in PARAMETERS.values():
        assert ", ".join(parameter.flags) in text


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["analyze", "llama-3.1"], ["Llama-3.1-8B", "Llama-3.1-70B"]),
        (["analyze", "meta-llama/Llama-3.1"], ["meta-llama/Llama-3.1-8B"]),
        (["analyze", "gpt2", "--on", "h1"], ["h100-sxm", "h100-pcie"]),
        (["analyze", "gpt2", "--on", "h100-sxm,mi3"], ["h100-sxm,mi300x"]),
        (["analyze", "gpt2", "--phase", "prefill,d"], ["prefill,decode", "prefill,denoise"]),
        (["analyze", "gpt2", "--weights", "int"], ["int8", "int4"]),
        (["analyze", "gpt2", "--traffic", ""], ["fused", "unfused"]),
        (["hardware", "tpu"], ["tpu-v5p"]),
        (["profile", "gpt2", "--backend", "c"], ["cpu", "cuda"]),
        (["study", "long-context", "--models", "gpt2,mistral-7b"], ["gpt2,Mistral-7B-v0.1"]),
        (["st"], ["study"]),
    ],
)
def test_the_shell_completes(typed: list[str], offered: list[str]) -> None:
    """As ``_MEMORYWALL_COMPLETE`` asks, which click's scripts for bash, zsh and fish set."""
    *before, incomplete = typed
    found = ShellComplete(app, {}, "memorywall", "_MEMORYWALL_COMPLETE")
    values = [item.value for item in found.get_completions(before, incomplete)]
    assert set(offered) <= set(values)
    assert all(value.casefold().startswith(incomplete.casefold()) for value in values)


def test_help_lists_the_words_of_a_choice(capsys: Captured) -> None:
    _, out, _ = run(capsys, "analyze", "--help")
    for words in (
        f"[{'|'.join(phase_names())}]", "[fused|unfused]", "[half|full]",
        "[last|all|none]", "[uniform|skewed]", "[auto|absorbed|expanded|reexpanded]", "[on|off]",
    ):  # fmt: skip
        assert words in out


def test_a_model_of_no_positions_is_a_dash(capsys: Captured) -> None:
    _, out, _ = run(capsys, "models", "resnet-50", "gpt2")
    rows = [line for line in out.splitlines()[2:] if "," in line and "family" not in line]
    assert [line.split()[-1] for line in rows] == ["-", "1024"]


def test_a_model_too_long_or_too_large_is_an_answer(capsys: Captured) -> None:
    code, out, _ = run(
        capsys, "analyze", "meta-llama/Llama-3.1-405B", "--on", "rtx-4090", "--seq", "200000"
    )
    assert code == 0
    assert "DOES NOT FIT" in out
    assert "200000 positions are past the 131072" in out


def test_devices_from_a_toml_of_ones_own(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[sources]\nme = "my own measurement"\n'
        '[peaks]\nsource = "me"\nbf16 = "10 TFLOP/s"\n'
        '[[memories]]\nname = "DRAM"\nsource = "me"\ncapacity = "32 GB"\nbandwidth = "50 GB/s"\n'
    )
    code, out, _ = run(capsys, "analyze", "gpt2", "--on", str(path), "--json")
    assert code == 0
    assert json.loads(out)["ridge_point"] == 200
    assert json.loads(out)["hardware"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["analyze", "gpt3", "--on", "h100-sxm"], "Did you mean gpt2"),
        (["analyze", "gpt2", "--on", "h100x"], "Did you mean h100-sxm, h100-nvl or h100-pcie"),
        (["analyze", "gpt2"], "--on"),
        (["analyze", "gpt2", "--on", "h100-sxm", "--batch", "0"], "batch_size"),
        (["analyze", "gpt2", "--on", "h100-sxm", "--batch", "-1"], "batch_size"),
        (
            ["analyze", "gpt2", "--on", "h100-sxm", "--batch", "two"],
            "must be a whole number, got 'two'",
        ),
        (
            ["analyze", "gpt2", "--on", "h100-sxm", "--seq", "1.5"],
            "must be a whole number, got '1.5'",
        ),
        (["analyze", "gpt2", "--on", "h100-sxm", "--seq", str(2**70)], "seq_len"),
        (["analyze", "gpt2", "--on", "h100-sxm", "--weights", "int9"], "int8"),
        (["analyze", "gpt2", "--on", "h100-sxm", "--phase", "decod"], "Did you mean decode"),
        (["analyze", "gpt2", "--on", "h100-sxm", "--traffic", "some"], "fused, unfused"),
        (["analyze", "gpt2", "--on", "h100-sxm", "--new-tokens", "5"], "generate"),
        (["analyze", "bert-base-uncased", "--on", "h100-sxm", "--phase", "decode"], "encoder"),
        (["analyze", "gpt2", "--on", "h100-sxm", "--seq", "0"], "seq_len"),
        (["analyse", "gpt2"], "analyse"),
    ],
)
def test_what_it_refuses(capsys: Captured, arguments: list[str], said: str) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_near_the_ridge_the_verdict_does_not_contradict_itself() -> None:
    # 286 FLOP per byte over the whole, and yet most of the time goes to products above the ridge.
    answer = mw.analyze("llama-3.1-8b", on="h100-sxm", batch_size=400, seq_len=64, ceilings="spec")
    assert answer.arithmetic_intensity < answer.ridge_point
    said = mw.verdict(answer)
    assert said.startswith("compute-bound: 80% of the time is arithmetic (gemm 80%)")
    assert said.endswith("but most of the time is in operators above it.")
    assert sum(float(share) for share in answer.time_shares.values()) == pytest.approx(1)


def test_generation_distinguishes_its_two_walls() -> None:
    words: dict[str, Any] = {"on": "h100-sxm", "seq_len": 512, "ceilings": "spec"}
    whole = mw.analyze("gpt2", phase="generate", new_tokens=9, **words)
    prefill = mw.analyze("gpt2", phase="prefill", **words)
    assert whole.ttft_s == prefill.latency_s
    assert whole.tpot_s is not None
    assert prefill.latency_s + 8 * whole.tpot_s == pytest.approx(whole.latency_s)
    said = mw.headline(whole)  # both are bounds at the roofs of a data sheet
    assert "(first token after at least " in said
    assert "each further one after at least " in said
    assert prefill.tpot_s is None


def test_tables_keep_their_digits_on_a_narrow_terminal(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for arguments in (
        ["analyze", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "1,8", "--seq", "2048,32768"],
        ["hardware"], ["hardware", "compare", "h100-sxm", "mi300x"], ["models"],
        ["study", "paper", "--full"],
    ):  # fmt: skip
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        assert "…" not in out
