"""Files of end-to-end runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from memorywall.calibrate.runs import Run, holds_runs, read_runs
from memorywall.core.errors import InvalidInputError

HEADER = "model,weights,phase,tokens_per_s,prompt_len,gen_len\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "runs.csv"
    path.write_text(text)
    return path


def test_a_row_is_a_run(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + "llama-3.1-8b,Q4_K_M,decode,98,512,128\n")
    (run,) = read_runs(path)
    assert run == Run("llama-3.1-8b", "Q4_K_M", "decode", 98.0, 512, 128, place="line 2")
    assert run.seq_len == 512 + 64  # the middle of the generated tokens
    assert run.seconds == 1 / 98


def test_a_prompt_is_one_pass() -> None:
    run = Run("llama-3.1-8b", "fp16", "prefill", 1000.0, prompt_len=512)
    assert run.seq_len == 512
    assert run.seconds == pytest.approx(0.512)


def test_sequences_of_a_batch_share_a_step() -> None:
    # 8 sequences at 400 tokens/s together: 8 tokens a step, 20 ms.
    assert Run("llama-3.1-8b", "fp16", "decode", 400.0, batch=8).seconds == pytest.approx(0.02)


def test_files_of_runs_are_recognised_by_columns() -> None:
    assert holds_runs(("model", "weights", "phase", "tokens_per_s", "engine"))
    assert not holds_runs(("m", "n", "k", "latency_ms"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("llama-3.1-8b,Q4_0,decode,fast,1,1", "line 2: tokens_per_s must be a positive number"),
        ("llama-3.1-8b,Q4_0,decode,nan,1,1", "tokens_per_s"),
        ("llama-3.1-8b,Q4_0,decode,-1,1,1", "tokens_per_s"),
        ("llama-3.1-8b,Q4_0,train,9,1,1", "phase must be decode or prefill"),
        ("llama-3.1-8b,Q4_0,prefill,9,,1", "prefill requires prompt_len"),
        ("llama-3.1-8b,Q4_0,decode,9,1.5,1", "prompt_len must be a whole number"),
        (",Q4_0,decode,9,1,1", "must not be empty"),
        ("llama-3.1-8b,Q4_0,decode", "as many fields as the header"),
    ],
)
def test_faults_are_listed_by_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_runs(written(tmp_path, HEADER + row + "\n"))


def test_columns_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="lacks the columns phase"):
        read_runs(written(tmp_path, "model,weights,tokens_per_s\na,b,1\n"))
    with pytest.raises(InvalidInputError, match="not known: 'speed'"):
        read_runs(written(tmp_path, "model,weights,phase,tokens_per_s,speed\na,b,decode,1,2\n"))
    with pytest.raises(InvalidInputError, match="1 to 10,000 rows"):
        read_runs(written(tmp_path, HEADER))
