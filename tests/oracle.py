"""The independent oracle: transformers' own classes on the meta device, counted by torch."""

from __future__ import annotations

import copy
from typing import Any

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import masking_utils

transformers.logging.set_verbosity_error()
# Encoders look at a mask's values for a shortcut of other kernels; the meta device has none.
masking_utils._ignore_bidirectional_mask_sdpa = lambda *_: False

# Published under a name of its own with another's architecture.
_TWINS = {"kimi_k2": "deepseek_v3"}


def build(config: dict[str, Any], class_name: str, device: str = "") -> Any:
    """Build the class without weights, with eager attention, so that every product is visible."""
    values = copy.deepcopy({k: v for k, v in config.items() if k != "architectures"})
    model_type = _TWINS.get(values["model_type"], values["model_type"])
    del values["model_type"]
    values.pop("torch_dtype", None)
    values.pop("dtype", None)
    built = transformers.AutoConfig.for_model(model_type, **values)
    built._attn_implementation = "eager"
    # Of the ways to run experts, this one is products that are counted, of the routed rows alone.
    built._experts_implementation = "batched_mm"
    with torch.device(device or _device(config)):
        model = getattr(transformers, class_name)(built).eval().requires_grad_(False)
    return _with_own_head(model, config)


def _device(config: dict[str, Any]) -> str:
    """Return where a model can run: DBRX asks which experts were chosen, which meta cannot say."""
    return "cpu" if config["model_type"] == "dbrx" else "meta"


def _with_own_head(model: Any, config: dict[str, Any]) -> Any:
    """Untie the head of a T5 whose config says so.

    The class always ties it, and loading a checkpoint that has a head beside the words, as those of
    T5 1.1 and mT5 do, does not: what is stored apart stays apart.
    """
    apart = config.get("tie_word_embeddings") is False
    if apart and "t5" in config["model_type"] and hasattr(model, "lm_head"):
        weight = torch.empty_like(model.lm_head.weight)
        model.lm_head.weight = torch.nn.Parameter(weight, requires_grad=False)
    return model


def parameters(config: dict[str, Any], class_name: str) -> int:
    """Count the model's parameters, tied ones once."""
    return sum(p.numel() for p in build(config, class_name, "meta").parameters())


def prefill_flops(config: dict[str, Any], class_name: str, batch: int, tokens: int) -> int:
    """Count the matrix products of one forward pass over ``tokens`` tokens."""
    model = build(config, class_name)
    if model.config.is_encoder_decoder:
        return seq2seq_flops(config, class_name, batch, tokens, tokens)
    ids = torch.ones(batch, tokens, dtype=torch.long, device=_device(config))
    if class_name.endswith("ForMultipleChoice"):
        ids = ids[:, None]  # one choice a question
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        # With a mask no model looks at the ids for padding.
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return int(counter.get_total_flops()) - idle_flops(config, batch * tokens)


def decode_flops(config: dict[str, Any], class_name: str, batch: int, positions: int) -> int:
    """Count the matrix products of one token that attends to ``positions``, itself the last."""
    model = build(config, class_name)
    past = transformers.DynamicCache(config=model.config)
    with torch.no_grad():
        if positions > 1:
            ids = torch.ones(batch, positions - 1, dtype=torch.long, device=_device(config))
            model(input_ids=ids, past_key_values=past, use_cache=True)
        ids = torch.ones(batch, 1, dtype=torch.long, device=_device(config))
        with FlopCounterMode(display=False) as counter:
            model(input_ids=ids, past_key_values=past, use_cache=True)
    return int(counter.get_total_flops()) - idle_flops(config, batch)


def idle_flops(config: dict[str, Any], rows: int) -> int:
    """Return what transformers' Llama 4 multiplies by zero.

    It runs all E experts on every row, three products of D x F, where k are chosen.
    """
    if config["model_type"] != "llama4_text":
        return 0
    built = transformers.AutoConfig.for_model(**config)
    idle = built.num_local_experts - built.num_experts_per_tok
    product = 2 * built.hidden_size * built.intermediate_size
    return int(len(built.moe_layers) * idle * rows * 3 * product)


def cache_elements(config: dict[str, Any], class_name: str, batch: int, positions: int) -> int:
    """Count the numbers in the cache that transformers sets aside for ``positions``.

    Where layers have windows that is its static cache, since the one that grows drops the oldest
    position of a full window early, and so holds one less.
    """
    model = build(config, class_name)
    if getattr(model.config, "sliding_window", None) is None:
        cache, tokens = transformers.DynamicCache(config=model.config), positions
    else:
        cache = transformers.StaticCache(config=model.config, max_cache_len=positions)
        tokens = 1
    ids = torch.ones(batch, tokens, dtype=torch.long, device="meta")
    with torch.no_grad():
        model(input_ids=ids, past_key_values=cache, use_cache=True)
    return sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)


def _ids(batch: int, tokens: int) -> torch.Tensor:
    return torch.ones(batch, tokens, dtype=torch.long, device="meta")


def _source(model: Any, batch: int, source: int) -> dict[str, torch.Tensor]:
    """Return what an encoder reads: tokens, or the frames that Whisper always has."""
    if model.main_input_name == "input_features":
        frames = 2 * model.config.max_source_positions
        shape = (batch, model.config.num_mel_bins, frames)
        return {"input_features": torch.ones(shape, device="meta")}
    return {"input_ids": _ids(batch, source)}


def plain_flops(config: dict[str, Any], class_name: str, batch: int, tokens: int) -> int:
    """Count the products of a pass of a class that reads tokens and nothing else."""
    model = build(config, class_name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=_ids(batch, tokens))
    return int(counter.get_total_flops())


def encoder_flops(config: dict[str, Any], class_name: str, batch: int, source: int) -> int:
    """Count the products of the encoder alone."""
    model = build(config, class_name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.get_encoder()(**_source(model, batch, source))
    return int(counter.get_total_flops())


def seq2seq_flops(
    config: dict[str, Any], class_name: str, batch: int, source: int, tokens: int
) -> int:
    """Count the products of a pass over a source and the decoder's tokens."""
    model = build(config, class_name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**_source(model, batch, source), decoder_input_ids=_ids(batch, tokens))
    return int(counter.get_total_flops())


def seq2seq_step(
    config: dict[str, Any], class_name: str, batch: int, source: int, positions: int
) -> tuple[int, int]:
    """Count the products of one token at ``positions``, 2 or more, and the cache's elements."""
    model = build(config, class_name)
    with torch.no_grad():
        before = model(
            **_source(model, batch, source),
            decoder_input_ids=_ids(batch, positions - 1),
            use_cache=True,
        )
        past = before.past_key_values
        with FlopCounterMode(display=False) as counter:
            model(
                encoder_outputs=(before.encoder_last_hidden_state,),
                decoder_input_ids=_ids(batch, 1),
                past_key_values=past,
                use_cache=True,
            )
    caches = (past.self_attention_cache, past.cross_attention_cache)
    elements = sum(
        layer.keys.numel() + layer.values.numel() for cache in caches for layer in cache.layers
    )
    return int(counter.get_total_flops()), elements
