"""Answers for machines: JSON."""

from __future__ import annotations

import json
from typing import Any

from memorywall.core.hardware import Hardware
from memorywall.core.model import Model
from memorywall.core.numbers import plain


def to_json(record: Any) -> str:
    """Return a record as JSON, two spaces deep; every number in it is finite."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    # Half a pair of surrogates, which a config may hold, is not valid UTF-8: it stays an escape.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def model_record(model: Model) -> dict[str, Any]:
    """Return what the listing of models says of one."""
    architecture = model.architecture
    return {
        "name": model.name,
        "family": model.family.name,
        "class": architecture.class_name,
        "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "causal": model.causal,
        "dtype": architecture.dtype,
        "max_positions": architecture.max_positions,
    }


def hardware_record(device: Hardware) -> dict[str, Any]:
    """Return everything that is known of a device, base units, with the sources."""
    return {
        "name": device.name,
        "title": device.title,
        "vendor": device.vendor,
        "class": device.device_class,
        "kind": device.kind,
        "released": device.released,
        "peaks": {dtype: plain(peak) for dtype, peak in device.peaks.items()},
        "memories": [
            {"name": m.name, "capacity": plain(m.capacity), "bandwidth": plain(m.bandwidth)}
            for m in device.memories
        ],
        "links": [
            {
                "name": link.name,
                "bandwidth": plain(link.bandwidth),
                "lanes": link.lanes,
                "lane_rate": link.lane_rate,
            }
            for link in device.links
        ],
        "ridge_points": {dtype: plain(device.ridge_point(dtype)) for dtype in device.peaks},
        "tdp": device.tdp,
        "price": device.price,
        "sources": dict(device.sources),
        "notes": list(device.notes),
    }
