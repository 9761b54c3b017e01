"""``memorywall hardware``: the catalogue of devices."""

from __future__ import annotations

import click

from memorywall.answer.analyze import hardware_toml, load_hardware
from memorywall.app.cli._command import command
from memorywall.app.cli._options import DEVICE
from memorywall.app.cli._shared import json_flag, page, print_json
from memorywall.catalog.device_names import device_names
from memorywall.core.errors import InvalidInputError
from memorywall.report.device_tables import matching, show_compared, show_device, show_devices

_HELP = """List the devices, show every number of one with its source, or compare some.

DEVICE is a name from the list, one that people use for it (h100, RTX 4090, m4 max), or the path of
a TOML.

\b
Examples:
  memorywall hardware
  memorywall hardware --only "consumer GPU"
  memorywall hardware h100-sxm
  memorywall hardware compare h100-sxm mi300x tpu-v5p
  memorywall hardware h100-sxm --toml > mine.toml
"""


@command("hardware", "Ask", "The devices, every number with its source.", _HELP)
@click.argument("names", metavar="[compare] [DEVICE]...", nargs=-1, type=DEVICE)
@click.option("--toml", "as_toml", is_flag=True, help="The device's file, to start your own from.")
@click.option("--only", metavar="TEXT", help="List the devices of a class, a vendor or a name.")
@json_flag
def COMMAND(  # noqa: N802
    names: tuple[str, ...], as_toml: bool, only: str | None, as_json: bool
) -> None:
    comparing = names[:1] == ("compare",)
    wanted = names[1:] if comparing else names
    if comparing and len(wanted) < 2:
        raise InvalidInputError(
            f"compare requires two devices or more, got {len(wanted)}.",
            "Such as: memorywall hardware compare h100-sxm mi300x",
        )
    if only is not None and names:
        raise InvalidInputError("--only conflicts with the names of devices.", "Give one of them.")
    devices = [load_hardware(name) for name in wanted or device_names()]
    if only is not None:
        devices = matching(devices, only)
    if as_toml and as_json:
        raise InvalidInputError("--toml conflicts with --json.", "Give one of them.")
    if as_toml and len(names) != 1:
        raise InvalidInputError(
            f"--toml requires the name of one device, got {len(names)} names.",
            "Such as: memorywall hardware h100-sxm --toml",
        )
    if as_toml:
        click.echo(hardware_toml(wanted[0]), nl=False)
    elif as_json:
        print_json({"hardware": [device.to_dict() for device in devices]})
    elif len(wanted) == 1:
        show_device(devices[0], page())
    elif wanted:
        show_compared(devices, page())
    else:
        show_devices(devices, page())
