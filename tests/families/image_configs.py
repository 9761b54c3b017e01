"""Small configs of what sees images: one for each thing that sets a model type apart."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SIZES = {"num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 80}
VISION: dict[str, Any] = {**SIZES, "hidden_size": 48, "image_size": 32, "patch_size": 8}
TEXT: dict[str, Any] = {**SIZES, "hidden_size": 48, "vocab_size": 99}


def _tower(model_type: str, name: str, **more: Any) -> dict[str, Any]:
    return {**VISION, "num_labels": 5, "model_type": model_type, "architectures": [name], **more}


TOWERS = [
    _tower("vit", "ViTModel", qkv_bias=False, pooler_output_size=24, pooler_act="gelu"),
    _tower("vit", "ViTForImageClassification"),
    _tower("vit", "ViTForMaskedImageModeling", image_size=48),
    _tower("deit", "DeiTModel"),
    _tower("deit", "DeiTForImageClassificationWithTeacher"),
    _tower("vit_msn", "ViTMSNModel"),
    _tower("vit_msn", "ViTMSNForImageClassification"),
    _tower("ijepa", "IJepaModel"),
    _tower("ijepa", "IJepaForImageClassification"),
    _tower("dinov2", "Dinov2ForImageClassification"),
    _tower("dinov2", "Dinov2Model", use_swiglu_ffn=True, use_mask_token=False, mlp_ratio=3),
    _tower("dinov2_with_registers", "Dinov2WithRegistersForImageClassification"),
    _tower("dinov2_with_registers", "Dinov2WithRegistersModel", num_register_tokens=0),
    _tower("dinov3_vit", "DINOv3ViTModel", num_register_tokens=4),
    _tower("dinov3_vit", "DINOv3ViTModel", use_gated_mlp=True, key_bias=True, mlp_bias=False),
    _tower("beit", "BeitForImageClassification", use_relative_position_bias=True),
    _tower("beit", "BeitModel", use_relative_position_bias=True, use_mean_pooling=False),
    _tower(
        "beit", "BeitModel", use_shared_relative_position_bias=True, use_mask_token=True,
        use_absolute_position_embeddings=True, layer_scale_init_value=0.0,
    ),
    _tower("data2vec-vision", "Data2VecVisionModel", use_shared_relative_position_bias=True),
    _tower("data2vec-vision", "Data2VecVisionForImageClassification", use_mean_pooling=False),
    _tower("clip_vision_model", "CLIPVisionModel"),
    _tower("clip_vision_model", "CLIPVisionModelWithProjection", projection_dim=24),
    _tower("siglip_vision_model", "SiglipVisionModel"),
    _tower("siglip_vision_model", "SiglipVisionModel", vision_use_head=False),
]  # fmt: skip


@st.composite
def tower_configs(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a tower of other sizes."""
    heads = draw(st.integers(1, 4))
    return {
        **draw(st.sampled_from([tower for tower in TOWERS if "Masked" not in str(tower)])),
        "num_hidden_layers": draw(st.integers(1, 3)),
        "num_attention_heads": heads,
        "hidden_size": 8 * heads * draw(st.integers(1, 3)),
        "intermediate_size": draw(st.integers(1, 50)),
        "image_size": draw(st.integers(8, 40)),
        "patch_size": draw(st.integers(2, 8)),
        "num_channels": draw(st.integers(1, 4)),
    }


def _pair(name: str, vision: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_type": name.casefold(),
        "architectures": [f"{name}Model"],
        "projection_dim": 24,
        "vision_config": {**VISION, "hidden_size": 32, **vision},
        "text_config": {**TEXT, "max_position_embeddings": 20, **text},
    }


PAIRS = [
    _pair("CLIP", {}, {}),
    _pair("Siglip", {}, {"projection_size": 32}),
    _pair("Siglip2", {"num_patches": 16}, {"projection_size": 32}),
]

CLIP = {**VISION, "hidden_size": 32, "model_type": "clip_vision_model"}
SIGLIP = {**CLIP, "model_type": "siglip_vision_model", "vision_use_head": False}
DECODER = {
    **TEXT, "max_position_embeddings": 300, "num_key_value_heads": 2, "head_dim": 12,
}  # fmt: skip
MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]}

# Patches of 32 keep images, which are 65,536 pixels or more, to few of them.
_QWEN3: dict[str, Any] = {
    "depth": 3,
    "hidden_size": 32,
    "out_hidden_size": 48,
    "num_heads": 4,
    "patch_size": 32,
    "intermediate_size": 70,
    "num_position_embeddings": 16,
}


def _image_text(
    name: str, vision: dict[str, Any], text: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {
        "architectures": [f"{name}ForConditionalGeneration"],
        "vision_config": vision,
        "text_config": {**DECODER, **text},
        "dtype": "bfloat16",
        **more,
    }


# Its decoder runs on the host alone, so the tower is compared by itself.
QWEN3_5 = _image_text(
    "Qwen3_5", {**_QWEN3, "deepstack_visual_indexes": []},
    {
        "model_type": "qwen3_5_text", "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "rope_parameters": {**MROPE, "partial_rotary_factor": 1.0},
    },
    model_type="qwen3_5",
)  # fmt: skip

IMAGE_TEXT: list[tuple[dict[str, Any], tuple[int, int]]] = [
    (_image_text("Llava", CLIP, {"model_type": "llama"}, model_type="llava"), (32, 32)),
    (
        _image_text(
            "Llava", {**SIGLIP, "vision_use_head": True}, {"model_type": "mistral"},
            model_type="llava", vision_feature_select_strategy="full",
            multimodal_projector_bias=False, tie_word_embeddings=True,
        ),
        (32, 32),
    ),
    (
        _image_text(
            "Gemma3", SIGLIP, {"model_type": "gemma3_text", "sliding_window": 400},
            model_type="gemma3", mm_tokens_per_image=4,
        ),
        (32, 32),
    ),
    (
        _image_text(
            "PaliGemma", SIGLIP, {"model_type": "gemma"}, model_type="paligemma", projection_dim=48,
        ),
        (32, 32),
    ),
    (
        _image_text(
            "PaliGemma", SIGLIP, {"model_type": "gemma2", "sliding_window": 400},
            model_type="paligemma", projection_dim=48,
        ),
        (32, 32),
    ),
    # An image of 4 x 1 views and the whole, five of 32 x 32.
    (
        _image_text(
            "Idefics3", {**CLIP, "model_type": "idefics3_vision"}, {"model_type": "llama"},
            model_type="idefics3",
        ),
        (128, 20),
    ),
    (
        _image_text(
            "SmolVLM", {**CLIP, "model_type": "smolvlm_vision"}, {"model_type": "llama"},
            model_type="smolvlm", scale_factor=4, tie_word_embeddings=True,
        ),
        (20, 128),
    ),
    (
        _image_text(
            "Qwen2VL",
            {
                "depth": 3, "embed_dim": 32, "hidden_size": 48, "num_heads": 4, "patch_size": 4,
                "mlp_ratio": 2,
            },
            {"model_type": "qwen2_vl_text", "rope_parameters": MROPE}, model_type="qwen2_vl",
        ),
        (64, 56),
    ),
    (
        _image_text(
            "Qwen2_5_VL",
            {
                "depth": 5, "hidden_size": 32, "out_hidden_size": 48, "num_heads": 4,
                "patch_size": 4, "intermediate_size": 70, "fullatt_block_indexes": [1, 3],
                "window_size": 24,
            },
            {"model_type": "qwen2_5_vl_text", "rope_parameters": MROPE}, model_type="qwen2_5_vl",
        ),
        (72, 56),
    ),
    (
        _image_text(
            "Qwen3VL", {**_QWEN3, "deepstack_visual_indexes": [0, 2]},
            {"model_type": "qwen3_vl_text", "rope_parameters": MROPE}, model_type="qwen3_vl",
        ),
        (320, 256),
    ),
    (
        _image_text(
            "Qwen3VLMoe", {**_QWEN3, "deepstack_visual_indexes": [1]},
            {
                "model_type": "qwen3_vl_moe_text", "rope_parameters": MROPE, "num_experts": 4,
                "num_experts_per_tok": 2, "moe_intermediate_size": 24,
            },
            model_type="qwen3_vl_moe", tie_word_embeddings=True,
        ),
        (256, 320),
    ),
]  # fmt: skip
