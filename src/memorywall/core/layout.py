"""How a model is divided among devices."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """The degrees of parallelism; ``Layout()`` is one device.

    Attributes:
        tensor: devices that share each product of attention and feed-forward.
        pipeline: stages of layers.
        expert: groups of devices among which whole experts are divided; the devices of a group
            share each of its experts.
        attention_data: groups of devices, each of which attends to a part of the sequences.
    """

    tensor: int = 1
    pipeline: int = 1
    expert: int = 1
    attention_data: int = 1

    @property
    def devices(self) -> int:
        """All of them."""
        return self.tensor * self.pipeline * self.attention_data

    @property
    def stage(self) -> int:
        """Devices of one pipeline stage."""
        return self.tensor * self.attention_data

    @property
    def expert_tensor(self) -> int:
        """Devices that share each expert."""
        return max(1, self.stage // self.expert)
