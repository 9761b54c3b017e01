"""Configs of checkpoints with custom code, and published spellings of types and classes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import memorywall as mw
from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.frontends.config import parse_config

BERT: dict[str, Any] = {
    "model_type": "bert", "vocab_size": 30528, "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072, "type_vocab_size": 2,
    "hidden_act": "gelu", "max_position_embeddings": 512, "torch_dtype": "float32",
}  # fmt: skip
MOSAIC = {
    **BERT,
    "auto_map": {
        "AutoConfig": "configuration_bert.BertConfig",
        "AutoModelForMaskedLM": "bert_layers.BertForMaskedLM",
    },
    "alibi_starting_size": 4096,
}
JINA = {
    **BERT, "architectures": ["BertModel"], "position_embedding_type": "alibi",
    "feed_forward_type": "geglu", "emb_pooler": "mean", "max_position_embeddings": 8192,
    "auto_map": {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"},
}  # fmt: skip
GTE = {
    **BERT, "model_type": "new", "architectures": ["NewModel", "NewForTokenClassification"],
    "vocab_size": 250048, "type_vocab_size": 1, "position_embedding_type": "rope",
    "layer_norm_type": "layer_norm", "pack_qkv": True, "max_position_embeddings": 8192,
    "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
}  # fmt: skip
CHATGLM = {
    "model_type": "chatglm", "architectures": ["ChatGLMModel"], "num_layers": 28,
    "hidden_size": 4096, "ffn_hidden_size": 13696, "num_attention_heads": 32, "kv_channels": 128,
    "multi_query_attention": True, "multi_query_group_num": 2, "add_qkv_bias": True,
    "add_bias_linear": False, "padded_vocab_size": 65024, "seq_length": 8192, "rmsnorm": True,
    "tie_word_embeddings": False, "torch_dtype": "float16",
    "auto_map": {"AutoModel": "modeling_chatglm.ChatGLMForConditionalGeneration"},
}  # fmt: skip
WIDE: dict[str, Any] = {
    "hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "hidden_act": "silu",
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
INTERNLM2 = {
    **WIDE, "model_type": "internlm2", "architectures": ["InternLM2ForCausalLM"], "bias": False,
    "intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 92544,
    "max_position_embeddings": 32768,
}  # fmt: skip
QWEN = {
    **WIDE, "model_type": "qwen", "architectures": ["QWenLMHeadModel"], "kv_channels": 128,
    "intermediate_size": 22016, "vocab_size": 151936, "seq_length": 8192, "no_bias": True,
}  # fmt: skip
BAICHUAN = {
    **WIDE, "model_type": "baichuan", "architectures": ["BaichuanForCausalLM"],
    "vocab_size": 125696, "model_max_length": 4096, "intermediate_size": 13696,
    "hidden_size": 5120, "num_attention_heads": 40, "num_hidden_layers": 40,
}  # fmt: skip
FALCON = {
    "model_type": "RefinedWebModel", "architectures": ["RWForCausalLM"], "alibi": False,
    "bias": False, "hidden_size": 4544, "n_head": 71, "n_layer": 32, "multi_query": True,
    "parallel_attn": True, "vocab_size": 65024, "torch_dtype": "bfloat16",
    "auto_map": {"AutoModelForCausalLM": "modelling_RW.RWForCausalLM"},
}  # fmt: skip
FALCON_RW = {
    **FALCON, "hidden_size": 2048, "n_head": 32, "n_layer": 24, "alibi": True, "bias": True,
    "multi_query": False, "parallel_attn": False, "vocab_size": 50304,
}  # fmt: skip
FALCON_40B = {
    **FALCON, "model_type": "RefinedWeb", "hidden_size": 8192, "n_head": 128, "n_head_kv": 8,
    "n_layer": 60,
}  # fmt: skip
PHI_2 = {
    "model_type": "phi-msft", "architectures": ["PhiForCausalLM"], "n_embd": 2560, "n_layer": 32,
    "n_head": 32, "n_head_kv": None, "n_inner": None, "n_positions": 2048, "rotary_dim": 32,
    "vocab_size": 51200, "activation_function": "gelu_new", "tie_word_embeddings": False,
}  # fmt: skip

# A layer of MosaicBERT, JinaBERT and GTE: queries, keys and values 768 x 2304 + 2304, output
# 768^2 + 768, a norm of 1536, both halves of the gate 768 x 6144, down 3072 x 768 + 768, a norm.
GATED_LAYER = (768 * 2304 + 2304) + (768**2 + 768) + 1536 + 768 * 6144 + (3072 * 768 + 768) + 1536
POOLER = 768**2 + 768


@pytest.mark.parametrize(
    ("config", "parameters", "positions", "note"),
    [
        # Embeddings: 30528 words, 2 token types, a norm; no positions.
        (MOSAIC, (30528 + 2 + 2) * 768 + 12 * GATED_LAYER + POOLER, 4096, "bert_layers."),
        (JINA, (30528 + 2 + 2) * 768 + 12 * GATED_LAYER + POOLER, 8192, "JinaBertModel"),
        # Snowflake/snowflake-arctic-embed-m-v2.0 prints 305,368,320 for the same shape.
        (GTE, (250048 + 1 + 2) * 768 + 12 * GATED_LAYER, 8192, ""),
        # Two tables of 65024; a layer: qkv 4096 x 4608 + 4608, output 4096^2, three of
        # 4096 x 13696, two norms; THUDM/chatglm3-6b prints 6,243,584,000.
        (
            CHATGLM,
            2 * 65024 * 4096 + 28 * (4097 * 4608 + 4096**2 + 3 * 4096 * 13696 + 2 * 4096) + 4096,
            8192, "'glm'",
        ),
        # Two tables of 92544; q, o 4096^2, k, v 4096 x 1024, three of 4096 x 14336, two norms;
        # internlm/internlm2_5-7b-chat prints 7,737,708,544.
        (
            INTERNLM2,
            2 * 92544 * 4096
            + 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096)
            + 4096,
            32768, "'llama'",
        ),
        # Biases of 3 x 4096 on the queries, keys and values; half of 22016 is the width.
        (
            QWEN,
            2 * 151936 * 4096 + 32 * (4 * 4096**2 + 3 * 4096 + 3 * 4096 * 11008 + 2 * 4096) + 4096,
            8192, "'qwen2'",
        ),
        (
            BAICHUAN,
            2 * 125696 * 5120 + 40 * (4 * 5120**2 + 3 * 5120 * 13696 + 2 * 5120) + 5120,
            4096, "",
        ),
        # One key-value head of 64; queries, keys and values 4544 x (4544 + 128), output 4544^2,
        # two of 4544 x 18176, one norm; the head is tied. tiiuae/falcon-7b: 6,921,720,704.
        (
            FALCON,
            65024 * 4544 + 32 * (4544 * (4544 + 128) + 4544**2 + 8 * 4544**2 + 9088) + 9088,
            2048, "'falcon'",
        ),
        (FALCON_40B, mw.model("tiiuae/falcon-40b").parameters, 2048, "'falcon'"),
        # Biases everywhere: 3 D + D + 4 D + D, two norms. tiiuae/falcon-rw-1b: 1,311,625,216.
        (FALCON_RW, 50304 * 2048 + 24 * (12 * 2048**2 + 13 * 2048) + 4096, 2048, "'falcon'"),
        (PHI_2, 2_779_683_840, 2048, "'phi'"),
    ],
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else None,
)  # fmt: skip
def test_own_code_is_read(
    config: dict[str, Any], parameters: int, positions: int, note: str
) -> None:
    model = mw.model(config)
    assert model.parameters == parameters
    assert model.architecture.max_positions == positions
    assert note in " ".join(model.reading.notes)
    assert "not read" not in " ".join(model.reading.notes)


def test_printed_counts_of_own_code() -> None:
    printed = {
        137_368_320: (MOSAIC, JINA), 305_368_320: (GTE,), 6_243_584_000: (CHATGLM,),
        7_737_708_544: (INTERNLM2,), 7_721_324_544: (QWEN,), 13_896_668_160: (BAICHUAN,),
        6_921_720_704: (FALCON,), 1_311_625_216: (FALCON_RW,),
    }  # fmt: skip
    for count, configs in printed.items():
        assert {mw.model(config).parameters for config in configs} == {count}


def test_alibi_of_own_code_is_counted() -> None:
    names = [op.name for op in mw.analyze(MOSAIC, on="h100-sxm", seq_len=16).ops]
    assert any("scores_alibi" in name for name in names)
    assert not any("rotary" in name for name in names)
    names = [op.name for op in mw.analyze(GTE, on="h100-sxm", seq_len=16).ops]
    assert any("rotary" in name for name in names)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("microsoft/phi-4", "modeling_phi3.Phi3ForCausalLM"),
        ("deepseek-ai/DeepSeek-V3", "modeling_deepseek.DeepseekV3ForCausalLM"),
        ("mosaicml/mpt-7b", "modeling_mpt.MPTForCausalLM"),
        ("tiiuae/falcon-7b", "tiiuae/falcon-7b--modeling_falcon.FalconForCausalLM"),
        ("MiniMaxAI/MiniMax-M2.5", "modeling_minimax_m2.MiniMaxM2ForCausalLM"),
    ],
)
def test_code_that_transformers_took_in_is_quiet(name: str, own: str) -> None:
    config = {**mw.model(name).config, "auto_map": {"AutoModelForCausalLM": own}}
    assert mw.model(config).reading.notes == ()


def test_unknown_own_code_is_noted() -> None:
    config = {**BERT, "auto_map": {"AutoModel": "me/mine--modeling_mine.MyBertModel"}, "twist": 3}
    answer = mw.analyze(config, on="h100-sxm", seq_len=16)
    notes = " ".join(answer.notes)
    assert "own code, me/mine--modeling_mine.MyBertModel; it is counted as BertModel" in notes
    assert "unknown effect: twist" in notes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**CHATGLM, "add_bias_linear": True}, "'add_bias_linear' must be False"),
        ({**QWEN, "no_bias": False}, "'no_bias' must be True"),
        ({**FALCON_40B, "multi_query": False}, "'multi_query' must be True"),
        ({**BERT, "pruned_heads": {"0": [1]}}, "'pruned_heads'"),
        ({**BERT, "add_cross_attention": True}, "'add_cross_attention'"),
    ],
)
def test_variants_that_are_not_supported(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        mw.model(config)


@pytest.mark.parametrize(
    ("name", "spelled", "counted"),
    [
        ("microsoft/Phi-3.5-MoE-instruct", "PhiMoEForCausalLM", "PhimoeForCausalLM"),
        ("google-t5/t5-small", "T5WithLMHeadModel", "T5ForConditionalGeneration"),
        ("huggyllama/llama-7b", "LLaMAForCausalLM", "LlamaForCausalLM"),
        ("mosaicml/mpt-7b", "MPTForCausalLM", "MptForCausalLM"),
        ("bert-base-uncased", "TFBertForMaskedLM", "BertForMaskedLM"),
        ("gpt2", "FlaxGPT2LMHeadModel", "GPT2LMHeadModel"),
        ("stabilityai/stablelm-3b-4e1t", "StableLMEpochForCausalLM", "StableLmForCausalLM"),
    ],
)
def test_spellings_of_classes(name: str, spelled: str, counted: str) -> None:
    config = {**mw.model(name).config, "architectures": [spelled]}
    assert mw.model(config).architecture.class_name == counted
    assert mw.model(config).parameters == mw.model(name).parameters or "Masked" in counted


def test_bert_for_pretraining_by_hand() -> None:
    # The masked-language head: 768^2 + 768, a norm, a bias of 30522; and 768 x 2 + 2
    # for two sentences.
    config = {**mw.model("bert-base-uncased").config, "architectures": ["BertForPreTraining"]}
    assert mw.model(config).parameters == 109_482_240 + 768**2 + 3 * 768 + 30522 + 2 * 769


@pytest.mark.parametrize(
    "name",
    [
        "gpt2", "bert-base-uncased", "google-t5/t5-small", "microsoft/phi-4", "openai/gpt-oss-20b",
        "xlm-roberta-base", "facebook/opt-125m", "google/gemma-3-1b-it", "tiiuae/falcon-mamba-7b",
        "Qwen/Qwen1.5-MoE-A2.7B", "deepseek-ai/DeepSeek-V3", "google/vit-base-patch16-224",
        "Helsinki-NLP/opus-mt-en-de",
    ],
)  # fmt: skip
def test_architectures_without_a_model_type(name: str) -> None:
    model = mw.model(name)
    config = {key: value for key, value in model.config.items() if key != "model_type"}
    again = mw.model({**config, "architectures": [model.architecture.class_name]})
    assert again.parameters == model.parameters
    assert "no model_type" in again.reading.notes[0]


@pytest.mark.parametrize("written", ["Infinity", "-Infinity", "NaN"])
def test_numbers_as_python_writes_them(tmp_path: Path, written: str) -> None:
    text = json.dumps(BERT)[:-1] + f', "time_step_limit": [0.0, {written}]}}'
    path = tmp_path / "config.json"
    path.write_text(text)
    assert mw.model(path).parameters == mw.model(BERT).parameters
    size = parse_config(json.dumps(BERT).replace("30528", written), "config.json")
    with pytest.raises(InvalidInputError, match="'vocab_size' must be a whole number"):
        mw.model(size)


def test_nemotron_3_super_by_hand() -> None:
    """120,668,687,360: its config has ``time_step_limit`` [0.0, Infinity]."""
    model = mw.model("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16")
    assert model.config["time_step_limit"] == [0.0, math.inf]
    # 40 layers of experts: router 512 x 4096 (its corrections are a buffer), into and out of
    # latents of 1024, 512 experts of 2 x 1024 x 2688, a shared one of 2 x 4096 x 5376, and a norm.
    experts = 512 * 4096 + 2 * 4096 * 1024 + 512 * 2 * 1024 * 2688 + 2 * 4096 * 5376 + 4096
    # 40 scans: in 4096 x (2 x 8192 + 2 x 8 x 128 + 128), a convolution of 4 over 10240 with a
    # bias, three vectors of 128 heads, a norm of 8192, out 8192 x 4096, and a norm.
    scan = 4096 * (16384 + 2048 + 128) + 5 * 10240 + 3 * 128 + 8192 + 8192 * 4096 + 4096
    # 8 attentions: q, o 4096^2, k, v 4096 x 256, and a norm.
    attention = 2 * 4096**2 + 2 * 4096 * 256 + 4096
    whole = 40 * experts + 40 * scan + 8 * attention + 2 * 131072 * 4096 + 4096
    assert model.parameters == whole == 120_668_687_360


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        ({"peft_type": "LORA", "base_model_name_or_path": "me/base"}, "an adapter", "me/base"),
        ({"peft_type": "IA3", "base_model_name_or_path": None}, "an adapter", "its hub id"),
        (
            {
                "_class_name": "FluxPipeline", "_diffusers_version": "0.30",
                "text_encoder": ["transformers", "CLIPTextModel"],
                "transformer": ["diffusers", "FluxTransformer2DModel"], "safety": [None, None],
                "vae": ["diffusers", "AutoencoderKL"],
            },
            "pipeline of diffusers: text_encoder, transformer and vae", "transformer/config.json",
        ),
        (
            {"_class_name": "S", "unet": ["diffusers", "UNet2DConditionModel"]},
            "pipeline", "unet/config.json",
        ),
        (
            {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
            "pooling", "one folder",
        ),
        ({"architecture": "resnet50", "num_features": 2048, "num_classes": 1000}, "timm", "trace"),
        ({"architecture": "vit_b", "pretrained_cfg": {}}, "timm", "trace"),
        ({"model_cfg": {}, "preprocess_cfg": {}}, "OpenCLIP", "model_type clip"),
        ({"_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 1000}, "scheduler", "tr"),
        ({"tokenizer_class": "LlamaTokenizer", "model_max_length": 1}, "tokenizer", "config.json"),
        ({"bos_token": "<s>", "eos_token": "</s>"}, "tokenizer", "config.json"),
        ({"image_processor_type": "CLIPImageProcessor", "size": 1}, "processor", "config.json"),
        ({"eos_token_id": 2, "transformers_version": "4.40"}, "generation config", "config.json"),
        ({"producer": {"name": "modelopt"}, "quantization": {}}, "side file", "config.json"),
        ({"bits": 4, "group_size": 128, "desc_act": False}, "side file", "config.json"),
        ({"metadata": {}, "weight_map": {}}, "the index of the files", "folder"),
        ({"general.architecture": "llama", "llama.block_count": 32}, "GGUF", ".gguf"),
        ({"dim": 4096, "n_layers": 32, "n_heads": 32, "vocab_size": 1}, "params.json", "hub id"),
        ({"pretrained_config": {}, "build_config": {}}, "TensorRT-LLM", "built from"),
        ({"model_config": {}, "quantization": "q4f16_1"}, "MLC", "made from"),
        ({"zero_optimization": {"stage": 3}}, "DeepSpeed", "config.json"),
        ({"log_history": [], "global_step": 3}, "training run", "config.json"),
        ({"schemaVersion": 2, "layers": []}, "Ollama", ".gguf"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_other_files_are_named(content: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        mw.model(content)
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_a_folder_of_an_adapter_is_named(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(
        InvalidInputError, match=r"adapter_config\.json is the config of an adapter"
    ):
        mw.model(tmp_path)


def test_configs_of_models_are_not_other_files() -> None:
    for config in (
        {**BERT, "tokenizer_class": "BertTokenizer", "do_sample": True},
        {"_class_name": "FluxTransformer2DModel", **mw.model("FLUX.1-dev").config},
    ):
        assert mw.model(config).parameters
    without = {key: value for key, value in BERT.items() if key != "model_type"}
    with pytest.raises(InvalidInputError, match="'model_type' must be a text"):
        mw.model({**without, "eos_token_id": 1, "transformers_version": "4.40"})
