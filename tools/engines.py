"""Fit the constants of serving engines to public runs, and write them into the catalogue.

    python tools/engines.py FOLDER

FOLDER holds ``serving_ttft_tpot.csv``. The constants are fitted to all of its runs; errors and
intervals are of configurations, and of systems, that were left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

from memorywall.calibrate.serving import engine_tables, read_serving
from memorywall.catalog.engine_tables import FOLDER
from memorywall.catalog.table_files import tables_toml
from memorywall.core.files import write_text
from memorywall.cost.serving import CONSTANTS

HEADING = "Written by tools/engines.py: constants of serving engines, fitted to public runs."


def main() -> None:
    """Fit, print the errors, and write one file."""
    runs, refused = read_serving(Path(sys.argv[1]))
    tables = engine_tables(runs)
    for table in tables:
        print(table.kind, table.engine, table.median_error, table.p90_error, table.low, table.high)
    print(f"{len(runs)} runs, {len(refused)} refused")
    meanings = {table.kind: CONSTANTS for table in tables}
    write_text(FOLDER / "engines.toml", tables_toml(tables, meanings, HEADING))


if __name__ == "__main__":
    main()
