"""Sources of models, their order, and the messages of failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import memorywall as mw
from tests.toys import TOY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "toy-model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(TOY))
    return path


def test_a_dict_a_file_and_its_folder_are_one_model(folder: Path) -> None:
    sources: list[Any] = [
        TOY,
        folder,
        folder / "config.json",
        str(folder),
        str(folder / "config.json"),
    ]
    assert {mw.model(source).parameters for source in sources} == {mw.model(TOY).parameters}
    assert mw.model(folder).name == "toy-model"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gpt2", "gpt2"),
        ("openai-community/gpt2", "gpt2"),
        ("google-bert/bert-base-uncased", "bert-base-uncased"),
        ("LLAMA-3.1-8b", "meta-llama/Llama-3.1-8B"),
        ("meta-llama/llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
        ("phi-3-mini-4k-instruct", "microsoft/Phi-3-mini-4k-instruct"),
    ],
)
def test_catalogue_names(name: str, found: str) -> None:
    assert mw.model(name).name == found


def test_the_catalogue_comes_before_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.parent / "gpt2")
    monkeypatch.chdir(folder.parent)
    assert mw.model("gpt2").family.name == "gpt2"
    assert mw.model("./gpt2").family.name == "llama"
    (folder.parent / "gpt2" / "config.json").unlink()
    with pytest.raises(mw.MemoryWallError, match=r"has no config\.json"):
        mw.model("./gpt2")


def test_another_owner_is_another_model() -> None:
    run = _run("import memorywall as mw; mw.model('someone/gpt2')", HF_HUB_OFFLINE="1")
    assert "someone/gpt2 is not in the catalogue or the hub's cache" in run.stderr
    offered = run.stderr.partition("In the catalogue: ")[2].strip(".\n").split(", ")
    assert "gpt2" in offered


def test_the_hub_cache_is_used_offline(tmp_path: Path) -> None:
    # The layout in which huggingface_hub keeps what it has fetched.
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--toy"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(TOY))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    run = _run(
        "import memorywall as mw; print(mw.model('someone/toy').parameters)",
        HF_HUB_OFFLINE="1",
        HF_HOME=str(tmp_path),
    )
    assert run.stdout.strip() == str(mw.model(TOY).parameters), run.stderr


def test_a_side_file_in_the_hub_cache(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--toy-FP8"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(TOY))
    side = {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}}
    (snapshot / "hf_quant_config.json").write_text(json.dumps(side))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    run = _run(
        "import memorywall as mw; print(mw.model('someone/toy-FP8').storage.name)",
        HF_HUB_OFFLINE="1",
        HF_HOME=str(tmp_path),
    )
    assert run.stdout.strip() == "fp8", run.stderr


def test_without_huggingface_hub_the_message_names_the_extra() -> None:
    run = _run(
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "import memorywall as mw; mw.model('someone/toy')"
    )
    assert "pip install 'memorywall[hub]'" in run.stderr


def test_families_run_with_torch_and_transformers_absent() -> None:
    run = _run(
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import memorywall as mw\n"
        "for name in mw.model_names(): mw.analyze(name, on='h100-sxm').to_dict()\n"
        "print('ran', 'matplotlib' in sys.modules, 'huggingface_hub' in sys.modules)"
    )
    assert run.stdout.strip() == "ran False False", run.stderr


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
