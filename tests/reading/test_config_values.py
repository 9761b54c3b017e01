"""How a config is read: checked values, faults that are raised together, and the record of it."""

from __future__ import annotations

from typing import Any

import pytest

from memorywall.core.errors import MemoryWallError
from memorywall.reading.config_values import LARGEST_SIZE, Config
from memorywall.reading.watched import Watched
from memorywall.reading.windows import alternating, past, patterned, sliding


def test_values_are_returned_and_defaults_taken() -> None:
    config = Config({"width": 8, "depths": [2, 3], "none": 0, "bias": True, "act": "gelu"}, "here")
    assert config.size("width") == 8
    assert config.size("depth", 4) == 4
    assert config.sizes("depths", (1,)) == (2, 3)
    assert config.count("none", 7) == 0
    assert config.flag("bias", False) is True
    assert config.word("act", "relu") == "gelu"
    config.check()


@pytest.mark.parametrize("value", [0, -1, 1.5, "8", True, LARGEST_SIZE + 1, [8], {}])
def test_what_is_not_a_size_is_a_fault(value: object) -> None:
    config = Config({"width": value}, "here")
    assert config.size("width") == 1  # so that reading continues
    with pytest.raises(MemoryWallError, match=r"here.*'width' must be a whole number from 1"):
        config.check()


def test_all_faults_are_raised_together() -> None:
    config = Config({"width": 0, "bias": "yes", "part": {"depth": -3}}, "here")
    config.size("width")
    config.flag("bias", False)
    part = config.within("part")
    assert part is not None
    part.size("depth")
    config.size("absent")
    with pytest.raises(MemoryWallError, match="4 faults") as caught:
        config.check()
    for key in ("width", "bias", "depth", "absent"):
        assert f"'{key}'" in caught.value.message


def test_names_of_a_model_type() -> None:
    config = Config({"n_embd": 8}, "here", {"hidden_size": "n_embd"})
    assert config.size("hidden_size") == 8
    assert Config({"hidden_size": 9}, "here", {"hidden_size": "n_embd"}).size("hidden_size") == 9


def test_a_reading_lists_what_was_used_assumed_and_unused() -> None:
    data = Watched({"width": 8, "null": None, "other": 1, "part": {"depth": 3, "x": 0}})
    config = Config(data, "here")
    config.size("width")
    config.size("null", 5)
    config.size("absent", 6)
    part = config.within("part")
    assert part is not None
    part.size("depth")
    reading = data.reading()
    assert reading.used == (("width", 8), ("part.depth", 3))
    assert dict(reading.assumed) == {"null": 5, "absent": 6}
    assert reading.unused == (("other", 1), ("part.x", 0))


@pytest.mark.parametrize(
    ("reader", "values", "windows"),
    [
        (sliding(4), {}, [4, 4, 4, 4]),
        (sliding(4), {"sliding_window": None}, [None] * 4),
        (sliding(4, flag=True), {"sliding_window": 3}, [None] * 4),
        (sliding(4, flag=True), {"sliding_window": 3, "use_sliding_window": True}, [3] * 4),
        # From the third layer on.
        (patterned(4, past(2)), {}, [None, None, 4, 4]),
        (patterned(4, past(2)), {"max_window_layers": 1}, [None, 4, 4, 4]),
        # One in two layers has full attention: the last of each two, or the first.
        (alternating(4, 2), {}, [4, None, 4, None]),
        (alternating(4, 2, first=True), {}, [None, 4, None, 4]),
        (
            alternating(4, 2),
            {"layer_types": ["full_attention"] * 3 + ["sliding_attention"]},
            [None, None, None, 4],
        ),
    ],
)
def test_windows_of_four_layers(
    reader: Any, values: dict[str, Any], windows: list[int | None]
) -> None:
    config = Config(values, "here")
    assert [window for window, _ in reader(config, 4)] == windows
    config.check()
