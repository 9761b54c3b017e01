"""Random small encoders of every class against transformers, to the last digit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorywall.families import (
    albert,
    bert,
    deberta,
    distilbert,
    esm,
    eurobert,
    modernbert,
    roformer,
)
from memorywall.reading.encoders import ROBERTA_TOPS
from tests.families.test_random_configs import agrees

# Each covered class of transformers, with its model_type.
CLASSES = [
    *((kind, d.prefix + top) for kind, d in bert._DIALECTS.items() for top in d.tops),
    *((kind, d.prefix + top) for kind, d in roformer._DIALECTS.items() for top in d.tops),
    *(("albert", f"Albert{top}") for top in albert._TOPS),
    *(("deberta", f"Deberta{top}") for top in deberta._TOPS),
    *(("deberta-v2", f"DebertaV2{top}") for top in deberta._TOPS_2),
    *(("distilbert", f"DistilBert{top}") for top in distilbert._TOPS),
    *(("esm", f"Esm{top}") for top in esm._TOPS),
    *(("eurobert", f"EuroBert{top}") for top in eurobert._TOPS),
    *(("modernbert", f"ModernBert{top}") for top in modernbert._TOPS),
    *(("mpnet", f"MPNet{top}") for top in ROBERTA_TOPS),
]
SIZES = st.integers(1, 20)
WORDS = st.lists(st.sampled_from(["c2p", "p2c"]), min_size=1, max_size=2, unique=True)

# Keys of each model type in addition to BERT's.
KEYS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "albert": {
        "embedding_size": SIZES,
        "num_hidden_groups": st.just(1),
        "inner_group_num": st.integers(1, 2),
    },
    "deberta": {
        "relative_attention": st.booleans(),
        "pos_att_type": WORDS,
        "max_relative_positions": st.sampled_from([-1, 3, 40]),
        "position_biased_input": st.booleans(),
        "type_vocab_size": st.integers(0, 2),
        "legacy": st.booleans(),
    },
    "deberta-v2": {
        "relative_attention": st.booleans(),
        "pos_att_type": st.sampled_from(["c2p|p2c", "p2c|c2p"]),
        "max_relative_positions": st.sampled_from([-1, 3]),
        "position_buckets": st.sampled_from([-1, 2, 9]),
        "share_att_key": st.booleans(),
        "norm_rel_ebd": st.sampled_from(["none", "layer_norm"]),
        "conv_kernel_size": st.sampled_from([0, 1, 3]),
        "type_vocab_size": st.integers(0, 2),
    },
    "electra": {"embedding_size": SIZES},
    "ernie": {"use_task_id": st.booleans()},
    "esm": {
        "position_embedding_type": st.sampled_from(["absolute", "rotary"]),
        "emb_layer_norm_before": st.booleans(),
    },
    "eurobert": {
        "num_key_value_heads": st.just(1),
        "attention_bias": st.booleans(),
        "mlp_bias": st.booleans(),
        "classifier_pooling": st.sampled_from(["bos", "mean", "late"]),
    },
    "modernbert": {
        "local_attention": st.integers(2, 9),
        "global_attn_every_n_layers": st.integers(1, 4),
        "norm_bias": st.booleans(),
        "attention_bias": st.booleans(),
        "mlp_bias": st.booleans(),
        "decoder_bias": st.booleans(),
        "classifier_bias": st.booleans(),
        "classifier_pooling": st.sampled_from(["cls", "mean"]),
    },
    "mpnet": {"relative_attention_num_buckets": SIZES},
    "rembert": {"input_embedding_size": SIZES, "output_embedding_size": SIZES},
    "roformer": {"embedding_size": SIZES},
}


@st.composite
def configs(draw: st.DrawFn, model_type: str, class_name: str) -> dict[str, Any]:
    heads = draw(st.integers(1, 3))
    sizes = {
        "hidden_size": heads * 2 * draw(st.integers(1, 4)),
        "num_hidden_layers": draw(st.integers(1, 4)),
        "num_attention_heads": heads,
        "intermediate_size": draw(SIZES),
    }
    if model_type == "distilbert":
        sizes = dict(zip(("dim", "n_layers", "n_heads", "hidden_dim"), sizes.values(), strict=True))
    return {
        "model_type": model_type,
        "architectures": [class_name],
        **sizes,
        "vocab_size": draw(st.integers(3, 50)),
        "max_position_embeddings": draw(st.integers(16, 40)),
        "tie_word_embeddings": draw(st.booleans()),
        "pad_token_id": 0,
        "mask_token_id": 2,
        # A question answerer splits its outputs in two, and runs with two only.
        "num_labels": 2 if "Question" in class_name else draw(st.integers(2, 5)),
        **{key: draw(values) for key, values in KEYS.get(model_type, {}).items()},
    }


@pytest.mark.parametrize(("model_type", "class_name"), CLASSES)
@settings(max_examples=2, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 12))
def test_every_class(
    model_type: str, class_name: str, data: st.DataObject, batch: int, tokens: int
) -> None:
    agrees(data.draw(configs(model_type, class_name)), batch, tokens)


@pytest.mark.parametrize("model_type", sorted({kind for kind, _ in CLASSES}))
def test_defaults_are_those_of_transformers(model_type: str) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    if model_type == "distilbert":
        sizes = dict(zip(("dim", "n_layers", "n_heads"), sizes.values(), strict=True))
    width = {"hidden_dim" if model_type == "distilbert" else "intermediate_size": 5}
    masked = (name for kind, name in CLASSES if kind == model_type and "MaskedLM" in name)
    config = {"model_type": model_type, "architectures": [next(masked)], **sizes, **width}
    agrees({**config, "vocab_size": 9, "pad_token_id": 0, "mask_token_id": 2}, 2, 3)
