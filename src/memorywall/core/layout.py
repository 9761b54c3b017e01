"""How a model is divided among devices."""

from __future__ import annotations

from dataclasses import dataclass, fields

from memorywall.core.workload import one_count

MOST_DEVICES = 2**20


@dataclass(frozen=True, slots=True)
class Parallelism:
    """The degrees of parallelism as asked, None where nothing was given; see ``Layout``."""

    devices: int | None = None
    tensor: int | None = None
    pipeline: int | None = None
    expert: int | None = None
    attention_data: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, one_count(value, field.name, 1, MOST_DEVICES))


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


ONE_DEVICE, NOT_ASKED = Layout(), Parallelism()
