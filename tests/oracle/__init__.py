"""The independent oracle: transformers' own classes on the meta device, counted by torch."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any, NamedTuple
from unittest import mock

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import masking_utils
from transformers.models.minimax.modeling_minimax import MiniMaxCache

from tests.oracle.beside_attention import beside_attention
from tests.oracle.written_out import written_out

transformers.logging.set_verbosity_error()

# Types with state, which read a mask's values without declaring it.
_KEEP_STATE = ("minimax", "lfm2", "lfm2_moe")
# Published under a separate name with another's architecture.
_TWINS = {"kimi_k2": "deepseek_v3"}


class Kept(NamedTuple):
    """Bytes of a cache: keys and values, windows of convolutions, recurrent states."""

    kv_cache: int
    windows: int
    states: int


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
    model.forward = _without_shortcut(model.forward)
    return _with_own_head(model, config)


def _without_shortcut(forward: Any) -> Any:
    """Run with a mask: encoders read its values for a shortcut of other kernels."""

    @functools.wraps(forward)
    def run(*args: Any, **words: Any) -> Any:
        with _masked():
            return forward(*args, **words)

    return run


def _masked() -> Any:
    return mock.patch.object(masking_utils, "_ignore_bidirectional_mask_sdpa", return_value=False)


_ON_HOST = ("dbrx", "siglip2")


def _device(config: dict[str, Any]) -> str:
    """Return where a model can run: DBRX asks which experts were chosen, which meta cannot say.

    Nor can it say how many patches an image of SigLIP 2 has.
    """
    return "cpu" if config["model_type"].startswith(_ON_HOST) else "meta"


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
    # With a mask no model reads ids or positions for padding; those with state read a mask's values
    # instead, but not with a cache.
    stateful = model._is_stateful or model.config.model_type in _KEEP_STATE
    words = {"use_cache": True} if stateful else {"attention_mask": torch.ones_like(ids)}
    if model.config.model_type == "rwkv":  # whose lone token is taken for a step, which is wrong
        words = {"use_cache": False}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids, **words)
    beyond = idle_flops(config, batch * tokens)
    beyond += written_out(model.config, batch, tokens, step=False)
    beyond += beside_attention(model.config, batch, tokens, tokens)
    return int(counter.get_total_flops()) - beyond


def decode_flops(config: dict[str, Any], class_name: str, batch: int, positions: int) -> int:
    """Count the matrix products of one token that attends to ``positions``, itself the last."""
    model = build(config, class_name)
    name = cache_name(model)
    past = new_cache(model)
    if name == "state":
        return batch * _recurrent_step(model, positions)
    with torch.no_grad():
        if positions > 1:
            ids = torch.ones(batch, positions - 1, dtype=torch.long, device=_device(config))
            model(input_ids=ids, **{name: past}, use_cache=True)
        ids = torch.ones(batch, 1, dtype=torch.long, device=_device(config))
        with FlopCounterMode(display=False) as counter:
            model(input_ids=ids, **{name: past}, use_cache=True)
    beyond = idle_flops(config, batch)
    beyond += written_out(model.config, batch, 1, step=positions > 1)
    beyond += beside_attention(model.config, batch, 1, positions)
    return int(counter.get_total_flops()) - beyond


def cache_name(model: Any) -> str:
    """Return what a class calls the cache that it is given; one without attention, its state."""
    words = inspect.signature(model.forward).parameters
    names = ("cache_params", "past_key_values", "state")
    return next(name for name in names if name in words)


def new_cache(model: Any) -> Any:
    """Return an empty cache for a class; MiniMax's has its own."""
    if model.config.model_type == "minimax":
        return MiniMaxCache()
    return transformers.DynamicCache(config=model.config)


def _recurrent_step(model: Any, positions: int) -> int:
    """Count the products of a step of RWKV for one sequence, as it is right for no more.

    A step of B sequences adds arrays of (B, 1, D) and (B, D), and goes on with B x B rows.
    """
    state = None
    with torch.no_grad():
        if positions > 1:
            state = model(input_ids=_ids(1, positions - 1), use_cache=True).state
        with FlopCounterMode(display=False) as counter:
            model(input_ids=_ids(1, 1), state=state, use_cache=True)
    return int(counter.get_total_flops())


def kept_bytes(config: dict[str, Any], class_name: str, batch: int, positions: int) -> Kept:
    """Count the bytes that transformers keeps of ``positions``, in a model in bf16."""
    model = build(config, class_name).to(torch.bfloat16)
    past = transformers.DynamicCache(config=model.config)
    with torch.no_grad():
        model(input_ids=_ids(batch, positions), **{cache_name(model): past}, use_cache=True)
    kept = Kept(0, 0, 0)
    for layer in past.layers:
        keys = [layer.keys, layer.values] if getattr(layer, "is_initialized", False) else []
        windows = list(getattr(layer, "conv_states", {}).values())
        states = list(getattr(layer, "recurrent_states", {}).values())
        parts = (_nbytes(part) for part in (keys, windows, states))
        kept = Kept(*(a + b for a, b in zip(kept, parts, strict=True)))
    return kept


def _nbytes(tensors: list[Any]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if t is not None)


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


def image_flops(
    config: dict[str, Any], class_name: str, images: int, height: int, width: int
) -> int:
    """Count the products of an encoder's pass over images, convolutions among them."""
    model = build(config, class_name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**_images(model, model.config, images, height, width))
    return int(counter.get_total_flops())


def likeness_flops(
    config: dict[str, Any], class_name: str, texts: int, tokens: int, images: int, size: int
) -> int:
    """Count the products of comparing texts with square images."""
    model = build(config, class_name)
    seen = _images(model, model.config.vision_config, images, size, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.ones_like(_ids(texts, tokens), device=model.device), **seen)
    return int(counter.get_total_flops())


def _images(model: Any, vision: Any, images: int, height: int, width: int) -> dict[str, Any]:
    """Return images as a model takes them: pixels, or patches of SigLIP 2, padded to as many."""
    device = model.device
    if vision.model_type == "siglip2_vision_model":
        patches, side = vision.num_patches, int(vision.num_patches**0.5)
        numbers = vision.num_channels * vision.patch_size**2
        return {
            "pixel_values": torch.ones(images, patches, numbers, device=device),
            "pixel_attention_mask": torch.ones(images, patches, dtype=torch.long, device=device),
            "spatial_shapes": torch.full((images, 2), side, device=device),
        }
    shape = (images, vision.num_channels, height, width)
    words: dict[str, Any] = {"pixel_values": torch.ones(shape, device=device)}
    if "interpolate_pos_encoding" in inspect.signature(model.forward).parameters:
        made = vision.image_size
        words["interpolate_pos_encoding"] = (height, width) not in ((made, made), made)
    return words


def image_text_flops(
    config: dict[str, Any], class_name: str, batch: int, tokens: int, images: int,
    size: tuple[int, int],
) -> tuple[int, int]:  # fmt: skip
    """Count the products of encoding images of a size, and of the decoder over all positions.

    The tower receives the pixels that a processor would pass. The decoder receives as many
    positions; their contents change no product.
    """
    ids, decoder = _ids(batch, tokens), build(config, class_name, "meta")
    with FlopCounterMode(display=False) as reading, torch.no_grad():
        decoder(input_ids=ids, **_reading(decoder, ids))
    beyond = _beyond_the_decoder(decoder, config, batch, tokens, step=False)
    looking = tower_flops(config, class_name, images, size)
    return looking, int(reading.get_total_flops()) - beyond


def tower_flops(config: dict[str, Any], class_name: str, images: int, size: tuple[int, int]) -> int:
    """Count the products of encoding images of a size, with what a processor would pass."""
    model = build(config, class_name)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), _masked():
        _look(getattr(model, "model", model), _pixels(model, images, *size))
    return int(counter.get_total_flops())


def _reading(model: Any, ids: torch.Tensor) -> dict[str, Any]:
    """Return the words that keep a decoder from reading values: a mask, or a cache with state."""
    if model._is_stateful:
        return {"use_cache": True}
    return {"attention_mask": torch.ones_like(ids)}


def _beyond_the_decoder(
    model: Any, config: dict[str, Any], batch: int, tokens: int, *, step: bool
) -> int:
    """Return the products of an image-text model's decoder that are not counted."""
    text = {"model_type": config["model_type"], **config.get("text_config", {})}
    beyond = written_out(model.config.get_text_config(), batch, tokens, step=step)
    return idle_flops(text, batch * tokens) + int(beyond)


def _look(model: Any, pixels: dict[str, Any]) -> None:
    """Run the vision part.

    An array without content does not show which of Idefics' views are padding: all are encoded.
    """
    if hasattr(model, "embed_vision"):
        _look_by_positions(model, **pixels)
    elif hasattr(model, "multi_modal_projector") and hasattr(model, "vision_model"):  # Llama 4
        model.multi_modal_projector(model.vision_model(**pixels).last_hidden_state)
    elif hasattr(model, "connector"):
        model.connector(model.vision_model(**pixels).last_hidden_state)
    else:
        model.get_image_features(**pixels)


def _look_by_positions(model: Any, pixel_values: Any, image_position_ids: Any) -> None:
    """Run Gemma 4's tower, whose pooling reads the positions' values.

    Its mean of k x k patches, which the class writes as a product with ones and zeros, is left out.
    """
    tower = model.vision_tower
    padding = torch.zeros(image_position_ids.shape[:2], dtype=torch.bool, device="meta")
    x = tower.patch_embedder(pixel_values, image_position_ids, padding)
    x = tower.encoder(
        inputs_embeds=x, attention_mask=~padding, pixel_position_ids=image_position_ids
    ).last_hidden_state
    model.embed_vision(inputs_embeds=x[:, : x.shape[1] // tower.config.pooling_kernel_size**2])


def image_text_step(
    config: dict[str, Any], class_name: str, batch: int, positions: int
) -> tuple[int, int]:
    """Count the products of one token at ``positions``, 2 or more, and the cache's elements."""
    model = build(config, class_name, "meta")
    past = transformers.DynamicCache(config=model.config)
    ids = _ids(batch, positions)
    with torch.no_grad():
        before = ids[:, 1:]
        model(input_ids=before, **_reading(model, before), past_key_values=past)
        with FlopCounterMode(display=False) as counter:
            # With a mask no model reads positions for packed sequences.
            model(input_ids=ids[:, :1], **_reading(model, ids), past_key_values=past)
    kept = [layer for layer in past.layers if getattr(layer, "keys", None) is not None]
    elements = sum(layer.keys.numel() + layer.values.numel() for layer in kept)
    beyond = _beyond_the_decoder(model, config, batch, 1, step=True)
    return int(counter.get_total_flops()) - beyond, elements


def _pixels(model: Any, images: int, height: int, width: int) -> dict[str, Any]:
    """Return images of a size as an image-text model takes them, on its device."""
    vision, device = model.config.vision_config, model.device
    if hasattr(vision, "pooling_kernel_size"):
        patches = height // vision.patch_size * (width // vision.patch_size)
        return {
            "pixel_values": torch.ones(images, patches, 3 * vision.patch_size**2, device=device),
            "image_position_ids": torch.ones(images, patches, 2, dtype=torch.long, device=device),
        }
    if not hasattr(vision, "spatial_merge_size"):
        shape = (images, vision.num_channels, height, width)
        return {"pixel_values": torch.ones(shape, device=device)}
    # Qwen's takes patches, and grids that are counted on the host.
    rows, columns = height // vision.patch_size, width // vision.patch_size
    numbers = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    patches = images * rows * columns
    return {
        "pixel_values": torch.ones(patches, numbers, device=device),
        "image_grid_thw": torch.tensor([[1, rows, columns]] * images),
        "position_ids": torch.ones(patches, 2, dtype=torch.long, device=device),
        **_interpolated(vision, patches),
    }


def _interpolated(vision: Any, patches: int) -> dict[str, Any]:
    """Return the four learned positions around each patch, and their weights, if there are any."""
    if not hasattr(vision, "num_position_embeddings"):
        return {}
    return {
        "interp_indices": torch.ones(patches, 4, dtype=torch.long, device="meta"),
        "interp_weights": torch.ones(patches, 4, device="meta"),
    }
