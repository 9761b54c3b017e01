"""JSON files of models that are not configs: which each is, by its keys, and the file to give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from memorywall.core.errors import InvalidInputError, join_words, printable

_MOST_PARTS = 64  # of a pipeline; real ones have about ten


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: in messages, with its article.
        keys: a file of this kind has all keys of one of these sets.
        advice: the file to give instead.
    """

    name: str
    keys: tuple[frozenset[str], ...]
    advice: str


def _kind(name: str, advice: str, *keys: str) -> FileKind:
    return FileKind(name, tuple(frozenset(one.split()) for one in keys), advice)


_BESIDE = "Give the config.json of the model, or its folder."
# The first kind that fits; configs of models are none of them, as they have a model_type.
_KINDS = (
    _kind(
        "the config of an adapter (LoRA and its like)",
        "Give the model that it adapts",  # followed by the name
        "peft_type", "base_model_name_or_path task_type",
    ),
    _kind(
        "the training config of an adapter",
        "Give the model that it adapts: its config.json.",
        "lora_parameters", "lora_layers", "fine_tune_type",
    ),
    _kind(
        "the index of the files of a model",
        "Give the folder, whose config.json and headers of weights are read.",
        "metadata weight_map",
    ),
    _kind(
        "the config of a pooling layer of sentence-transformers",
        "Give the config.json of the encoder, one folder up.",
        "word_embedding_dimension pooling_mode_mean_tokens",
        "word_embedding_dimension pooling_mode_cls_token", "embedding_dimension pooling_mode",
    ),
    _kind(
        "the config of a dense layer of sentence-transformers",
        "Give the config.json of the encoder, one folder up.",
        "in_features out_features activation_function",
    ),
    _kind(
        "a config of sentence-transformers", _BESIDE,
        "max_seq_length do_lower_case", "__version__ prompts", "__version__ similarity_fn_name",
    ),
    _kind(
        "a config of timm, which names a class of timm and not its layers",
        "Give the config of a transformers model of the same shape, or trace the module: "
        "memorywall trace FILE.py:make --input 1,3,224,224.",
        "architecture pretrained_cfg", "architecture num_features num_classes",
    ),
    _kind(
        "a config of OpenCLIP",
        "Give the config.json of the same model for transformers, with model_type clip.",
        "model_cfg preprocess_cfg", "embed_dim vision_cfg text_cfg",
    ),
    _kind(
        "the config of a scheduler of diffusers",
        "Give the config of the transformer of the pipeline: transformer/config.json.",
        "_class_name num_train_timesteps",
    ),
    _kind(
        "the config of a tokenizer", _BESIDE,
        "tokenizer_class", "added_tokens_decoder", "added_tokens normalizer pre_tokenizer",
        "chat_template", "bos_token eos_token", "unk_token pad_token", "cls_token sep_token",
    ),
    _kind(
        "the config of a processor", _BESIDE,
        "image_processor_type", "feature_extractor_type", "processor_class",
        "image_mean image_std", "feature_size sampling_rate",
    ),
    _kind(
        "a generation config", _BESIDE,
        "_from_model_config", "do_sample", "max_new_tokens", "eos_token_id transformers_version",
        "temperature top_p",
    ),
    _kind(
        "a side file of a quantisation", _BESIDE,
        "producer quantization", "bits group_size desc_act", "bits group_size w_bit",
        "zero_point q_group_size w_bit",
    ),
    _kind(
        "the metadata of a GGUF file", "Give the .gguf file itself: its header is read.",
        "general.architecture",
    ),
    _kind(
        "the params.json of a checkpoint in the form of its makers (Meta, Mistral)",
        "Give the config.json of the same model for transformers, or its hub id.",
        "dim n_layers n_heads",
    ),
    _kind(
        "the config of a compiled model of MLC",
        "Give the config.json of the model that it was made from.",
        "model_config quantization", "conv_template context_window_size",
    ),
    _kind(
        "the config of an engine of TensorRT-LLM",
        "Give the config.json of the model that it was built from.",
        "pretrained_config build_config", "builder_config plugin_config",
    ),
    _kind(
        "the config of a model of ONNX Runtime",
        "Give the config.json of the model that it was exported from.",
        "model search",
    ),
    _kind(
        "a config of Keras",
        "Give the config.json of the same model for transformers, or its hub id.",
        "module class_name config", "class_name config keras_version",
    ),
    _kind(
        "a manifest of Ollama",
        "Give the .gguf file among its blobs, under a name that ends with .gguf.",
        "schemaVersion layers",
    ),
    _kind(
        "a config of DeepSpeed", _BESIDE,
        "zero_optimization", "train_micro_batch_size_per_gpu", "train_batch_size optimizer",
    ),
    _kind(
        "the state or the arguments of a training run", _BESIDE,
        "log_history global_step", "per_device_train_batch_size", "train_loss epoch",
    ),
    _kind(
        "the config of a library for training, with the model inside",
        "Give the part that describes the model, with its model_type.",
        "model optimizer", "trainer model",
    ),
)  # fmt: skip


# A config of a model has one of these sizes, of any type.
_SIZES = frozenset((
    "hidden_size", "num_hidden_layers", "n_embd", "n_layer", "d_model",
    "hidden_sizes", "embed_dim", "num_attention_heads",
))  # fmt: skip
_LIBRARIES = ("diffusers", "transformers")


def refuse_other_file(config: Mapping[str, Any], where: str) -> None:
    """Refuse a file that is not the config of a model, and name the file to give.

    Raises:
        InvalidInputError: a file of a known kind.
    """
    parts = _parts(config)
    if parts:
        raise InvalidInputError(
            f"{where} is the index of a pipeline of diffusers: {join_words(parts)}.",
            f"Give the config of one part: {_denoiser(parts)}/config.json.",
        )
    sized = bool(_SIZES & config.keys())
    for kind in _KINDS:
        if any(keys <= config.keys() and (len(keys) > 2 or not sized) for keys in kind.keys):
            raise InvalidInputError(
                f"{where} is {kind.name}, not the config of a model.", _advice(kind, config)
            )


def _advice(kind: FileKind, config: Mapping[str, Any]) -> str:
    """Return the advice; that on an adapter names the model that it adapts."""
    if kind is not _KINDS[0]:
        return kind.advice
    base = config.get("base_model_name_or_path")
    name = printable(base) if isinstance(base, str) and base else "its config.json or its hub id"
    return f"{kind.advice}: {name}. The adapter's weights are not counted."


def _parts(config: Mapping[str, Any]) -> list[str]:
    """Return the parts of a pipeline of diffusers, each listed as library and class."""
    listed = {
        name: value
        for name, value in islice(config.items(), _MOST_PARTS)
        if isinstance(value, list) and len(value) == 2
    }
    if not any(value[0] in _LIBRARIES for value in listed.values()):
        return []
    return [printable(str(name), 40) for name, value in listed.items() if value[1] is not None]


def _denoiser(parts: list[str]) -> str:
    return next((part for part in ("transformer", "unet", "prior") if part in parts), parts[0])
