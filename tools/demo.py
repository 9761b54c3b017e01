"""Run the demo and put what it prints into the README.

python tools/demo.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from memorywall.core.files import write_text

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"(?<=^\$ make demo\n).*?(?=^```)", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Replace the README's block by the output of a real run on this machine."""
    run = subprocess.run(  # noqa: S603 - this repository's own file
        [sys.executable, str(ROOT / "examples" / "first_look.py")],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    page = ROOT / "README.md"
    text, count = _BLOCK.subn(lambda _: run.stdout.lstrip("\n"), page.read_text(encoding="utf-8"))
    if count != 1:
        sys.exit(f"{page} must have one block that begins with '$ make demo', got {count}.")
    write_text(page, text)


if __name__ == "__main__":
    main()
