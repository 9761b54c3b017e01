"""How a model is divided among devices: as asked, and with every degree decided."""

from __future__ import annotations

from dataclasses import dataclass, fields

from memorywall.core.errors import InvalidInputError, UnsupportedError
from memorywall.core.units import read_counts
from memorywall.core.workload import one_count

# As many as one NVLink domain has is usual; thousands are asked for by mistake.
MOST_DEVICES = 2**16


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

    @property
    def words(self) -> str:
        """The degrees over 1, as text: ``tensor 8``; "" for one device."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ", ".join(f"{name} {degree}" for name, degree in named if degree > 1)


@dataclass(frozen=True, slots=True)
class AskedLayout:
    """The degrees of parallelism as asked; None where one was not given.

    ``devices`` are tensor x pipeline x attention_data; the others as of ``Layout``.
    """

    devices: int | None = None
    tensor: int | None = None
    pipeline: int | None = None
    expert: int | None = None
    attention_data: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                number = read_counts(value, field.name)[0] if isinstance(value, str) else value
                object.__setattr__(self, field.name, one_count(number, field.name, 1, MOST_DEVICES))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked."""
        return all(getattr(self, field.name) is None for field in fields(self))

    def settled(self) -> Layout:
        """Return the layout, a missing degree derived from the devices: tensor before the others.

        Raises:
            InvalidInputError: the degrees do not make the devices, or ``expert`` does not divide
                them.
            UnsupportedError: a pipeline.
        """
        if self.pipeline is not None and self.pipeline > 1:
            raise UnsupportedError(
                f"pipeline over 1 is not divided yet, got {self.pipeline}.",
                "Divide by tensor, expert and attention_data.",
            )
        tensor, groups = self._degrees()
        layout = Layout(tensor, 1, 1 if self.expert is None else self.expert, groups)
        if layout.stage % layout.expert:
            raise InvalidInputError(
                f"expert must divide the {layout.stage} devices, got {layout.expert}."
            )
        return layout

    def _degrees(self) -> tuple[int, int]:
        tensor, groups = self.tensor, self.attention_data
        if self.devices is None:
            return tensor or 1, groups or 1
        known = (tensor or 1) * (groups or 1)
        rest, left = divmod(self.devices, known)
        if tensor is None:
            tensor, rest = rest, 1
        elif groups is None:
            groups, rest = rest, 1
        if left or rest != 1:
            degrees = (("tensor", self.tensor), ("attention_data", self.attention_data))
            given = " x ".join(f"{name} {value}" for name, value in degrees if value is not None)
            raise InvalidInputError(
                f"devices must be tensor x attention_data, got {self.devices} beside {given}.",
                "Leave one of them out.",
            )
        return tensor, groups or 1
