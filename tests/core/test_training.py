"""The timeline of training memory, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorywall.core.training import (
    STORAGE_ROLES,
    Allocation,
    Moment,
    Standing,
    StorageRole,
    Timeline,
    TrainingMemory,
)

# Five operators; a weight of 100 bytes stands throughout, an activation of 40 from the second to
# the fourth, temporaries of 30 and 20 at one moment each.
MOMENTS = (
    Moment("setup", "", ""),
    Moment("forward", "aten.mm", "layers.0.up"),
    Moment("forward", "aten.relu", "layers.1.up"),
    Moment("backward", "aten.mm", "layers.1.up"),
    Moment("optimizer", "aten.add", "layers.0.up"),
)
LINE = Timeline(
    MOMENTS,
    (
        Allocation(100, "weights", "layers.0.up", "", 0),
        Allocation(40, "activations", "layers.0.up", "aten.mm", 1, 3),
        Allocation(30, "temporaries", "layers.1.up", "aten.relu", 2, 2),
        Allocation(20, "temporaries", "layers.1.up", "aten.mm", 3, 3),
        Allocation(50, "gradients", "layers.12.up", "aten.mm", 3),
    ),
)


def test_live_bytes_by_hand() -> None:
    # 100; + 40; + 30; - 30 + 20 + 50; - 40 - 20
    assert LINE.total_bytes.tolist() == [100, 140, 170, 210, 150]
    assert LINE.live_bytes["activations"].tolist() == [0, 40, 40, 40, 0]
    assert LINE.peak == 3
    assert {role: n for role, n in LINE.by_role(3).items() if n} == {
        "weights": 100,
        "activations": 40,
        "temporaries": 20,
        "gradients": 50,
    }
    assert LINE.end_of_forward() == 2


def test_layers_are_one_module() -> None:
    line = Timeline(
        MOMENTS[:1],
        (
            Allocation(3, "weights", "layers.0.up", "", 0),
            Allocation(4, "weights", "layers.12.up", "", 0),
            Allocation(5, "weights", "conv2d.1", "", 0),
            Allocation(6, "gradients", "layers.0.up", "", 0),
        ),
    )
    assert line.standing(0) == (
        Standing("weights", "layers.*.up", 2, 7),
        Standing("gradients", "layers.*.up", 1, 6),
        Standing("weights", "conv2d.*", 1, 5),
    )


def test_the_record() -> None:
    record = TrainingMemory("toy", 25, LINE, {"optimizer": "sgd"}, ("a note",)).to_dict()
    assert record["peak_bytes"] == 210
    assert record["peak_at"] == {
        "phase": "backward",
        "operator": "aten.mm",
        "module": "layers.1.up",
    }
    assert record["activations"] == 40  # at the end of the forward pass, the temporary apart
    assert record["most"]["temporaries"] == 30
    assert record["timeline"]["weights"] == [100] * 5
    assert record["notes"] == ["a note"]


_lives = st.builds(
    lambda nbytes, role, born, length: (nbytes, role, born, length),
    st.integers(0, 10**12),
    st.sampled_from(STORAGE_ROLES),
    st.integers(0, 29),
    st.none() | st.integers(0, 29),
)


@given(st.lists(_lives, max_size=20), st.integers(1, 40))
def test_thinning_keeps_the_peak(
    lives: list[tuple[int, StorageRole, int, int | None]], count: int
) -> None:
    allocations = tuple(
        Allocation(n, role, "", "", born, None if length is None else min(born + length, 29))
        for n, role, born, length in lives
    )
    line = Timeline((Moment("forward", "", ""),) * 30, allocations)
    times = line.thinned(count)
    assert len(times) == min(count, 30)
    assert line.total_bytes[times].max() == line.total_bytes.max()
    # By definition: an array stands from its birth to its end, both included.
    for moment in (0, 13, 29):
        by_hand = sum(
            a.nbytes
            for a in allocations
            if a.born <= moment and (a.died is None or a.died >= moment)
        )
        assert line.total_bytes[moment] == by_hand
        assert sum(group.nbytes for group in line.standing(moment)) == by_hand


def test_live_bytes_are_whole_numbers() -> None:
    assert LINE.total_bytes.dtype == np.int64
    with pytest.raises(AttributeError):
        LINE.moments = ()  # type: ignore[misc]
