"""The study of the wall as a record."""

from __future__ import annotations

from typing import Any

from memorywall.studies.wall.findings import Wall, average_cycles


def wall_record(wall: Wall) -> dict[str, Any]:
    """Return the study as plain values."""
    return {
        "machines": [
            {
                "name": machine.name,
                "date": machine.date,
                "clock_hz": machine.clock_hz,
                "cache_cycles": machine.cache_cycles,
                "dram_s": machine.dram_s,
                "dram_cycles": machine.dram_cycles,
                "average_access_cycles": {
                    f"{hit:.4g}": average_cycles(wall, machine, hit) for hit in wall.hits
                },
                "hit_needed": wall.needed[machine.name][0],
                "hit_of_1995": wall.needed[machine.name][1],
            }
            for machine in wall.machines
        ],
        "projected_in_1995": [
            {
                "year": year,
                "dram_cycles": dram,
                "average_access_cycles": average,
                "published": printed,
            }
            for year, (dram, average, printed) in wall.projected.items()
        ],
        "wall_of_1995": wall.walled,
        "fits": [growth.to_dict() for growth in wall.growths],
    }
