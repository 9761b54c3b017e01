"""Read the scoring of distances between tokens in disentangled attention."""

from __future__ import annotations

from memorywall.layers.disentangled_attention import Distances
from memorywall.reading.config_values import Config


def read_distances(config: Config, *, second: bool) -> Distances | None:
    """Read the scoring of distances; ``position_buckets`` groups large distances."""
    if not config.flag("relative_attention", False):
        return None
    terms = _read_terms(config)
    shared = second and config.flag("share_att_key", False)
    if not terms or (shared and len(terms) < 2):
        config.check()
        config.refuse("relative_attention", (True,), "only c2p and p2c are supported")
    reach = _positive(config, "max_relative_positions") or config.size(
        "max_position_embeddings", 512
    )
    if second:
        reach = _positive(config, "position_buckets") or reach
    return Distances(
        reach,
        growing=not second,
        terms=terms,
        shared=shared,
        key_bias=second,
        normed=second and is_normed(config),
    )


def is_normed(config: Config) -> bool:
    """Return whether the table of distances is normalised."""
    words = config.word("norm_rel_ebd", "none").lower().split("|")
    return "layer_norm" in [word.strip() for word in words]


def _positive(config: Config, key: str) -> int:
    """Return a size, or 0 if the key is absent or -1, which means none."""
    value = config.data.get(key)
    return 0 if value is None or value == -1 else config.count(key, 0)


def _read_terms(config: Config) -> tuple[str, ...]:
    """Read ``pos_att_type``, a list or a text such as ``c2p|p2c``."""
    value = config.data.get("pos_att_type")
    words = value.lower().split("|") if isinstance(value, str) else value
    words = [] if words is None else words
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        config.faults["pos_att_type"] = "'pos_att_type' must list c2p, p2c or both"
        return ()
    return tuple(word for word in ("c2p", "p2c") if word in [w.strip() for w in words])
