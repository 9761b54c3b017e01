"""Names of classes as checkpoints spell them, and the model type that a class belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Former names of transformers' classes, and names that checkpoints with custom code give to an
# architecture that transformers has under another name.
_RENAMED = {
    "T5WithLMHeadModel": "T5ForConditionalGeneration",
    "RWForCausalLM": "FalconForCausalLM",
    "RWModel": "FalconModel",
    "StableLMEpochForCausalLM": "StableLmForCausalLM",
    "YiForCausalLM": "LlamaForCausalLM",
    "AquilaForCausalLM": "LlamaForCausalLM",
    "AquilaModel": "LlamaForCausalLM",
}
_OTHER_LIBRARY = re.compile(r"^(?:TF|Flax)(?=[A-Z])")
# The ends of classes' names, the longest first: with a causal LM, and without.
_ENDS = re.compile(
    r"(?:For[A-Z]\w*|(?:With|Double)?(?:LM)?Heads?Model|PreTrainedModel|MTModel|Model)$"
)


def known_class(name: str, known: Sequence[str]) -> str | None:
    """Return the known class that a name means; None if there is none.

    Names are compared without case (``PhiMoEForCausalLM``, ``LLaMAForCausalLM``), without the
    prefix of TensorFlow's and Flax's classes, and after renaming.
    """
    for spelling in (name, _OTHER_LIBRARY.sub("", name)):
        wanted = _RENAMED.get(spelling, spelling).casefold()
        for one in known:
            if one.casefold() == wanted:
                return one
    return None


def type_of_class(name: str, model_types: Iterable[str]) -> str | None:
    """Return the model type whose name a class's name begins with; None if there is none.

    ``Qwen2MoeForCausalLM`` belongs to ``qwen2_moe``. The text half of a model with images may have
    a separate type: ``Gemma3ForCausalLM`` belongs to ``gemma3_text``.
    """
    name = _OTHER_LIBRARY.sub("", name)
    name = _RENAMED.get(name, name)
    stem = _squeezed(_ENDS.sub("", name))
    by_stem = {_squeezed(one): one for one in model_types}
    ends = ("text", "") if name.endswith("ForCausalLM") else ("", "text")
    return next((by_stem[stem + end] for end in ends if stem + end in by_stem), None)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
