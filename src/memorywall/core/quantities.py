"""Quantities, each declared once: name, unit, meaning, format; records, tables and docs read them.

A quantity is an attribute of a result of the same name, unless ``path`` names another place or
``compute`` derives it. ``GROUPS`` lists them by the result that they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from typing import Any, Literal, TypeAlias

from memorywall.core.numbers import Number, plain

Display: TypeAlias = Literal["prefixed", "number", "whole", "share", "text"]
Provenance: TypeAlias = Literal[
    "counted", "data sheet", "class default", "calibrated", "measured", "forecast", "hypothetical"
]
# The provenance of a device's ceilings by its kind.
CEILINGS: dict[str, Provenance] = {
    "spec": "data sheet",
    "measured": "measured",
    "forecast": "forecast",
    "hypothetical": "hypothetical",
}
# How a quantity depends on the seconds of an answer, whose interval it shares: a time, a part of
# one, or a rate. At a device's ceilings a time is a lower bound, a rate an upper one, a part none.
Scaling: TypeAlias = Literal["none", "time", "part", "rate"]
Origin: TypeAlias = Literal["shapes", "ceilings", "time"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of a result.

    Attributes:
        name: the attribute, the key of records, and the column of frames.
        unit: ``s``, ``byte``, ``FLOP``, ``tokens/s``; "" for counts, shares and words.
        meaning: one sentence.
        format: its display: with an SI prefix, as a number, a whole number, a percentage, or
            unchanged.
        scaling: whether it grows or shrinks with the time of the answer, whose interval it shares.
        origin: its source: shapes alone, the device's ceilings, or the source of times (ceilings,
            or a calibration).
        applies: whether a result has it; None for always.
        path: the attribute, or a path of attributes, if that is not the name.
        compute: a result in, the value out, if it is not an attribute; ``Analysis`` gets one.
        listed: whether the text of an analysis lists it, and the table of a grid has a column of
            it. The text names the other quantities in its sentences, or leaves them to the record.
    """

    name: str
    unit: str
    meaning: str
    format: Display = "number"
    scaling: Scaling = "none"
    origin: Origin = "shapes"
    applies: Callable[[Any], bool] | None = None
    path: str = ""
    compute: Callable[[Any], Any] | None = None
    listed: bool = False

    def read(self, result: Any) -> Any:
        """Return its value from a result: a number, an array, words, or None where unknown."""
        if self.compute is not None:
            return self.compute(result)
        return attrgetter(self.path or self.name)(result)

    def holds(self, result: Any) -> bool:
        """Return whether a result has it."""
        return self.applies is None or self.applies(result)

    def text(self, value: Any) -> str:
        """Write one value for people, with its unit; a dash where there is none."""
        if value is None:
            return "-"
        if self.format == "text" or isinstance(value, str | bool | tuple):
            return str(value).replace("_", " ") if isinstance(value, str) else str(value)
        if self.format == "whole":
            return f"{value:,.0f}"
        if self.format == "share":
            return f"{value:.1%}"
        # The units' library is imported where text is written.
        from memorywall.core.units import render, render_number  # noqa: PLC0415

        if self.format == "prefixed":
            return render(float(value), self.unit)
        return f"{render_number(float(value), 4)} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A quantity's value in one answer.

    Attributes:
        quantity: its definition.
        value: a number, an array, or a word.
        low, high: the nominal 80 % interval of measured or forecast values; None without.
        provenance: its source.
        bound: ``at least`` or ``at most`` if the value is a bound at the device's ceilings.
    """

    quantity: Quantity
    value: Any
    low: Number | None
    high: Number | None
    provenance: Provenance
    bound: Literal["", "at least", "at most"] = ""

    def __str__(self) -> str:
        text = self.quantity.text(self.value)
        if self.bound:
            text = f"{self.bound} {text}"
        if self.low is not None:
            text += f" ({self.quantity.text(self.low)} to {self.quantity.text(self.high)})"
        return text


def record_of(group: str, result: Any) -> dict[str, Any]:
    """Return the quantities of a result as plain values, in the order of the registry."""
    return {q.name: as_plain(q.read(result)) for q in GROUPS[group] if q.holds(result)}


def as_plain(value: Any) -> Any:
    """Turn arrays, dates, and what mappings and sequences hold into what JSON knows."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_plain(each) for each in value]
    return plain(value)


def _parts(group: str, path: str) -> Callable[[Any], Any]:
    """Return what reads a part of a result, or a tuple of parts, as records; None stays None."""
    read = attrgetter(path)

    def records(result: Any) -> Any:
        part = read(result)
        if isinstance(part, tuple):
            return [record_of(group, each) for each in part]
        return None if part is None else record_of(group, part)

    return records


def _of_images(answer: Any) -> bool:
    return answer.image_size is not None


def _of_denoising(answer: Any) -> bool:
    return answer.steps is not None


def _of_samples(answer: Any) -> bool:
    return answer.samples_per_s is not None


def _of_serving(answer: Any) -> bool:
    return answer.serving is not None


def _of_arrivals(answer: Any) -> bool:
    return answer.serving is not None and answer.serving.ttft_p50_s is not None


def _of_devices(answer: Any) -> bool:
    return answer.devices > 1 or answer.serving is not None


def _read_serving(name: str) -> Callable[[Any], Any]:
    """Return what reads a number of a serving engine; None without one."""
    return lambda answer: None if answer.serving is None else getattr(answer.serving, name)


def _served(name: str, unit: str, meaning: str, display: Display, origin: Origin) -> Quantity:
    return Quantity(
        name, unit, meaning, display, "none", origin, _of_serving, compute=_read_serving(name),
        listed=name != "in_flight",
    )  # fmt: skip


def _late(name: str, meaning: str) -> Quantity:
    return Quantity(
        name, "s", meaning, "prefixed", "time", "time", _of_arrivals, compute=_read_serving(name),
        listed=True,
    )  # fmt: skip


def _seconds(
    name: str, meaning: str, scaling: Scaling, applies: Callable[[Any], bool] | None = None
) -> Quantity:
    return Quantity(name, "s", meaning, "prefixed", scaling, "time", applies)


def _at_roofs(name: str, meaning: str) -> Quantity:
    return Quantity(name, "s", meaning, "prefixed", origin="ceilings")


def _rate(
    name: str, unit: str, meaning: str, applies: Callable[[Any], bool] | None = None
) -> Quantity:
    return Quantity(name, unit, meaning, "number", "rate", "time", applies)


def _share(name: str, meaning: str) -> Quantity:
    return Quantity(name, "", meaning, "share", "rate", "time")


_INTERVAL = "end of the nominal 80 % interval of measured or forecast values"

_ACTIVE = "Weights that a single token uses, without tables of which it reads a row."

ANALYSIS = (
    Quantity("model", "", "The model's name.", "text"),
    Quantity("parameters", "", "Weights of the model's class.", "whole"),
    Quantity("active_parameters", "", _ACTIVE, "whole"),
    Quantity("hardware", "", "The device's name.", "text"),
    Quantity("phase", "", "The name of the phase.", "text"),
    Quantity("batch_size", "", "Sequences.", "whole"),
    Quantity("seq_len", "", "Positions of each sequence.", "whole"),
    Quantity("source_len", "", "Positions of each source of an encoder.", "whole"),
    Quantity(
        "image_size", "pixel", "Height and width of every image.", "text", applies=_of_images
    ),
    Quantity("images", "", "Images of each sequence.", "whole", applies=_of_images),
    Quantity(
        "image_positions", "", "Positions that one image takes.", "whole", applies=_of_images
    ),
    Quantity("new_tokens", "", "Tokens generated per sequence.", "whole"),
    Quantity("steps", "", "Denoising steps.", "whole", applies=_of_denoising),
    Quantity(
        "guidance", "", "Whether each denoising step runs with the prompt and without it.", "text",
        applies=_of_denoising,
    ),
    Quantity("flops", "FLOP", "All FLOPs; a fused multiply-add is two.", "prefixed"),
    Quantity("moved_bytes", "byte", "Bytes moved to and from the main memory.", "prefixed"),
    Quantity("arithmetic_intensity", "FLOP/byte", "FLOP per byte moved."),
    Quantity(
        "ridge_point", "FLOP/byte",
        "FLOP per byte at which the device's two roofs meet, for this arithmetic.",
        origin="ceilings",
    ),
    _seconds("latency_s", "The predicted time; with ceilings spec, that at the roofs.", "time"),
    _seconds("latency_low_s", f"Lower {_INTERVAL}.", "none"),
    _seconds("latency_high_s", f"Upper {_INTERVAL}.", "none"),
    Quantity(
        "time_provenance", "", "The source of the times: data sheet, calibrated, forecast, ...",
        "text",
    ),
    _at_roofs(
        "bound_s",
        "The least time at the ceilings: operators take the longer of arithmetic and traffic.",
    ),
    _at_roofs("overlapped_s", "The time if all operators of a pass overlapped: a lower bound."),
    _at_roofs(
        "serial_s",
        "The time if arithmetic and traffic never overlapped: an upper bound at these ceilings.",
    ),
    _at_roofs("compute_s", "The time of all arithmetic by itself."),
    _at_roofs("memory_s", "The time of all traffic by itself."),
    _at_roofs("network_s", "The time of all collectives by itself."),
    _seconds("overhead_s", "The time of the framework and of launches.", "part"),
    _seconds("compute_bound_s", "The part of the time that arithmetic binds.", "part"),
    _seconds("memory_bound_s", "The part of the time that traffic binds.", "part"),
    _seconds("network_bound_s", "The part of the time that collectives bind.", "part"),
    _seconds("overhead_bound_s", "The part of the time that overhead binds.", "part"),
    Quantity("bound", "", "The resource that binds most of the time.", "text", origin="time"),
    Quantity(
        "binding", "", "``capacity_bound`` where the footprint does not fit, else ``bound``.",
        "text", origin="time",
    ),
    _rate("tokens_per_s", "tokens/s", "Tokens of all sequences per second."),
    _rate("images_per_s", "images/s", "Images per second.", _of_images),
    _rate(
        "samples_per_s", "samples/s", "Samples of a traced module per second.", _of_samples
    ),
    _seconds("ttft_s", "Time to the first token.", "time"),
    _seconds("tpot_s", "Mean time of a decode step.", "time"),
    Quantity(
        "devices", "",
        "Devices that the model is divided among; FLOPs, bytes and memory are of one of them.",
        "whole", applies=_of_devices,
    ),
    Quantity(
        "tokens_per_s_per_device", "tokens/s", "Tokens per second, over the devices.", "number",
        "rate", "time", _of_devices, listed=True,
    ),
    Quantity(
        "requests_per_s", "requests/s", "Requests that an engine serves per second.", "number",
        "rate", "time", _of_serving, listed=True,
    ),
    _served("in_flight", "", "Requests in the batch, over all devices.", "whole", "time"),
    _served(
        "most_in_flight", "", "Whole requests that the memory holds, over all devices.", "whole",
        "ceilings",
    ),
    _served(
        "waiting_s", "s", "Mean wait for a place in the batch, and for earlier prompts.",
        "prefixed", "time",
    ),
    _late("ttft_p50_s", "Time to the first token that half of the requests stay below."),
    _late("ttft_p95_s", "Time to the first token that 95 % of the requests stay below."),
    _late("tpot_p50_s", "Time of an output token that half of the requests stay below."),
    _late("tpot_p95_s", "Time of an output token that 95 % of the requests stay below."),
    _seconds("step_s", "The time of one denoising step.", "time", _of_denoising),
    _share("mfu", "Share of the device's peak FLOP/s that is attained."),
    _share("mbu", "Share of the device's peak bandwidth that is attained."),
    Quantity(
        "fits", "", "Whether the footprint is within the device's memory.", "text",
        origin="ceilings",
    ),
    Quantity(
        "fit", "",
        "Whether it fits in use: ``yes``, ``tight`` or ``no``; ``unknown`` without a capacity.",
        "text",
        origin="ceilings",
    ),
    Quantity(
        "in_use_bytes", "byte",
        "Bytes with the prefill that filled the cache, and with an engine's runtime.", "prefixed",
        origin="ceilings",
    ),
    Quantity(
        "budget_bytes", "byte", "Bytes of the memory that an engine takes.", "prefixed",
        origin="ceilings",
    ),
)  # fmt: skip

FOOTPRINT = (
    Quantity("weights", "byte", "Weights, and constants of traced modules.", "prefixed"),
    Quantity("kv_cache", "byte", "Keys and values of all positions.", "prefixed"),
    Quantity("activations", "byte", "The peak of live activations over operators.", "prefixed"),
    Quantity("gradients", "byte", "Gradients, in training.", "prefixed"),
    Quantity("optimizer_states", "byte", "States of the optimizer, in training.", "prefixed"),
    Quantity("total", "byte", "The total.", "prefixed"),
    Quantity(
        "capacity", "byte", "The usable part of the device's main memory.", "prefixed",
        origin="ceilings",
    ),
    Quantity("state", "byte", "Constant-size memory of recurrent layers.", "prefixed"),
)  # fmt: skip

OPERATOR = (
    Quantity("name", "", "Its path, such as ``layers.attention.q_proj``.", "text"),
    Quantity("kind", "", "Its class.", "text"),
    Quantity("count", "", "How many times it runs.", "whole"),
    Quantity("flops", "FLOP", "FLOPs of all runs.", "prefixed"),
    Quantity("moved_bytes", "byte", "Bytes that all runs move.", "prefixed"),
    Quantity("latency_s", "s", "Seconds of all runs.", "prefixed", "time", origin="time"),
    Quantity("bound", "", "The resource that binds most of its time.", "text", origin="time"),
)

MODEL = (
    Quantity("name", "", "Its name.", "text"),
    Quantity("family", "", "The family that reads its config.", "text", path="family.name"),
    Quantity(
        "class", "", "The class that is counted.", "text", path="architecture.class_name"
    ),
    Quantity("parameters", "", "Weights of that class.", "whole"),
    Quantity("active_parameters", "", _ACTIVE, "whole"),
    Quantity("causal", "", "Whether it generates, token by token.", "text"),
    Quantity("dtype", "", "The format of the config.", "text", path="architecture.dtype"),
    Quantity(
        "max_positions", "", "Positions of its training context.", "whole",
        path="architecture.max_positions",
    ),
)  # fmt: skip

STORED = (
    Quantity("files", "", "Files of weights.", "whole"),
    Quantity("tensors", "", "Tensors in them.", "whole"),
    Quantity("elements", "", "Elements; packed formats hold several weights in one.", "whole"),
    Quantity("bytes", "byte", "Bytes of all tensors.", "prefixed", path="nbytes"),
    Quantity(
        "bytes_by_format", "byte", "Bytes by the files' names of formats.", "prefixed",
        compute=lambda stored: dict(stored.bytes_by_format),
    ),
)  # fmt: skip

MEMORY = (
    Quantity("name", "", "Such as ``L2`` or ``HBM3``.", "text"),
    Quantity("capacity", "byte", "Its capacity: the label.", "prefixed", origin="ceilings"),
    Quantity(
        "usable", "byte", "The total that the driver reports, or by a rule of the device's class.",
        "prefixed", origin="ceilings",
    ),
    Quantity("bandwidth", "byte/s", "Reads and writes together.", "prefixed", origin="ceilings"),
)  # fmt: skip

LINK = (
    Quantity("name", "", "Such as ``NVLink 4``.", "text"),
    Quantity("bandwidth", "byte/s", "In one direction, all lanes.", "prefixed", origin="ceilings"),
    Quantity("lanes", "", "Lanes in one direction.", "whole", origin="ceilings"),
    Quantity(
        "lane_rate", "bit/s", "The signalling rate of one lane.", "prefixed", origin="ceilings"
    ),
)

DEVICE = (
    Quantity("name", "", "Its name in the catalogue.", "text"),
    Quantity("title", "", "Its name in full.", "text"),
    Quantity(
        "aliases", "", "Other names that it answers to.", "text",
        compute=lambda device: list(device.aliases),
    ),
    Quantity("vendor", "", "Its vendor.", "text"),
    Quantity("class", "", "The segment of devices.", "text", path="device_class"),
    Quantity(
        "kind", "", "The source of its numbers: spec, measured, forecast, hypothetical.", "text"
    ),
    Quantity("released", "", "The date of its release.", "text"),
    Quantity("peaks", "FLOP/s", "Dense peaks by arithmetic.", "prefixed", origin="ceilings"),
    Quantity(
        "memories", "", "Memory levels, the main memory last.", "text", origin="ceilings",
        compute=_parts("memory", "memories"),
    ),
    Quantity(
        "links", "", "Interconnects.", "text", origin="ceilings", compute=_parts("link", "links")
    ),
    Quantity(
        "ridge_points", "FLOP/byte", "Where the two roofs meet, by arithmetic.", origin="ceilings"
    ),
    Quantity(
        "units", "", "Processors that run tiles side by side: SMs, compute units, cores.", "whole",
        origin="ceilings",
    ),
    Quantity("clock", "Hz", "Clock under load.", "prefixed", origin="ceilings"),
    Quantity("tdp", "W", "Power.", "prefixed", origin="ceilings"),
    Quantity("price", "USD", "Price in US dollars.", "number", origin="ceilings"),
    Quantity("sources", "", "The source of every number.", "text"),
    Quantity(
        "notes", "", "Caveats on its numbers.", "text",
        compute=lambda device: list(device.notes),
    ),
)  # fmt: skip

GROUPS: dict[str, tuple[Quantity, ...]] = {
    "analysis": ANALYSIS,
    "footprint": FOOTPRINT,
    "operator": OPERATOR,
    "model": MODEL,
    "stored": STORED,
    "device": DEVICE,
    "memory": MEMORY,
    "link": LINK,
}
