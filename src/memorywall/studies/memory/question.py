"""The eight models of the memory figure: transformers' classes, or modules of ``examples/``.

Each is a function of batch, input size and kernel of attention that returns a factory and inputs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

Source = tuple[Callable[[], Any], dict[str, Any]]


def _cnn(name: str) -> Callable[[int, int, str], Source]:
    def source(batch: int, size: int, _attention: str) -> Source:
        return getattr(examples(), name), {"input": _images(batch, size)}

    return source


def _resnet152(batch: int, size: int, _attention: str) -> Source:
    """Return He's network of 2015, with its strides in the first, 1x1 convolution of a stage."""
    transformers = _transformers()

    config = transformers.ResNetConfig(
        depths=[3, 8, 36, 3], num_labels=1000, downsample_in_bottleneck=True
    )
    inputs = {"pixel_values": _images(batch, size)}
    return lambda: transformers.ResNetForImageClassification(config), inputs


def _transformer_big(batch: int, length: int, attention: str) -> Source:
    """Return Vaswani's big model; three matrices of 32,000 words each make its 1.02."""
    transformers = _transformers()

    config = transformers.MarianConfig(
        vocab_size=32000, decoder_vocab_size=32000, d_model=1024, encoder_ffn_dim=4096,
        decoder_ffn_dim=4096, encoder_layers=6, decoder_layers=6, encoder_attention_heads=16,
        decoder_attention_heads=16, max_position_embeddings=length, activation_function="relu",
        share_encoder_decoder_embeddings=False, tie_word_embeddings=False, pad_token_id=0,
        eos_token_id=0, decoder_start_token_id=0, attention_dropout=_dropout(attention),
        attn_implementation=attention,
    )  # fmt: skip
    return lambda: transformers.MarianMTModel(config), _words(batch, length)


def _bert_large(batch: int, length: int, attention: str) -> Source:
    transformers = _transformers()

    config = transformers.BertConfig(
        hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096,
        attention_probs_dropout_prob=_dropout(attention), attn_implementation=attention,
    )  # fmt: skip
    return lambda: transformers.BertForMaskedLM(config), _words(batch, length)


def _gpt2(batch: int, length: int, attention: str) -> Source:
    """Return GPT-2 of 1.5 billion parameters."""
    transformers = _transformers()

    config = transformers.GPT2Config(
        n_embd=1600, n_layer=48, n_head=25, attn_pdrop=_dropout(attention),
        attn_implementation=attention, use_cache=False,
    )  # fmt: skip
    return lambda: transformers.GPT2LMHeadModel(config), _words(batch, length)


SOURCES: Mapping[str, Callable[[int, int, str], Source]] = {
    "AlexNet": _cnn("alexnet"),
    "VGG19": _cnn("vgg19"),
    "ResNet152": _resnet152,
    "DenseNet201": _cnn("densenet201"),
    "ResNeXt101": _cnn("resnext101"),
    "Transformer Big": _transformer_big,
    "BERT-Large": _bert_large,
    "GPT-2": _gpt2,
}

# Those that have attention, whose kernel can be chosen.
ATTENDING = ("Transformer Big", "BERT-Large", "GPT-2")


def _transformers() -> Any:
    import transformers  # noqa: PLC0415 - an extra

    transformers.logging.set_verbosity_error()
    return transformers


def _dropout(attention: str) -> float:
    """Return attention's dropout, for fused kernels none.

    They keep a seed and no mask, and PyTorch's for the CPU, which is traced, fuses only without.
    """
    return 0.1 if attention == "eager" else 0.0


def _images(batch: int, size: int) -> Any:
    import torch  # noqa: PLC0415 - an extra

    return torch.empty(batch, 3, size, size, device="meta")


def _words(batch: int, length: int) -> dict[str, Any]:
    import torch  # noqa: PLC0415 - an extra

    words = torch.empty(batch, length, dtype=torch.int64, device="meta")
    return {"input_ids": words, "labels": words}


def examples() -> ModuleType:
    """Import ``examples/cnns.py``: packed with the library, or of the checkout."""
    package = Path(__file__).parents[2]
    places = [folder / "examples" / "cnns.py" for folder in (package, package.parents[1])]
    place = next(place for place in places if place.exists())
    spec = importlib.util.spec_from_file_location("cnns", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
