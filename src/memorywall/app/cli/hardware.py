"""``memorywall hardware``: the catalogue of devices."""

from __future__ import annotations

import click

from memorywall.app.analyze import load_hardware
from memorywall.app.cli._shared import console, json_flag, print_json
from memorywall.catalog.devices import device_names
from memorywall.report.record import hardware_record
from memorywall.report.table import hardware_table, show_device


@click.command("hardware")
@click.argument("name", metavar="[DEVICE]", required=False)
@json_flag
def COMMAND(name: str | None, as_json: bool) -> None:  # noqa: N802
    """List the devices, or show every number of one with its source.

    \b
    Examples:
      memorywall hardware
      memorywall hardware h100-sxm
    """
    devices = [load_hardware(known) for known in ([name] if name else device_names())]
    if as_json:
        print_json({"hardware": [hardware_record(device) for device in devices]})
    elif name:
        show_device(devices[0], console())
    else:
        console().print(hardware_table(devices))
