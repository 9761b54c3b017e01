"""Modules by the names that checkpoints give them: lists of names, globs and regular expressions.

A checkpoint names modules as transformers or MLX does, ``model.layers.3.self_attn.q_proj``; a
weight here is called ``layers.attention.q_proj.weight``, and its layer is known apart. Plain names
are put into our words once; patterns are tried on the names that a weight has in checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import dropwhile, product
from typing import TypeAlias

from memorywall.core.errors import shown
from memorywall.core.formats import Format

MOST_NAMES = 100_000
_MOST_PATTERNS = 64
_LONGEST_PATTERN = 2000
_MOST_TRIALS = 8192  # of patterns in layers
_MOST_LAYERS = 1024  # that are named one by one
_MOST_WORDS = 6  # of the path of a module within its layer

# The names of a module in checkpoints, the usual one first; other modules have one name.
_MODULES: dict[str, tuple[str, ...]] = {
    "attention": ("self_attn", "attn", "self_attention", "attention", "mixer"),
    "cross_attention": ("encoder_attn", "EncDecAttention", "cross_attn"),
    "linear_attention": ("linear_attn", "self_attn"),
    "convolution": ("conv", "short_conv"),
    "mamba": ("mamba", "mixer"),
    "mlp": ("mlp", "feed_forward", "block_sparse_moe", "ffn", "mixer"),
    "experts": ("experts", "switch_mlp"),
    "shared_experts": ("shared_experts", "shared_expert", "shared_mlp"),
    "router": ("gate", "router"),
    "shared_gate": ("shared_expert_gate",),
    "q_proj": ("q_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "qkv", "wq", "wq_b"),
    "k_proj": ("k_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "qkv", "wk"),
    "v_proj": ("v_proj", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "qkv", "wv"),
    "o_proj": ("o_proj", "out_proj", "dense", "c_proj", "proj", "wo"),
    "gate_proj": ("gate_proj", "gate_up_proj", "w1", "wi_0", "in_proj_qkvz", "in_proj_z"),
    "up_proj": ("up_proj", "gate_up_proj", "w3", "c_fc", "dense_h_to_4h", "fc1", "wi_1"),
    "down_proj": ("down_proj", "w2", "dense_4h_to_h", "fc2", "c_proj", "wo"),
    "gate_up_proj": ("gate_proj", "up_proj", "gate_up_proj", "w1", "w3"),
    "qkv_proj": ("in_proj_qkvz", "in_proj_qkv", "q_proj", "k_proj", "v_proj"),
    "beta_proj": ("in_proj_ba", "in_proj_b", "b_proj"),
    "decay_proj": ("in_proj_ba", "in_proj_a", "a_proj"),
    "kv_a_proj": ("kv_a_proj_with_mqa", "kv_a_proj"),
    "words": ("embed_tokens", "wte", "word_embeddings", "tok_embeddings"),
    "lm_head": ("lm_head", "embed_out"),
}
# Names that no checkpoint has side by side: Mixtral's mixture has experts and their router alone,
# and GPT-2's projections are those of ``attn``.
_NEVER = re.compile(
    r"block_sparse_moe\.(?!experts|gate$)|(?<!^attn)\.(?:c_attn|Wqkv|qkv|proj)$"
    r"|(?:self_attn|self_attention|attention|mixer)\.c_proj$"
)
_USUAL = {
    # The two halves of one weight here are two modules in most checkpoints.
    "gate_up_proj": ("gate_proj", "up_proj"),
}
_OURS: dict[str, tuple[str, ...]] = {}
for _our, _theirs in _MODULES.items():
    for _name in dict.fromkeys((_our, *_theirs)):
        _OURS[_name] = (*_OURS.get(_name, ()), _our)

# Words of towers and of what joins them to the text, and ours for them.
_STACKS = {
    "vision_tower": "vision", "vision_model": "vision", "visual": "vision", "vision": "vision",
    "vision_encoder": "vision", "multi_modal_projector": "projector", "connector": "projector",
    "merger": "projector", "mm_projector": "projector", "projector": "projector",
    "embed_vision": "projector", "encoder": "encoder", "decoder": "decoder",
    "language_model": "text", "text_model": "text",
}  # fmt: skip
# Words that say nothing about which module is meant.
_WRAPPERS = ("model", "transformer", "backbone", "base_model", "gpt_neox", "thinker")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|block|blocks|layer)\.(\d{1,6})(?=\.|$)")
_PLAIN = re.compile(r"[\w.\-]+")
_EXPERT = re.compile(r"\bexperts\.\d{1,6}\b")


# Where a plain name points to: the stack (``vision``, ``projector``, ``encoder``, ``decoder``,
# ``text``, or nothing for any), the layer (None for every one), and the path within the layer in
# our words, nothing for the whole of it. A tuple, of which a config may name a hundred thousand.
Place: TypeAlias = tuple[str, int | None, str]


@dataclass(frozen=True)
class Named:
    """Modules by name: plain names, and patterns that the names of modules match from the start."""

    places: frozenset[Place] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()

    def __or__(self, other: Named) -> Named:
        return Named(self.places | other.places, (*self.patterns, *other.patterns))

    @cached_property
    def by_layer(self) -> bool:
        """Whether it may hold a module of some layers only."""
        return any(layer is not None for _, layer, _ in self.places) or any(
            _counts(pattern.pattern) for pattern in self.patterns
        )

    def holds(self, weight: str, layer: int | None) -> bool:
        """Whether the module of a weight is among them."""
        return self._holds_name(weight, layer) or self._holds_pattern(weight, layer)

    def _holds_name(self, weight: str, layer: int | None) -> bool:
        if not self.places:
            return False
        stack, words = _words_of(weight)
        stacks = ("", stack) if stack != "text" else ("", "text", "encoder", "decoder")
        ends = range(1, len(words) + 1)
        spans = [".".join(words[start:end]) for end in ends for start in range(end)]
        layers = (None,) if layer is None else (None, layer)
        return any(place in self.places for place in product(stacks, layers, ("", *spans)))

    def _holds_pattern(self, weight: str, layer: int | None) -> bool:
        return any(
            pattern.match(name)
            for pattern in self.patterns
            for name in theirs(weight, layer, pattern.pattern)
        )


@dataclass(frozen=True)
class FormatsByName:
    """Formats of modules by name, the first that holds a module before the later ones.

    Attributes:
        groups: of modules, each with their format.
    """

    groups: tuple[tuple[Named, Format], ...]
    _found: dict[tuple[str, int | None], Format | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def by_layer(self) -> bool:
        """Whether layers of one kind may differ."""
        return any(named.by_layer for named, _ in self.groups)

    def find(self, weight: str, layer: int | None) -> Format | None:
        """Return the format of a weight, None for no statement."""
        key = (weight, layer)
        if key not in self._found:
            self._found[key] = next(
                (format_ for named, format_ in self.groups if named.holds(weight, layer)), None
            )
        return self._found[key]


def read_names(names: Iterable[str], layers: int) -> Named:
    """Return the modules of a list of names, globs (``*``) and regular expressions (``re:...``).

    Args:
        names: as in a config.
        layers: of the model, 0 for not known.

    Raises:
        ValueError: a pattern that cannot be read; the text is a clause.
    """
    places: set[Place] = set()
    patterns: list[re.Pattern[str]] = []
    for name in names:
        if name.startswith("re:"):
            patterns.append(_expression(name.removeprefix("re:"), name))
        elif _PLAIN.fullmatch(name):
            places.update(places_of(name))
        elif "*" in name and _PLAIN.fullmatch(name.replace("*", "")):
            patterns.append(_glob(name))
        else:
            patterns.append(_expression(name, name))
    if len(patterns) > _MOST_PATTERNS:
        raise ValueError(
            f"its config has {len(patterns)} patterns of names, more than {_MOST_PATTERNS}"
        )
    counting = sum(_counts(pattern.pattern) for pattern in patterns)
    if counting * layers > _MOST_TRIALS:
        raise ValueError(f"its config has {counting} patterns of names for {layers} layers")
    if layers > _MOST_LAYERS and any(layer is not None for _, layer, _ in places):
        raise ValueError(f"its config names single layers of {layers}, more than {_MOST_LAYERS}")
    return Named(frozenset(places), tuple(patterns))


def places_of(name: str) -> tuple[Place, ...]:
    """Return where a plain name points to: several places for what is joined there, as q, k, v."""
    found = _LAYER.search(name)
    if found is None:
        layer, before, path = None, "", name
    else:
        layer, before, path = int(found[1]), name[: found.start()], name[found.end() :]
    stack, paths = _in_our_words(before, _EXPERT.sub("experts", path), layer is not None)
    return tuple([(stack, layer, path) for path in paths])


@lru_cache(maxsize=4096)
def _in_our_words(before: str, path: str, is_layer: bool) -> tuple[str, tuple[str, ...]]:
    """Return the stack of a name, and its path in our words; none of what no model has."""
    stacks = [_STACKS[word] for word in (before or path).split(".") if word in _STACKS]
    stack = stacks[-1] if stacks else ("text" if is_layer else "")
    words = [word for word in path.split(".") if word]
    if not is_layer:
        words = list(dropwhile(_is_prefix, words))
        if not words and not stack:
            return stack, ()  # the whole model
    if len(words) > _MOST_WORDS:
        return stack, ()
    return stack, tuple(map(".".join, product(*(_OURS.get(word, (word,)) for word in words))))


def _is_prefix(word: str) -> bool:
    return word in _WRAPPERS or _STACKS.get(word) in ("vision", "projector", "text")


def is_known(name: str) -> bool:
    """Whether a plain name is of a module that models have, or of one that is never quantised."""
    last = name.rpartition(".")[2]
    known = last in _OURS or last in _STACKS or last.isdecimal() or last in _WRAPPERS
    return known or "norm" in last or last in _OTHERS


_OTHERS = (
    "score", "classifier", "decoder", "qa_outputs", "kv_b_proj", "q_a_proj", "q_b_proj",
    "e_score_correction_bias", "in_proj", "out_proj", "x_proj", "dt_proj", "conv1d",
)  # fmt: skip


@lru_cache(maxsize=4096)
def _words_of(weight: str) -> tuple[str, tuple[str, ...]]:
    """Return the stack of a weight, and the words of its module within a layer."""
    words = weight.split(".")[:-1]
    places = [at for at, word in enumerate(words) if word.endswith(("layers", "layer"))]
    cut = places[0] + 1 if places else 1 if words and words[0] in _STACKS else 0
    stacks = [_STACKS[word] for word in words[:cut] if word in _STACKS]
    return (stacks[0] if stacks else "text"), tuple(words[cut:])


@lru_cache(maxsize=MOST_NAMES)
def theirs(weight: str, layer: int | None, pattern: str) -> tuple[str, ...]:
    """Return the names in checkpoints of the module of a weight that may match a pattern.

    Unusual names are among them only where the pattern spells them.
    """
    pattern = pattern.replace("\\", "")
    stack, within = _words_of(weight)
    paths = [".".join(path) for path in product(*(tuple(_spelt(w, pattern)) for w in within))]
    paths = [path for path in paths if not _NEVER.search(path)]
    paths += [path.removeprefix("mlp.") for path in paths if path in ("mlp.fc1", "mlp.fc2")]  # OPT
    prefixes = _prefixes(stack, pattern)
    if within[:1] in (("head",), ("embeddings",)):  # beside the layers, or beside the model
        bare = [path.partition(".")[2] for path in paths]
        return tuple(prefix + path for prefix in ("", *prefixes) for path in bare)
    kinds = [word for word in ("h", "blocks", "block") if re.search(rf"\b{word}\b", pattern)]
    number = 0 if layer is None else layer
    places = [f"{kind}.{number}." for kind in ("layers", *kinds)]
    if stack == "projector":
        places = [""]
    return tuple(prefix + place + path for prefix in prefixes for place in places for path in paths)


def _spelt(word: str, pattern: str) -> Iterator[str]:
    names = _MODULES.get(word, (word,))
    usual = _USUAL.get(word, names[:1])
    yield from usual
    for name in names:
        if name not in usual and name in pattern:
            yield name
    if word == "experts":
        yield "experts.0"  # most checkpoints number them


def _prefixes(stack: str, pattern: str) -> tuple[str, ...]:
    if stack in ("vision", "projector"):
        words = [word for word, ours in _STACKS.items() if ours == stack and word in pattern]
        words = words or ["vision_tower" if stack == "vision" else "multi_modal_projector"]
        return tuple(f"{first}{word}." for word in words for first in ("", "model."))
    if stack != "text":
        return (f"model.{stack}.", f"{stack}.")
    more = [
        f"{word}." for word in ("transformer", "backbone", "model.decoder", "gpt_neox")
        if word in pattern
    ]  # fmt: skip
    if "language_model" in pattern:
        more += ["model.language_model.", "language_model.model.", "language_model."]
    return ("model.", *more)


def _counts(pattern: str) -> bool:
    """Whether a pattern may hold some layers only."""
    return bool(re.search(r"\d|\\d|\{", pattern))


# The parts of the expressions that are read: each is tried in one way, or along one run.
_PART = re.compile(
    r"\(\?[!=]|\\[.\-_/]|\\[dwDWb]|\[\^?[\w\-.]+\]|[\w\-/]|\.|\^|\$|\||\(\?:|\(|\)|[*+?]|\{\d{1,3}(?:,\d{0,3})?\}"
)
_MOST_RUNS = 2


def _expression(text: str, name: str) -> re.Pattern[str]:
    """Return a regular expression whose matching takes a bounded time.

    Groups do not repeat, and few runs are of any length: what is tried grows with the square of
    the length of a name at most.

    Raises:
        ValueError: another expression.
    """
    refused = ValueError(
        f"its config names layers by a pattern that is not supported, {shown(name)}"
    )
    body = re.sub(r"(?:\.\*)+", ".*", text).removesuffix("$")
    body = body if text.endswith("$") else re.sub(r"(?:\.\*)+$", "", body)
    parts = _PART.findall(body)
    if len(text) > _LONGEST_PATTERN or "".join(parts) != body:
        raise refused
    runs = 0
    for before, part in zip(["", *parts], parts, strict=False):
        if part in ("*", "+", "?") or part.startswith("{"):
            repeats = before in ("*", "+", "?", ")", "|", "^", "$", "") or before.startswith("(")
            if repeats and (before, part) != (")", "?"):
                raise refused
            is_run = part in ("*", "+") or part.startswith("{")
            runs += is_run and before not in (r"\d", "[0-9]")
    if runs > _MOST_RUNS:
        raise refused
    try:
        return re.compile(body + ("$" if text.endswith("$") else ""))
    except (re.error, OverflowError, RecursionError):
        raise refused from None


def _glob(name: str) -> re.Pattern[str]:
    """Return a glob as an expression; a module holds those within it."""
    text = re.sub(r"\*+", "*", name)
    if text.strip("*").count("*") > _MOST_RUNS:
        raise ValueError(
            f"its config names layers by a pattern that is not supported, {shown(name)}"
        )
    body = ".*".join(re.escape(part) for part in text.removesuffix("*").split("*"))
    return re.compile(body + ("" if text.endswith("*") else r"(?:\.|$)"))
