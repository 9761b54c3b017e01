"""The independent oracle: transformers' own classes on the meta device, counted by torch."""

from __future__ import annotations

import copy
from typing import Any

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

transformers.logging.set_verbosity_error()

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
        return getattr(transformers, class_name)(built).eval().requires_grad_(False)


def _device(config: dict[str, Any]) -> str:
    """Return where a model can run: DBRX asks which experts were chosen, which meta cannot say."""
    return "cpu" if config["model_type"] == "dbrx" else "meta"


def parameters(config: dict[str, Any], class_name: str) -> int:
    """Count the model's parameters, tied ones once."""
    return sum(p.numel() for p in build(config, class_name, "meta").parameters())


def prefill_flops(config: dict[str, Any], class_name: str, batch: int, tokens: int) -> int:
    """Count the matrix products of one forward pass over ``tokens`` tokens."""
    model = build(config, class_name)
    ids = torch.ones(batch, tokens, dtype=torch.long, device=_device(config))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        # With a mask GPT-2 does not look at the ids for padding; BERT would look at its values.
        mask = {} if "Bert" in class_name else {"attention_mask": torch.ones_like(ids)}
        model(input_ids=ids, **mask)
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
