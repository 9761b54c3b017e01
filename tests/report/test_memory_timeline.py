"""The timeline of training memory, as it is drawn."""

from __future__ import annotations

from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from memorywall.core.training import Allocation, Moment, Timeline, TrainingMemory
from memorywall.report.memory_timeline import draw_timeline


def test_a_peak_of_one_operator_is_seen() -> None:
    # 4,000 bytes stand throughout; at one operator of 3,000 another 6,000.
    moments = [Moment("forward", "aten.mm", "layers.0")] * 3000
    moments[700] = Moment("backward", "aten.exp", "layers.3.mlp")
    line = Timeline(
        tuple(moments),
        (
            Allocation(4000, "weights", "layers.0", "", 0),
            Allocation(6000, "temporaries", "layers.3.mlp", "aten.exp", 700, 700),
        ),
    )
    said = {"optimizer": "lion", "autocast": "bf16", "checkpointing": "on"}
    figure = draw_timeline(TrainingMemory("Toy", 1000, line, said, inputs=("x float32[2,4]",)))
    axes = figure.axes[0]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [(bar.get_y(), bar.get_height()) for bar in bars] == [(0.0, 4.0), (4.0, 6.0)]  # kB
    assert [to_hex(bar.get_facecolor()) for bar in bars] == ["#0072b2", "#cccccc"]
    figure.set_dpi(100)
    figure.canvas.draw()
    for bar in bars:
        assert bar.get_x() < 700 < bar.get_x() + bar.get_width()
        assert bar.get_window_extent().width >= 2  # pixels
    (how,) = (text.get_text() for text in axes.texts if "optimizer" in text.get_text())
    assert how.splitlines() == [
        "x float32[2,4], optimizer lion, autocast bf16, checkpointing on",
        "peak in the backward phase, at aten.exp in layers.3.mlp",
    ]
