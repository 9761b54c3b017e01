"""Folders of diffusion pipelines: the denoiser is the model, the other parts are listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import memorywall as mw
from memorywall.app.cli import main
from memorywall.catalog.configs import find_config

CLIP = {
    "model_type": "clip_text_model", "architectures": ["CLIPTextModel"], "vocab_size": 49408,
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "max_position_embeddings": 77, "torch_dtype": "bfloat16",
}  # fmt: skip
PARTS: dict[str, Any] = {
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "image_encoder": [None, None],
    "_class_name": "FluxPipeline",
}


def written(folder: Path, index: object, **configs: object) -> Path:
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    for name, config in configs.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_the_parts_of_a_pipeline(tmp_path: Path) -> None:
    flux = find_config("flux.1-dev")
    assert flux is not None
    vae = {"_class_name": "AutoencoderKL"}
    folder = written(tmp_path, PARTS, transformer=flux.config, text_encoder=CLIP, vae=vae)
    model = mw.model(folder)
    assert model.parameters == mw.model("flux.1-dev").parameters
    # 49,408 + 77 rows of 768; 12 layers of 4 x (768 x 768 + 768) + 768 x 3072 + 3072 + 3072 x 768
    # + 768 + 4 x 768; a last norm of 2 x 768.
    layer = 4 * (768 * 768 + 768) + 2 * 768 * 3072 + 3072 + 768 + 4 * 768
    clip = (49_408 + 77) * 768 + 12 * layer + 2 * 768
    note = mw.analyze(model, on="rtx-4090").notes[0]
    assert f"text_encoder (CLIPTextModel): {clip:,} parameters, 246 MB" in note
    assert "vae (AutoencoderKL): size not known" in note
    assert "246 MB more if all are resident" in note
    assert "scheduler" not in note


@pytest.mark.parametrize(
    ("index", "configs"),
    [
        ({}, {}),
        ({"transformer": ["diffusers", "X"]}, {}),
        ({"transformer": "X", "../../etc": ["a", "b"], "vae": [[1], {}]}, {}),
        ({"transformer": ["diffusers", "X"]}, {"transformer": {"_class_name": "X"}}),
        ({"unet": ["diffusers", "U"]}, {"unet": {"_class_name": "UNet2DConditionModel"}}),
        ([1], {}),
    ],
)
def test_pipelines_that_cannot_be_read(
    index: object, configs: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", str(written(tmp_path, index, **configs)), "--on", "t4"]) == 2
    assert "Traceback" not in capsys.readouterr().err
