"""Configs as checkpoints publish them, in the keys and model types of transformers.

Checkpoints with custom code, and those older than transformers' class, have other names for the
same architecture. A ``Translation`` gives a config the names that a family reads, and the values
that the code fixes; a config that needs none is returned as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from memorywall.core.errors import UnsupportedError, printable, shown
from memorywall.reading.class_names import type_of_class

Keys = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Translation:
    """How the config of one published model type is read.

    Attributes:
        model_type: the type under which a family reads it.
        names: its keys, and transformers' names for them.
        values: keys that its code fixes.
        adjust: a further step, on the renamed keys.
        only: keys of which one value alone is supported, that of keys that are left out.
        classes: ``architectures`` of the result; None: those of the config.
    """

    model_type: str
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    adjust: Callable[[Keys], None] | None = None
    only: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] | None = ()

    def apply(self, config: Mapping[str, Any], where: str) -> Keys:
        """Return the config in transformers' names.

        Raises:
            UnsupportedError: a key with a value that is not supported.
        """
        taken = {
            self.names.get(key, key): value for key, value in config.items() if key not in self.only
        }
        for key, wanted in self.only.items():
            if config.get(key, wanted) not in (wanted, None):
                raise UnsupportedError(
                    f"{where}: {key!r} must be {wanted!r} for model_type "
                    f"{shown(config.get('model_type'))}, got {shown(config[key])}."
                )
        taken.update({"model_type": self.model_type, **self.values})
        if self.classes is not None:
            taken["architectures"] = list(self.classes)
        if self.adjust is not None:
            self.adjust(taken)
        return taken


@dataclass(frozen=True, slots=True)
class Published:
    """A config in transformers' names, and notes on what was taken for what."""

    config: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def as_published(config: Mapping[str, Any], where: str, model_types: Iterable[str]) -> Published:
    """Return a config under the model type that a family reads it by.

    Args:
        config: as published.
        where: its name in messages.
        model_types: those that families read, for a config without one.
    """
    model_type = config.get("model_type")
    if model_type is None:
        return _of_class(config, model_types)
    if not isinstance(model_type, str):
        return Published(config)
    translation = _variant(config, model_type) or _TRANSLATIONS.get(model_type)
    if translation is None:
        return Published(config)
    taken = translation.apply(config, where)
    named = taken["model_type"]
    return Published(taken, () if named == model_type else (_note(config, named),))


def _note(config: Mapping[str, Any], named: str) -> str:
    own = own_code(config)
    code = f", whose checkpoint runs its own code, {printable(own)}," if own else ""
    return f"model_type {printable(config['model_type'])!r}{code} is read as {named!r}."


# Keys of every transformers config that change a model's weights where they are on.
_CHANGES = {
    "pruned_heads": "heads that were pruned are not supported",
    "tie_encoder_decoder": "an encoder and a decoder of the same weights are not supported",
    "add_cross_attention": "a decoder that reads an encoder is not supported",
}


def refuse_changes(config: Mapping[str, Any], where: str) -> None:
    """Refuse what transformers changes in a model of any type, which families do not read.

    Raises:
        UnsupportedError: such a key is on.
    """
    for key, reason in _CHANGES.items():
        if config.get(key):
            raise UnsupportedError(f"{where}: {key!r} is {shown(config[key])}: {reason}.")


def _of_class(config: Mapping[str, Any], model_types: Iterable[str]) -> Published:
    """Return a config without a model type under that of its class."""
    classes = config.get("architectures")
    name = classes[0] if isinstance(classes, list) and classes else None
    if not isinstance(name, str) or not name.isascii() or len(name) > _LONGEST_CLASS:
        return Published(config)
    found = type_of_class(name, model_types)
    if found is None:
        return Published(config)
    note = f"The config has no model_type: {found!r} is taken from the class {printable(name)}."
    return Published({**config, "model_type": found}, (note,))


_LONGEST_CLASS = 100


def _variant(config: Mapping[str, Any], model_type: str) -> Translation | None:
    """Return the translation of custom code under the model type of another architecture."""
    own = own_code(config)
    if model_type == "bert" and "JinaBert" in own:
        return _QK_JINA if "qk-post-norm" in own else _JINA
    mosaic = config.get("alibi_starting_size") is not None or own.startswith("bert_layers.")
    if model_type == "bert" and mosaic:
        return _MOSAIC
    rotary = config.get("position_embedding_type") == "rotary"
    return _JINA_V3 if model_type == "xlm-roberta" and rotary and own else None


def own_code(config: Mapping[str, Any]) -> str:
    """Return the code of a checkpoint's model, as ``auto_map`` names it; "" if it names none."""
    listed = config.get("auto_map")
    if not isinstance(listed, Mapping):
        return ""
    models = [
        value
        for key, value in listed.items()
        if isinstance(value, str) and str(key).startswith("AutoModel")
    ]
    return max(models, key=lambda value: ("CausalLM" in value, -len(value)), default="")


def _halved(taken: Keys) -> None:
    """Halve the width: Qwen's first code counts both halves of a gated feed-forward in it."""
    width = taken.get("intermediate_size")
    if isinstance(width, int) and not isinstance(width, bool):
        taken["intermediate_size"] = width // 2


def _grouped(taken: Keys) -> None:
    """Give ChatGLM's groups of keys only where it shares them."""
    if not taken.pop("multi_query_attention", False):
        taken["num_key_value_heads"] = taken.get("num_attention_heads")


def _biased(taken: Keys) -> None:
    """Give the projections of attention the biases that ``bias`` says."""
    taken["attention_bias"] = taken.pop("bias", True)


def _rotated(taken: Keys) -> None:
    """Give the share of a head that ``rotary_dim`` rotates, and the usual width."""
    width, heads = taken.get("hidden_size"), taken.get("num_attention_heads")
    rotated = taken.get("rotary_dim")
    if isinstance(width, int) and isinstance(heads, int) and isinstance(rotated, int) and width:
        taken["partial_rotary_factor"] = rotated * heads / width
    if taken.get("intermediate_size") is None and isinstance(width, int):
        taken["intermediate_size"] = 4 * width


def _by_positions(taken: Keys) -> None:
    """Read Baichuan-7B as Llama; 13B, which has no ``max_position_embeddings``, adds ALiBi."""
    if taken.get("max_position_embeddings") is not None:
        taken["model_type"] = "llama"
        taken.pop("model_max_length", None)  # the same number


def _of_mosaic(taken: Keys) -> None:
    """Give the positions for which ALiBi is prepared; there is no table of positions."""
    taken["max_position_embeddings"] = taken.pop("alibi_starting_size", 512)


def _of_jina(taken: Keys) -> None:
    """Give the classes of JinaBERT their names, which some configs list as BERT's."""
    classes = taken.get("architectures")
    if isinstance(classes, list):
        taken["architectures"] = [
            f"Jina{one}" if str(one).startswith("Bert") else one for one in classes
        ]


_FALCON = {
    "n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_head_kv": "num_kv_heads",
}  # fmt: skip
_PHI = {
    "n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
    "n_head_kv": "num_key_value_heads", "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings", "activation_function": "hidden_act",
    "layer_norm_epsilon": "layer_norm_eps",
}  # fmt: skip
_MOSAIC = Translation("mosaic_bert", adjust=_of_mosaic, classes=None)
_JINA = Translation("jina_bert", adjust=_of_jina, classes=None)
_QK_JINA = Translation("jina_bert_qk_norm", adjust=_of_jina, classes=None)
_JINA_V3 = Translation("jina_embeddings_v3")
_LLAMA = Translation("llama")
_TRANSLATIONS = {
    # Falcon before transformers had its class; the second is that of 7B and of Falcon-RW.
    "RefinedWeb": Translation(
        "falcon", _FALCON, {"new_decoder_architecture": True}, only={"multi_query": True}
    ),
    "RefinedWebModel": Translation("falcon", _FALCON),
    "Yi": _LLAMA,
    "aquila": _LLAMA,
    "internlm2": Translation("llama", adjust=_biased),
    "internlm": Translation("llama", adjust=_biased),
    "baichuan": Translation("baichuan", adjust=_by_positions),
    "qwen": Translation(
        "qwen2",
        {
            "seq_length": "max_position_embeddings", "layer_norm_epsilon": "rms_norm_eps",
            "kv_channels": "head_dim",
        },
        adjust=_halved, only={"no_bias": True, "rotary_pct": 1.0},
    ),
    "chatglm": Translation(
        "glm",
        {
            "num_layers": "num_hidden_layers", "ffn_hidden_size": "intermediate_size",
            "kv_channels": "head_dim", "multi_query_group_num": "num_key_value_heads",
            "padded_vocab_size": "vocab_size", "seq_length": "max_position_embeddings",
            "add_qkv_bias": "attention_bias", "layernorm_epsilon": "rms_norm_eps",
        },
        {"partial_rotary_factor": 0.5}, adjust=_grouped,
        only={
            "add_bias_linear": False, "rmsnorm": True, "post_layer_norm": True,
            "apply_residual_connection_post_layernorm": False, "position_encoding_2d": False,
        },
    ),
    "phi-msft": Translation("phi", _PHI, adjust=_rotated),
    "mixformer-sequential": Translation("phi", _PHI, adjust=_rotated),
    "stablelm_epoch": Translation("stablelm", {"rope_pct": "partial_rotary_factor"}),
}  # fmt: skip
